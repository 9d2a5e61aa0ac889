"""What wakes a runner: the events that it acts upon, and the runs that they are about."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from consumers.kafka.patience import patiently
from consumers.kafka.watermark import Watermark
from domain.aggregates import RUN
from domain.log.event import StoredEvent, StreamKind
from domain.log.stream import fold
from domain.registry import UnknownEvent, decode
from domain.run.ends import is_item
from domain.run.events import RunOver
from domain.run.state import LoadedRun
from sql.log.event_store import PgEventStore

log = structlog.get_logger()

WAKING_EVENTS = frozenset(
    {
        "zap.run.requested.v1",
        "zap.run.resumed.v1",
        "zap.run.approval_answered.v1",
        "zap.run.callback_received.v1",
    }
)
"""Events after which a run has something to do that no runner has begun."""
STOPPING_EVENTS = frozenset({"zap.run.cancelled.v1", "zap.run.timed_out.v1"})
"""Ends that another process records while an action of the run may be under way here."""
ENDING_EVENTS = STOPPING_EVENTS | {"zap.run.completed.v1", "zap.run.filtered.v1", "zap.run.failed.v1"}
"""After these the next run of a serial zap may begin."""
TAIL_TYPES = sorted(name.rpartition(".")[0] for name in WAKING_EVENTS | STOPPING_EVENTS)
"""What a runner wants to know from the log's tail, without versions."""
SERIAL_TAIL_TYPES = sorted(name.rpartition(".")[0] for name in WAKING_EVENTS | ENDING_EVENTS)
"""The same for a runner that holds queues of serial zaps."""


class RunMessage(msgspec.Struct, frozen=True):
    """A message after which a run has something to do. `event` is None where the payload travels by reference.

    `untouched`: the run was requested after this runner got the partition, so nobody else has begun it. (A former
    owner that has not noticed yet may have; then the log takes one of the two records.)
    """

    position: int
    mark: Watermark
    run_id: UUID
    tenant_id: UUID
    ordering_key: UUID
    event: StoredEvent | None
    untouched: bool

    @property
    def is_ordered(self) -> bool:
        """Whether other runs may have to wait for this one, or this one for others."""
        return self.ordering_key != self.run_id


async def sizes_of(store: PgEventStore, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Bytes of payload that each run brings into memory."""
    return await patiently(lambda: store.sizes(StreamKind.RUN, run_ids))


async def states_of(store: PgEventStore, run_ids: Sequence[UUID]) -> dict[UUID, LoadedRun]:
    """The runs as the log has them. Those that cannot be read are missing."""
    runs: dict[UUID, LoadedRun] = {}
    for run_id, events in (await patiently(lambda: store.read_streams(StreamKind.RUN, run_ids))).items():
        _fold(runs, run_id, events)
    return runs


def requested(messages: Sequence[RunMessage]) -> dict[UUID, LoadedRun]:
    """Runs of which the message holds all. The first append of a loop's item may hold more than its request."""
    runs: dict[UUID, LoadedRun] = {}
    for item in messages:
        if item.event is not None and item.untouched:
            _fold(runs, item.run_id, [item.event])
    return {run_id: run for run_id, run in runs.items() if not is_item(run.state)}


def _fold(runs: dict[UUID, LoadedRun], run_id: UUID, events: Sequence[StoredEvent]) -> None:
    try:
        if run := fold(RUN, events):
            runs[run_id] = run
    except (UnknownEvent, msgspec.DecodeError):
        # A newer release wrote it, or it is damaged. It stays open for a runner that can read it.
        log.exception("runner.unreadable_run", run_id=str(run_id))


def concerns_others(stored: StoredEvent) -> bool:
    """Whether a run waits for the run that this event ends, or it leaves children under way."""
    try:
        event = decode(stored.type, stored.schema_version, stored.data)
    except (UnknownEvent, msgspec.DecodeError):
        log.exception("runner.unreadable_end", run_id=str(stored.stream_id))
        return False
    return isinstance(event, RunOver) and (event.parent is not None or event.orphans)
