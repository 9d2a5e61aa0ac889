"""How the polls of one source go: what is told of each, and when the next one is due. Pure."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from domain.zap.ticks import TriggerTicked, TurnStatus

TELL_EMPTY = timedelta(hours=1)
"""Polls in a row that find nothing new are told of as one this often; the first of them is told at once."""
LONGEST_S = 3_600.0
"""Between two polls of a source that fails, unless it is asked less often anyway."""
MAX_WISH_S = 86_400.0
"""The longest Retry-After that is respected."""
SOON_S = 1.0
"""When the rest is asked for, where a poll could not take all at once."""
ALERT_AFTER = 3
"""Failures in a row after which the zap is flagged."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How the polls of a source went so far. `empties` that began at `empties_since` have not been told of yet;
    `told` is the last outcome that was, at `told_at`.
    """

    failures: int = 0
    problem: str = ""
    last_at: datetime | None = None
    last_ok_at: datetime | None = None
    last_new_at: datetime | None = None
    empties: int = 0
    empties_since: datetime | None = None
    told: TurnStatus | None = None
    told_at: datetime | None = None


class Turn(msgspec.Struct, frozen=True):
    """A poll: whose, when it was due, and when it was made."""

    zap_id: UUID
    trigger_id: str
    due_at: datetime
    moment: datetime

    def ticked(
        self, status: TurnStatus, *, new_items: int = 0, run_ids: tuple[UUID, ...] = (), detail: str = ""
    ) -> TriggerTicked:
        """The outcome."""
        return TriggerTicked(
            zap_id=self.zap_id,
            trigger_id=self.trigger_id,
            kind="poll",
            status=status,
            due_at=self.due_at,
            fired_at=self.moment,
            run_ids=run_ids,
            new_items=new_items,
            detail=detail,
        )


def failed(course: Course, turn: Turn, detail: str) -> tuple[Course, list[TriggerTicked]]:
    """After a poll that gave nothing that can be used, which is told each time."""
    told = [*_owed(course, turn), turn.ticked("failed", detail=detail)]
    after = msgspec.structs.replace(
        course,
        failures=course.failures + 1,
        problem=detail,
        last_at=turn.moment,
        empties=0,
        empties_since=None,
        told="failed",
        told_at=turn.moment,
    )
    return after, told


def succeeded(
    course: Course, turn: Turn, new_items: int, run_ids: tuple[UUID, ...]
) -> tuple[Course, list[TriggerTicked]]:
    """After a poll that did. One with news is told of, one without only as far as the log stays small."""
    course = msgspec.structs.replace(course, failures=0, problem="", last_at=turn.moment, last_ok_at=turn.moment)
    if new_items:
        told = [*_owed(course, turn), turn.ticked("fired", new_items=new_items, run_ids=run_ids)]
        after = msgspec.structs.replace(
            course, last_new_at=turn.moment, empties=0, empties_since=None, told="fired", told_at=turn.moment
        )
        return after, told
    if course.told != "empty":
        return msgspec.structs.replace(course, told="empty", told_at=turn.moment), [turn.ticked("empty")]
    since = course.empties_since or turn.due_at
    waiting = msgspec.structs.replace(course, empties=course.empties + 1, empties_since=since)
    if course.told_at is None or turn.moment - course.told_at < TELL_EMPTY:
        return waiting, []
    told = _owed(waiting, turn)
    return msgspec.structs.replace(waiting, empties=0, empties_since=None, told_at=turn.moment), told


def _owed(course: Course, turn: Turn) -> list[TriggerTicked]:
    """What is to be told of polls that found nothing new."""
    if not course.empties or course.empties_since is None:
        return []
    detail = f"{course.empties:,} polls found nothing new" if course.empties > 1 else ""
    told = turn.ticked("empty", detail=detail)
    return [msgspec.structs.replace(told, due_at=course.empties_since, fired_at=course.last_at, count=course.empties)]


def next_at(
    course: Course, every_s: int, moment: datetime, *, wish_s: float | None = None, rest: bool = False
) -> datetime:
    """When the source is asked again: after failures twice as late each time, and not before it wishes."""
    if rest:
        return moment + timedelta(seconds=SOON_S)
    pause_s = float(every_s)
    if course.failures:
        pause_s = max(pause_s, min(pause_s * 2 ** min(course.failures, 20), LONGEST_S))
    return moment + timedelta(seconds=max(pause_s, min(wish_s or 0.0, MAX_WISH_S)))
