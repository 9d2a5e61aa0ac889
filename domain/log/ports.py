"""What the domain's callers need from the outside, as Protocols; adapters live in sql/."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.log.event import Append, AppendResult, LastEvents, StoredEvent, StreamKind


class Clock(Protocol):
    """The current moment, in UTC."""

    def __call__(self) -> datetime: ...


class NewId(Protocol):
    """A fresh UUIDv7 (RFC 9562): ordered by time of making, so that streams cluster on disk."""

    def __call__(self) -> UUID: ...


class EventStore(Protocol):
    """The log. Positions are contiguous from 1 and become visible in order."""

    async def append(self, command: Append) -> AppendResult:
        """Store a command's events durably. Raises AppendRefused; StoreUnavailable when it takes too long."""

    async def append_each(self, commands: Sequence[Append]) -> list[AppendResult]:
        """Store several commands in one go, each for itself, in their order. Where one raises, others may be stored."""

    async def read_stream(self, kind: StreamKind, stream_id: UUID, after: int = 0) -> list[StoredEvent]:
        """The events of one stream with version > `after`, in order."""

    async def read_streams(self, kind: StreamKind, stream_ids: Sequence[UUID]) -> dict[UUID, list[StoredEvent]]:
        """Several whole streams at once, by id; a stream without events is left out."""

    async def last_events(self, kind: StreamKind, stream_ids: Sequence[UUID], types: Sequence[str]) -> LastEvents:
        """The last event of each stream that has any, in the order of the ids; without its data unless of these types.

        Where `more`, the other streams have to be asked for: payloads were too large.
        """

    async def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """The next events after `after`, contiguous: one at least while there are any, and at most `limit`.

        Fewer than there are when their payloads are large: only an empty answer is the end.
        """

    def iterate_log(self, after: int, until: int) -> AsyncIterator[list[StoredEvent]]:
        """Pages of the log from `after` (exclusive) to `until` (inclusive)."""

    async def head(self) -> int:
        """The last position, 0 while the log is empty."""


class AppendRefused(Exception):
    """The log will not take these events, now or later: for instance text that is no Unicode. Nothing was stored."""


class StoreUnavailable(Exception):
    """The log can not take or answer this now; nothing is known to be stored. Try again later."""
