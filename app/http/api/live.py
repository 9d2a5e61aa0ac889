"""What happens, as it happens: /api/v1/live, a stream of server-sent events."""

import asyncio
import re
from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.params import FromQuery, HeaderParameter, QueryParameter
from litestar.types import Receive, Scope, Send

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected
from app.http.openapi.notes import EVENT_STREAM, notes
from app.http.problems import NO_SNIFF, Problem
from app.live.listeners import Listener, Wanted
from app.live.live import Live
from app.live.news import LiveEvent, NewsType

_HEADERS = {
    **NO_SNIFF,
    "content-type": EVENT_STREAM,
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would keep events until it has 4 KiB of them
}
_POSITION = re.compile(r"[0-9]{1,18}")

After = Annotated[
    int | None, QueryParameter(ge=0, le=2**63 - 1, description="As `Last-Event-ID`, for whoever cannot set a header")
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="The id of the last event that you have; goes before `after`"),
]
Types = Annotated[
    list[NewsType] | None, QueryParameter(description="Only events of these types; repeat the name for several")
]


class EventStream:
    """The answer: as an ASGI application."""

    def __init__(self, live: Live, listener: Listener) -> None:
        self._live = live
        self._listener = listener

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is to read until the stream ends, or the client has gone."""
        leaving = asyncio.create_task(self._leave(receive))
        try:
            headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while read := await self._live.read(self._listener):
                await send({"type": "http.response.body", "body": read, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()
            self._live.leave(self._listener)

    async def _leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._live.leave(self._listener)


class LiveController(Controller):
    """Streams of events."""

    path = "/live"
    tags = ("Live",)

    @get(
        "/",
        summary="Follow runs and zaps",
        operation_id="followEvents",
        opt=notes("malformed", "too_many_streams", "busy", answer=LiveEvent, media_type=EVENT_STREAM),
    )
    async def follow(
        self,
        request: AuthedRequest,
        live: Injected[Live],
        *,
        zap_id: FromQuery[UUID | None] = None,
        run_id: FromQuery[UUID | None] = None,
        types: Types = None,
        after: After = None,
        last_event_id: LastEventId = None,
    ) -> EventStream:
        """Server-sent events of your runs and zaps, each once and in order; the `id` is the position in the log.

        A stream begins now, or behind the position that you name. It ends with the access token, after an hour, or
        with an event `closed`: come again with the last id. Every 15 s it has a comment as a sign of life.
        """
        who = request.user
        listener = await live.listen(
            who.tenant_id,
            Wanted(zap_id=zap_id, run_id=run_id, types=frozenset(types or ())),
            after=_position(last_event_id, after),
            credential=who.key_id or who.session_id or who.user_id,
            expires_at=who.expires_at,
        )
        return EventStream(live, listener)


def _position(last_event_id: str | None, after: int | None) -> int | None:
    """Browsers come again with the same URL, and the header says how far they have come."""
    if not last_event_id:
        return after
    if not _POSITION.fullmatch(last_event_id):
        raise Problem("malformed", "Last-Event-ID: give the id of an event of this stream, which is a number")
    return int(last_event_id)
