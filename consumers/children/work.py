"""What loops need of the process that carries them out, and what a runner gives them beyond that."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import msgspec

from consumers.children.surroundings import Surroundings
from consumers.children.unstored import Requests, Unstored
from domain.flow.steps import ForEachStep
from domain.log.ports import Clock, EventStore, NewId
from domain.run.events import RunEvent
from domain.run.state import LoadedRun

Record = Callable[[LoadedRun, Sequence[RunEvent]], Awaitable[LoadedRun | None]]
"""Appends events to a run; None where somebody else was quicker."""


class Starts:
    """Where new items are carried out: here nowhere, as the topic tells of them, too."""

    def expect(self, run_ids: Sequence[UUID], ordering_key: UUID) -> None:
        """These runs are about to be requested."""

    def begin(self, runs: Sequence[LoadedRun], sizes: Sequence[int]) -> None:
        """They were, with so many bytes each."""

    def begin_unstored(self, items: Sequence[Unstored], sizes: Sequence[int]) -> None:
        """They will be together with what comes of them."""

    def begin_known(self, run_ids: Sequence[UUID], tenant_id: UUID) -> None:
        """They had been requested before."""


_NOWHERE = Starts()


def _everything(_ordering_key: UUID) -> bool:
    return True


def _all(_step: ForEachStep, count: int) -> Sequence[int]:
    return range(count)


class Work(msgspec.Struct):
    """What loops need of the runner. `owns`: whether runs of an ordering key are this process's to carry on.

    `stopping` is set once the process is about to end: loops go on in another one.

    `chosen`: the items that are done of so many, ascending. The others count as cancelled, and are not listed.

    `requests`: where items may begin before the log has them.
    """

    store: EventStore
    surroundings: Surroundings
    record: Record
    clock: Clock
    new_id: NewId
    starts: Starts = _NOWHERE
    owns: Callable[[UUID], bool] = _everything
    stopping: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    chosen: Callable[[ForEachStep, int], Sequence[int]] = _all
    requests: Requests | None = None
