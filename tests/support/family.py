"""The invariants of runs and their children: items of loops, and called zaps. Part of tests/support/invariants.py."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import msgspec

from domain.log.event import StoredEvent
from domain.run import events as run
from domain.run.children import ChildIds, Counts, LoopFinished, LoopStarted, Parent, ZapCalled

ENDS: Mapping[type, str] = {
    run.RunCompleted: "completed",
    run.RunFiltered: "filtered",
    run.RunFailed: "failed",
    run.RunTimedOut: "timed_out",
    run.RunCancelled: "cancelled",
}
"""The terminal events, and the status that the API shows for each."""


class Entry(msgspec.Struct, frozen=True):
    """An event of a run, as stored and as decoded."""

    stored: StoredEvent
    event: run.RunEvent


Runs = Mapping[UUID, Sequence[Entry]]


def parent_of(entries: Sequence[Entry]) -> Parent | None:
    """What a run says of the run above it, None where there is none."""
    first = entries[0].event
    return first.parent if isinstance(first, run.RunRequested) else None


def families(runs: Runs) -> Iterator[str]:
    """What is broken between runs and their children."""
    items: defaultdict[tuple[UUID, str], dict[UUID, Parent]] = defaultdict(dict)
    for run_id, entries in runs.items():
        parent = parent_of(entries)
        if parent is None:
            continue
        items[parent.run_id, parent.step_id][run_id] = parent
        if parent.run_id not in runs:
            yield f"I1: run {run_id} is the child of {parent.run_id}, which is not in the log"
        if run_id != ChildIds(parent.run_id, parent.step_id).of(parent.index):
            yield f"I9: run {run_id} is another item {parent.index} of {parent.step_id} in {parent.run_id}"
    for run_id, entries in runs.items():
        for entry in entries:
            if isinstance(entry.event, LoopStarted):
                yield from _loop(run_id, entry.event, entries, items[run_id, entry.event.step_id], runs)
        yield from _woken(run_id, entries, runs)


def _loop(
    run_id: UUID, started: LoopStarted, entries: Sequence[Entry], items: Mapping[UUID, Parent], runs: Runs
) -> Iterator[str]:
    where = f"loop {started.step_id} of {run_id}"
    ends = [e.event for e in entries if isinstance(e.event, LoopFinished) and e.event.step_id == started.step_id]
    outcomes = [e.event for e in entries if isinstance(e.event, run.StepAttempt) and e.event.step_id == started.step_id]
    if len(ends) != min(1, len(outcomes)):
        yield f"I4: {where} has finished {len(ends)} times"
    yield from (
        f"I3: item {parent.index} of {where} is one of {parent.count}, after {parent.version} events"
        for parent in items.values()
        if (parent.version, parent.count) != (started.version, started.count)
    )
    first = entries[0].event
    if not ends or (isinstance(first, run.RunRequested) and first.reuses is not None):
        return  # of a replay some items stand in the stream of another run
    found = Counter(ENDS.get(type(runs[item][-1].event)) for item in items)
    cancelled = found["cancelled"] + started.count - len(items)
    expected = (found["completed"], found["failed"] + found["timed_out"], found["filtered"], cancelled)
    told: Counts = ends[0]
    if (told.succeeded, told.failed, told.filtered, told.cancelled) != expected or told.ended != started.count:
        yield f"I3: {where} says {told}, and its items ended as {dict(found)}"


def _woken(run_id: UUID, entries: Sequence[Entry], runs: Runs) -> Iterator[str]:
    """A run that waits for a called one is woken by its end, not before."""
    called = {entry.event.run_id for entry in entries if isinstance(entry.event, ZapCalled)}
    for entry in entries:
        if isinstance(entry.event, run.RunResumed) and entry.event.timer_id in called:
            end = runs.get(entry.event.timer_id, [entry])[-1]
            if type(end.event) not in ENDS or end.stored.position > entry.stored.position:
                yield f"I3: run {run_id} was woken by a called run that had not ended"
