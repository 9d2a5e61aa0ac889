"""Given past events, when a command is decided, then these events follow: for the deciders of the domain."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, TypeVar

import pytest

from domain.job import job
from domain.log.errors import DomainError
from domain.run import events as run_events
from domain.run import state as run
from domain.run.commands import RunCommand
from domain.run.decide import decide
from domain.zap import events as zap_events
from domain.zap import zap
from domain.zap.definition import Definition

THEN = datetime(2026, 1, 1, tzinfo=UTC)
"""When the past events were recorded."""

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")


class When(Generic[E]):
    """A command that is about to be decided."""

    def __init__(self, decide: Callable[[], list[E]]) -> None:
        self._decide = decide

    def then(self, *expected: E) -> None:
        """Exactly these events follow."""
        assert self._decide() == list(expected)

    def then_nothing(self) -> None:
        """The log already answers the command."""
        assert self._decide() == []

    def then_raises(self, error: type[DomainError], match: str | None = None) -> None:
        """The command is refused."""
        with pytest.raises(error, match=match):
            self._decide()


class Given(Generic[C, S, E]):
    """A state that came about by events."""

    def __init__(
        self,
        initial: S,
        evolve: Callable[[S, E], S],
        decide: Callable[[C, S], list[E]],
        past: Sequence[E],
    ) -> None:
        self.state = initial
        for event in past:
            self.state = evolve(self.state, event)
        self._decide = decide

    def when(self, command: C) -> When[E]:
        """Decide a command in this state."""
        return When(lambda: self._decide(command, self.state))


def given_zap(*past: zap_events.ZapEvent) -> Given[zap.ZapCommand, zap.ZapState, zap_events.ZapEvent]:
    """A zap with this history."""
    return Given(zap.INITIAL, lambda state, event: zap.evolve(state, event, THEN), zap.decide, past)


def given_run(
    definition: Definition, *past: run_events.RunEvent
) -> Given[RunCommand, run.RunState, run_events.RunEvent]:
    """A run of this definition, with this history."""
    return Given(run.INITIAL, run.evolve, lambda command, state: decide(command, state, definition), past)


def given_job(*past: job.JobEvent) -> Given[job.JobCommand, job.JobState, job.JobEvent]:
    """A job with this history."""
    return Given(job.INITIAL, job.evolve, job.decide, past)
