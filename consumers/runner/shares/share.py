"""A tenant's or zap's share of what all use, and when a run that finds it taken had better wait in the log."""

import asyncio
import random

from consumers.outbound.turns import Turns
from domain.connector.outcome import Postponed
from sql.process.patience import Patience

PATIENCE_S = 20.0
"""Runs that would wait longer are postponed: waiting here takes memory, and room in the lanes."""
WAITERS = 3_000
"""Runs of a tenant that may wait before any of its uses has ended, so that their duration is unknown."""
SOON_S = 2.0
GUESS_S = 1.0
"""How long a use takes, until one has ended."""
WEIGHT = 0.1
"""Of the latest use in the running average of how long they take."""


class Busy(Exception):
    """Too many runs wait already. Nothing was begun; try again after `after_s` seconds."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"too many runs wait; try again in {after_s:.1f} s")
        self.after_s = after_s

    @property
    def postponed(self) -> Postponed:
        """The run waits in the log, where it takes no memory and no room from others."""
        return Postponed(code="busy", message="too many runs wait; the step waits for its turn", after_s=self.after_s)


class Share:
    """How much of a tenant or zap runs and waits, and how long its uses take. `users` counts both.

    `served`: its latest turn. A newcomer has one, too: it is behind all that have waited since they were served.
    """

    def __init__(self, served: int) -> None:
        self.users = self.running = self.waiting = 0
        self.served = served
        self.held_s: float | None = None
        self._turns = Turns(random.random)

    @property
    def rank(self) -> tuple[int, int]:
        """The lowest is served first: it holds the least and was served, or came, least recently."""
        return self.running, self.served

    @property
    def width(self) -> int:
        """How many of its uses go on at once."""
        return max(1, self.running)

    def took(self, held_s: float) -> None:
        """A use has lasted for so long."""
        self.held_s = held_s if self.held_s is None else self.held_s + (held_s - self.held_s) * WEIGHT

    def wait_s(self) -> float:
        """How long one more would wait, as far as is known."""
        if self.held_s is None:
            return 0.0 if self.waiting < WAITERS else float("inf")
        return self.waiting * self.held_s / self.width

    @property
    def is_full(self) -> bool:
        """Whether one more would wait for longer than it may."""
        return self.wait_s() > PATIENCE_S

    def gave_up(self) -> Busy:
        """One of its runs has waited as long as it may."""
        self.held_s = max(self.held_s or 0.0, PATIENCE_S)
        return self.busy()

    def busy(self) -> Busy:
        """For a run that had better wait elsewhere. Such runs return one by one, at the rate at which uses end."""
        now = asyncio.get_running_loop().time()
        every_s = (self.held_s or GUESS_S) / self.width
        return Busy(self._turns.after_s(now, now + SOON_S + self.waiting * every_s, every_s))


def patience() -> Patience[asyncio.Future[None]]:
    """Ends waits that have lasted for as long as they may, with TimeoutError."""
    return Patience(PATIENCE_S, asyncio.Future.done, _too_late)


def is_granted(turn: asyncio.Future[None]) -> bool:
    """Whether a wait has ended with what was waited for."""
    return turn.done() and not turn.cancelled() and turn.exception() is None


def _too_late(turn: asyncio.Future[None]) -> None:
    turn.set_exception(TimeoutError())
