"""The log of one rehearsal: the streams of its zap and run, in memory. Nobody else reads it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

import msgspec

from domain.log.event import (
    ANY_VERSION,
    Append,
    Appended,
    AppendResult,
    Conflict,
    Event,
    LastEvents,
    StoredEvent,
    StreamKind,
    encode_metadata,
)
from domain.log.ports import AppendRefused, Clock
from domain.registry import encode, event_type
from domain.run.events import RunRequested

MAX_BYTES = 32 * 2**20
"""Of all payloads. An outcome that is too large for it fails the run, as one that the log refuses does."""
SPARE = 64 * 1024
"""Bytes beyond that, for the events that then end the run."""


Prepare = Callable[[UUID, RunRequested], Awaitable[RunRequested]]


async def _as_it_is(_run_id: UUID, requested: RunRequested) -> RunRequested:
    return requested


class Record:
    """domain.log.ports.EventStore, for as long as a rehearsal takes. Each run begins as `prepare` has it."""

    def __init__(self, clock: Clock, prepare: Prepare = _as_it_is) -> None:
        self._clock = clock
        self._prepare = prepare
        self._log: list[StoredEvent] = []
        self._streams: defaultdict[tuple[StreamKind, UUID], list[StoredEvent]] = defaultdict(list)
        self._room = MAX_BYTES

    async def append(self, command: Append) -> AppendResult:
        """Store the events. Raises AppendRefused where the room is used up."""
        await asyncio.sleep(0)  # a rehearsal waits for nobody, and others have their turn, too
        version = len(await self.read_stream(command.kind, command.stream_id))
        if command.expected not in (ANY_VERSION, version):
            return Conflict(version)
        events = [await self._begun(command.stream_id, new.event) for new in command.events]
        rows = self._rows(command, version, events)
        size = sum(len(row.data) for row in rows)
        if size > self._room + (SPARE if size <= SPARE else 0):
            raise AppendRefused(f"a rehearsal keeps {MAX_BYTES:,} bytes")
        self._room -= size
        self._log += rows
        self._streams[command.kind, command.stream_id] += rows
        return Appended(version + len(rows), len(self._log))

    async def append_each(self, commands: Sequence[Append]) -> list[AppendResult]:
        """See domain.log.ports.EventStore."""
        return [await self.append(command) for command in commands]

    async def read_stream(self, kind: StreamKind, stream_id: UUID, after: int = 0) -> list[StoredEvent]:
        """See domain.log.ports.EventStore."""
        return self._streams.get((kind, stream_id), [])[after:]

    async def read_streams(self, kind: StreamKind, stream_ids: Sequence[UUID]) -> dict[UUID, list[StoredEvent]]:
        """See domain.log.ports.EventStore."""
        streams = {stream_id: await self.read_stream(kind, stream_id) for stream_id in stream_ids}
        return {stream_id: events for stream_id, events in streams.items() if events}

    async def last_events(self, kind: StreamKind, stream_ids: Sequence[UUID], types: Sequence[str]) -> LastEvents:
        """See domain.log.ports.EventStore."""
        last = [events[-1] for events in (await self.read_streams(kind, stream_ids)).values()]
        bare = msgspec.structs.replace
        return LastEvents([event if event.type in types else bare(event, data=b"") for event in last], more=False)

    async def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """See domain.log.ports.EventStore."""
        return self._log[after : after + limit]

    async def iterate_log(self, after: int, until: int) -> AsyncIterator[list[StoredEvent]]:
        """See domain.log.ports.EventStore."""
        yield self._log[after:until]

    async def head(self) -> int:
        """See domain.log.ports.EventStore."""
        return len(self._log)

    def _rows(self, command: Append, version: int, events: Sequence[Event]) -> list[StoredEvent]:
        meta, at = encode_metadata(command.metadata), self._clock()
        return [
            StoredEvent(
                position=len(self._log) + number,
                kind=command.kind,
                stream_id=command.stream_id,
                version=version + number,
                tenant_id=command.tenant_id,
                ordering_key=command.ordering_key,
                event_id=new.event_id,
                type=event_type(event).name,
                schema_version=event_type(event).schema_version,
                recorded_at=at,
                meta=meta,
                data=encode(event),
            )
            for number, (new, event) in enumerate(zip(command.events, events, strict=True), 1)
        ]

    async def _begun(self, stream_id: UUID, event: Event) -> Event:
        return await self._prepare(stream_id, event) if isinstance(event, RunRequested) else event
