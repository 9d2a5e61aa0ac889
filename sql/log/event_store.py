"""The Postgres event store: reads, and appends by group commit."""

from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import asyncpg

from domain.log.event import Append, AppendResult, LastEvents, StoredEvent, StreamKind
from domain.log.ports import StoreUnavailable
from sql.log.group_commit import APPEND_TIMEOUT_S, GroupCommit
from sql.log.pages import PAGE_BYTES, PAGE_EVENTS
from sql.postgres.pool import CONNECTION_ERRORS, Pool, create_pool
from sql.postgres.queries import Queries, Query

_queries = Queries("queries/events.sql")


class PgEventStore:
    """domain.log.ports.EventStore on Postgres. Open it with `async with`."""

    def __init__(self, dsn: str, name: str, *, read_connections: int = 4, patience_s: float = APPEND_TIMEOUT_S) -> None:
        self.dsn = dsn
        self.pool: Pool = create_pool(dsn, f"{name} reads", read_connections)
        self._commits = GroupCommit(dsn, name, patience_s)

    async def __aenter__(self) -> Self:
        self.pool = await self.pool.__aenter__()
        self._commits.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._commits.close()
        self.pool.terminate()

    def append(self, command: Append) -> Coroutine[Any, Any, AppendResult]:
        """See domain.log.ports.EventStore. A caller that is cancelled leaves its command to the writer."""
        return self._commits.append(command)

    async def append_each(self, commands: Sequence[Append]) -> list[AppendResult]:
        return await self._commits.append_each(commands)

    async def read_stream(self, kind: StreamKind, stream_id: UUID, after: int = 0) -> list[StoredEvent]:
        return _stored(await self._fetch(_queries["read_stream"], int(kind), stream_id, after))

    async def stream_page(
        self, kind: StreamKind, stream_id: UUID, after: int, limit: int
    ) -> tuple[list[StoredEvent], bool]:
        """The next events of a stream, up to PAGE_BYTES of payload but one at least; and whether there are more."""
        rows = await self._fetch(_queries["stream_page"], int(kind), stream_id, after, limit, PAGE_BYTES)
        events = [StoredEvent(*list(row)[:-1]) for row in rows]
        return events, bool(rows) and rows[-1]["last"] > events[-1].version

    async def read_streams(self, kind: StreamKind, stream_ids: Sequence[UUID]) -> dict[UUID, list[StoredEvent]]:
        streams: dict[UUID, list[StoredEvent]] = {}
        for event in _stored(await self._fetch(_queries["read_streams"], int(kind), stream_ids)):
            streams.setdefault(event.stream_id, []).append(event)
        return streams

    async def versions(self, kind: StreamKind, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The current version of each stream that has events."""
        rows = await self._fetch(_queries["versions"], int(kind), stream_ids)
        return {row[0]: row[1] for row in rows}

    async def last_events(self, kind: StreamKind, stream_ids: Sequence[UUID], types: Sequence[str]) -> LastEvents:
        rows = await self._fetch(_queries["last_events"], int(kind), stream_ids, types, PAGE_BYTES)
        return LastEvents([StoredEvent(*list(row)[:-1]) for row in rows], bool(rows) and rows[-1]["more"])

    async def sizes(self, kind: StreamKind, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Bytes of payload in each stream that has events: what reading them will cost."""
        rows = await self._fetch(_queries["sizes"], int(kind), stream_ids)
        return {row[0]: row[1] for row in rows}

    async def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        return _stored(await self._fetch(_queries["read_log"], after, limit, PAGE_BYTES))

    async def iterate_log(self, after: int, until: int) -> AsyncIterator[list[StoredEvent]]:
        while after < until:
            page = await self.read_log(after, min(PAGE_EVENTS, until - after))
            if not page:
                return
            yield page
            after = page[-1].position

    async def head(self) -> int:
        position: int = (await self._fetch(_queries["head"]))[0][0]
        return position

    async def _fetch(self, query: Query, *arguments: object) -> "list[asyncpg.Record]":
        try:
            return await self.pool.fetch(query, *arguments)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(f"the log cannot be read: {error!r}") from error


def _stored(rows: "Iterable[asyncpg.Record]") -> list[StoredEvent]:
    return [StoredEvent(*row) for row in rows]
