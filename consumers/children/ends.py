"""How items of a loop have ended, from the last events of their streams."""

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import msgspec

from consumers.kafka.patience import patiently
from domain.log.event import LastEvents, StoredEvent, StreamKind
from domain.log.ports import EventStore
from domain.registry import decode
from domain.run.children import ItemFailure, ItemStatus
from domain.run.events import DEADLINE, End, RunCompleted, RunFailed, RunTimedOut
from domain.values.json import Json

PAGE = 500
"""Items that are looked up at once."""
BRIEF = ("zap.run.failed", "zap.run.timed_out", "zap.run.cancelled")
WHOLE = (*BRIEF, "zap.run.completed")
"""The events that say why, and with what: all that is read of an item besides."""
MAX_MESSAGE = 500
"""Characters of a failure that a loop repeats."""
_STATUS: dict[str, ItemStatus] = {
    "zap.run.completed": "completed",
    "zap.run.filtered": "filtered",
    "zap.run.failed": "failed",
    "zap.run.timed_out": "failed",
    "zap.run.cancelled": "cancelled",
}


class ItemEnd(msgspec.Struct, frozen=True):
    """An item that has begun. `status` is None while it is under way. `stops`: its end, if that ends the run above."""

    index: int
    run_id: UUID
    status: ItemStatus | None
    failure: ItemFailure | None = None
    result: Json = None
    stops: End | None = None


async def item_ends(
    store: EventStore, id_of: Callable[[int], UUID], count: int, types: Sequence[str]
) -> AsyncIterator[ItemEnd]:
    """Those of a loop's items that have begun, in their order. Of events of these `types` more is read."""
    first = 0
    while first < count:
        places = {id_of(index): index for index in range(first, min(count, first + PAGE))}
        found = await _last_events(store, [*places], types)
        for event in found.events:
            yield _end(places[event.stream_id], event)
        first = places[found.events[-1].stream_id] + 1 if found.more else first + PAGE


async def left_the_log(store: EventStore, run_ids: Sequence[UUID]) -> bool:
    """Whether any of these runs is not in the log any more."""
    return len((await _last_events(store, run_ids, ())).events) < len(run_ids)


async def _last_events(store: EventStore, run_ids: Sequence[UUID], types: Sequence[str]) -> LastEvents:
    return await patiently(lambda: store.last_events(StreamKind.RUN, run_ids, types))


def _end(index: int, stored: StoredEvent) -> ItemEnd:
    status = _STATUS.get(stored.type)
    if not stored.data:
        return ItemEnd(index, stored.stream_id, status)
    end = decode(stored.type, stored.schema_version, stored.data)
    assert isinstance(end, End)
    failure = failure_of(index, stored.stream_id, end)
    result = end.result if isinstance(end, RunCompleted) else None
    return ItemEnd(index, stored.stream_id, status, failure, result, end if end.stops else None)


def failure_of(index: int, run_id: UUID, end: End) -> ItemFailure | None:
    """Why an item failed, None where it did not."""
    if not isinstance(end, RunFailed | RunTimedOut):
        return None
    code = end.code if isinstance(end, RunFailed) else DEADLINE
    return ItemFailure(index=index, run_id=run_id, code=code, message=end.message[:MAX_MESSAGE], step_id=end.step_id)
