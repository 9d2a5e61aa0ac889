"""A client of /api/v1/live: reads a stream as browsers do, and comes again from where it was."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import msgspec

from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.api import Person
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.meanwhile import meanwhile, until_stopped
from tests.support.projected import append, requested, succeeded
from tests.support.steady import steady


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

    async def take(self, count: int, timeout_s: float = PATIENCE_S) -> list[Told]:
        """The next events."""
        found: list[Told] = []
        async with asyncio.timeout(timeout_s):
            async for told in self:
                found.append(told)
                if len(found) == count:
                    break
        return found

    async def rest(self, timeout_s: float = PATIENCE_S) -> list[Told]:
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


@asynccontextmanager
async def reading(readers: Sequence[Reading]) -> AsyncIterator[None]:
    """All of them read."""
    async with meanwhile(*(one.read() for one in readers)):
        yield


async def heard_more(readers: Sequence[Reading]) -> None:
    """Each has something that it had not."""
    before = [len(one.found) for one in readers]
    await eventually(lambda: all(len(one.found) > n for one, n in zip(readers, before, strict=True)))


class Writing:
    """Runs of some people, written to the log at a steady rate: as fast as it can, no listener would ever have all.

    `positions` of each one's events.
    """

    def __init__(self, store: PgEventStore, people: Sequence[Person], per_second: float) -> None:
        self.positions: dict[str, list[int]] = {person.id: [] for person in people}
        self._store, self._per_second = store, per_second

    async def proven(self, readers: Sequence[Reading]) -> None:
        """Once all is written: everybody has everything of theirs once and in order, and nothing of others."""
        await eventually(lambda: all(len(one.found) >= len(self.positions[one.person.id]) for one in readers))
        for one in readers:
            assert one.found == self.positions[one.person.id]

    async def write(self, person: Person, stop: asyncio.Event) -> None:
        """Until it is asked to stop; what is begun is finished."""
        async for _ in steady(self._per_second):
            if stop.is_set():
                break
            run_id = new_id()
            for event in (requested(new_id()), succeeded()):
                position = await append(self._store, run_id, event, tenant_id=UUID(person.id), key=run_id)
                self.positions[person.id].append(position)


@asynccontextmanager
async def writing(store: PgEventStore, people: Sequence[Person], per_second: float) -> AsyncIterator[Writing]:
    """All that was begun is written at the end."""
    work = Writing(store, people, per_second)
    async with until_stopped(*(partial(work.write, person) for person in people)):
        yield work
