"""domain.log.ports.EventStore in memory: the same answers as Postgres, which tests/contract holds it to."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from domain.log import event as log
from domain.log.event import encode_metadata
from domain.log.ports import Clock
from domain.registry import encode, event_type
from tests.support.clock import FixedClock

IDEMPOTENCY_WINDOW = 100


class MemoryStore:
    """The whole log as a list."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.log: list[log.StoredEvent] = []
        self.timers: dict[UUID, log.DueTimer] = {}
        self.forgotten: set[int] = set()
        self._clock = clock or FixedClock()
        self._streams: dict[tuple[int, UUID], list[log.StoredEvent]] = {}
        self._dedupe: dict[bytes, tuple[datetime, log.Duplicate]] = {}

    async def append(self, command: log.Append) -> log.AppendResult:
        """See domain.log.ports.EventStore."""
        if not command.events:
            raise ValueError("an append needs at least one event")
        stream = self._streams.setdefault((command.kind, command.stream_id), [])
        refusal = self._already(command, stream) or self._refusal(command, stream)
        if refusal:
            return refusal
        for stored in self._rows(command, len(stream)):
            self.log.append(stored)
            stream.append(stored)
        if command.timer_id:
            del self.timers[command.timer_id]
        self._set_timers(command)
        if command.dedupe_key is not None:
            until = self._clock() + timedelta(seconds=command.dedupe_window_s)
            self._dedupe[command.dedupe_key] = until, log.Duplicate(command.stream_id, len(self.log))
        return log.Appended(len(stream), len(self.log))

    async def append_each(self, commands: Sequence[log.Append]) -> list[log.AppendResult]:
        return [await self.append(command) for command in commands]

    async def read_stream(self, kind: log.StreamKind, stream_id: UUID, after: int = 0) -> list[log.StoredEvent]:
        """See domain.log.ports.EventStore."""
        return self._streams.get((kind, stream_id), [])[after:]

    async def read_streams(self, kind: log.StreamKind, stream_ids: Sequence[UUID]) -> dict[UUID, list[log.StoredEvent]]:
        """See domain.log.ports.EventStore."""
        streams = {stream_id: await self.read_stream(kind, stream_id) for stream_id in stream_ids}
        return {stream_id: events for stream_id, events in streams.items() if events}

    async def last_events(
        self, kind: log.StreamKind, stream_ids: Sequence[UUID], types: Sequence[str]
    ) -> log.LastEvents:
        """See domain.log.ports.EventStore."""
        last = [events[-1] for events in [await self.read_stream(kind, one) for one in stream_ids] if events]
        bare = msgspec.structs.replace
        return log.LastEvents([event if event.type in types else bare(event, data=b"") for event in last], False)

    async def read_log(self, after: int, limit: int) -> list[log.StoredEvent]:
        """See domain.log.ports.EventStore."""
        return self.log[after : after + limit]

    async def iterate_log(self, after: int, until: int) -> AsyncIterator[list[log.StoredEvent]]:
        """See domain.log.ports.EventStore."""
        while page := await self.read_log(after, min(5_000, until - after)):
            yield page
            after = page[-1].position

    async def head(self) -> int:
        """See domain.log.ports.EventStore."""
        return len(self.log)

    def _already(self, command: log.Append, stream: list[log.StoredEvent]) -> log.Appended | None:
        last_id = command.events[-1].event_id
        if command.expected == log.ANY_VERSION:
            found = [event for event in stream[-IDEMPOTENCY_WINDOW:] if event.event_id == last_id]
        else:
            end = command.expected + len(command.events)
            found = [event for event in stream[end - 1 : end] if event.event_id == last_id]
        return log.Appended(found[0].version, found[0].position) if found else None

    def _refusal(self, command: log.Append, stream: list[log.StoredEvent]) -> log.Conflict | log.Duplicate | None:
        if command.dedupe_key in self._dedupe:
            until, duplicate = self._dedupe[command.dedupe_key]
            if until > self._clock():
                return duplicate
        if command.timer_id is not None and command.timer_id not in self.timers:
            return log.Conflict(len(stream))
        if command.carries in self.forgotten:
            return log.Conflict(len(stream))
        if command.expected not in (log.ANY_VERSION, len(stream)):
            return log.Conflict(len(stream))
        return None

    def _rows(self, command: log.Append, version: int) -> list[log.StoredEvent]:
        meta, at = encode_metadata(command.metadata), self._clock()
        return [
            log.StoredEvent(
                position=len(self.log) + offset,
                kind=command.kind,
                stream_id=command.stream_id,
                version=version + offset,
                tenant_id=command.tenant_id,
                ordering_key=command.ordering_key,
                event_id=new.event_id,
                type=event_type(new.event).name,
                schema_version=event_type(new.event).schema_version,
                recorded_at=at,
                meta=meta,
                data=encode(new.event),
            )
            for offset, new in enumerate(command.events, 1)
        ]

    def _set_timers(self, command: log.Append) -> None:
        for new in command.events:
            if new.due_at:
                self.timers[new.event_id] = log.DueTimer(
                    timer_id=new.event_id,
                    due_at=new.due_at,
                    kind=command.kind,
                    stream_id=command.stream_id,
                    ordering_key=command.ordering_key,
                    tenant_id=command.tenant_id,
                )

    def due(self, moment: datetime) -> list[log.DueTimer]:
        """Timers whose time has come, the longest overdue first."""
        return sorted(
            (timer for timer in self.timers.values() if timer.due_at <= moment), key=lambda timer: timer.due_at
        )
