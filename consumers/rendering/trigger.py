"""The request that started a run, parsed for its templates: off the event loop where it is large."""

import asyncio

from domain.hook.request import Request, trigger_data
from domain.values.json import JsonObject

QUICK_BODY = 128 * 1024
"""Characters of a body that is parsed in place; more would hold up others."""


async def trigger_of(request: Request) -> JsonObject:
    """What templates and conditions see as `trigger`."""
    if len(request.body) <= QUICK_BODY and "content-encoding" not in request.headers:
        return trigger_data(request)
    return await asyncio.to_thread(trigger_data, request)


class Trigger:
    """The request of one run, parsed when the first template needs it, and once."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._data: JsonObject | None = None

    async def data(self) -> JsonObject:
        """What templates see as `trigger`."""
        if self._data is None:
            self._data = await trigger_of(self._request)
        return self._data
