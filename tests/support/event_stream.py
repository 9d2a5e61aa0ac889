"""A client of /api/v1/live: reads a stream as browsers do, and comes again from where it was."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import msgspec

from tests.support.api import Person


class Told(msgspec.Struct):
    """One event of a stream: its name, its data, and the last id before or with it."""

    event: str
    data: dict[str, Any]
    id: str


class Stream:
    """An open stream. `id` is the last one that came, as the next `Last-Event-ID`; `comments` are those so far."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.id = ""
        self.comments: list[str] = []
        self.retry_ms = 0
        self._lines = answer.aiter_lines()

    async def __aiter__(self) -> AsyncIterator[Told]:
        name, data = "", ""
        async for line in self._lines:
            field, _, value = line.partition(": ")
            match field:
                case "id":
                    self.id = value
                case "event":
                    name = value
                case "data":
                    data = value
                case "retry":
                    self.retry_ms = int(value)
                case "" if value:
                    self.comments.append(value)
                case _:
                    if data:
                        yield Told(name, msgspec.json.decode(data), self.id)
                    name, data = "", ""

    async def take(self, count: int, timeout_s: float = 10) -> list[Told]:
        """The next events."""
        found: list[Told] = []
        async with asyncio.timeout(timeout_s):
            async for told in self:
                found.append(told)
                if len(found) == count:
                    break
        return found

    async def rest(self, timeout_s: float = 10) -> list[Told]:
        """All events until the server ends the stream."""
        async with asyncio.timeout(timeout_s):
            return [told async for told in self]


@asynccontextmanager
async def follow(url: str, token: str, query: str = "", last_event_id: str | None = None) -> AsyncIterator[Stream]:
    """A stream, once it has begun."""
    headers = {"authorization": f"Bearer {token}"} | ({} if last_event_id is None else {"last-event-id": last_event_id})
    async with (
        httpx.AsyncClient(base_url=url, timeout=30, verify=False) as http,  # reading the CAs takes 30 ms, for nothing
        http.stream("GET", f"/api/v1/live{query}", headers=headers) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
        yield Stream(answer)


class Reading:
    """Somebody who comes again whenever the stream ends, wherever the API is then."""

    def __init__(self, person: Person, begin: int, urls: Sequence[str]) -> None:
        self.person, self.urls = person, urls
        self.last = str(begin)
        self.found: list[int] = []

    async def read(self) -> None:
        """Read for as long as the task lives."""
        while True:
            with suppress(httpx.TransportError):
                async with follow(self.urls[-1], self.person.access_token, last_event_id=self.last) as stream:
                    async for told in stream:
                        self.last = stream.id
                        if told.event != "closed":
                            self.found.append(int(told.id))
            await asyncio.sleep(0.02)  # as clients do before they come again: the server shares this loop
