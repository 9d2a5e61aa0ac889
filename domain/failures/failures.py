"""Runs of a zap that failed for good, by cause: which alerts its owner got, and what became of the failures.

A group is all failures of one zap at one step with one code. Its counts only rise; to resolve it, or to tell of it, is
to say up to which count. The events are in a stream beside the zap's own, one per zap.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID, uuid5

import msgspec

from domain.log.event import Event
from domain.zap.events import Flag

MAX_MESSAGE = 500
"""Characters of a failure's message that are kept beside the run's own record."""
MAX_NOTE = 2_000
"""Characters of a note."""
ATTEMPTS_AFTER_S = (10.0, 60.0, 300.0, 1_800.0)
"""Seconds from a failed attempt to tell of failures to the next one; when the list ends it is given up."""
_STREAMS = UUID("3d1b7f0c-6f5c-5d0a-8f61-0d3d1c6a7e55")
_GROUPS = UUID("b6a3f1de-0c0e-5a53-9a7d-5b9b9c2c4f02")


class FailuresResolved(Event, frozen=True, kw_only=True):
    """A user has resolved the first `count` failures of a group; later ones open it again."""

    zap_id: UUID
    step_id: str
    code: str
    count: int


class FailuresNoted(Event, frozen=True, kw_only=True):
    """A user wrote a note about a group; an empty note removes it."""

    zap_id: UUID
    step_id: str
    code: str
    note: str


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert tells of one group: `count` new failures, which make it `total` so far.

    `of_alerts` of the total were failures of runs that an alert had started. The message and run are the last ones.
    """

    step_id: str
    code: str
    message: str
    run_id: UUID
    count: int
    total: int
    of_alerts: int = 0


class AlertRaised(Event, frozen=True, kw_only=True):
    """There is something to tell; what exactly stands here, so that every attempt to tell it tells the same.

    The event's id is the alert's. Nothing else is told before `quiet_until`, but for new flags; `flags_until` is the
    position of the last flag that is told of. `chained`: all failures are of runs that an alert had started.
    """

    zap_id: UUID
    zap_name: str
    since: datetime
    until: datetime
    causes: tuple[Cause, ...]
    flags: tuple[Flag, ...] = ()
    flags_until: int = 0
    quiet_until: datetime
    chained: bool = False

    @property
    def failures(self) -> int:
        """How many new ones."""
        return sum(cause.count for cause in self.causes)


class AlertAttempted(Event, frozen=True, kw_only=True):
    """An alert was sent: by channel an empty text, or why that did not work. With `retry_at` it is tried again then."""

    zap_id: UUID
    alert_id: UUID
    attempt: int
    results: Mapping[str, str]
    retry_at: datetime | None = None


FailuresEvent: TypeAlias = FailuresResolved | FailuresNoted | AlertRaised | AlertAttempted


class Unreported(msgspec.Struct, frozen=True, kw_only=True):
    """A group with failures that no alert has reported: the counts, now and at the last alert."""

    step_id: str
    code: str
    message: str
    run_id: UUID
    first_at: datetime
    last_at: datetime
    total: int
    of_alerts: int
    told: int
    told_of_alerts: int


def stream_of(zap_id: UUID) -> UUID:
    """The stream of what a zap's failures lead to: not the zap's own, whose every event makes caches read it again."""
    return uuid5(_STREAMS, zap_id.hex)


def group_id(zap_id: UUID, step_id: str, code: str) -> UUID:
    """The id of a group: always the same for the same cause."""
    return uuid5(_GROUPS, f"{zap_id.hex} {step_id} {code}")


def raise_alert(
    zap_id: UUID,
    zap_name: str,
    unreported: Sequence[Unreported],
    *,
    flags: Sequence[Flag] = (),
    flags_until: int = 0,
    last_until: datetime | None = None,
    every_s: int,
    moment: datetime,
) -> AlertRaised:
    """The alert about everything that no alert has reported; `last_until` is where the previous alert ended."""
    first = min((group.first_at for group in unreported), default=moment)
    others = sum((group.total - group.of_alerts) - (group.told - group.told_of_alerts) for group in unreported)
    return AlertRaised(
        zap_id=zap_id,
        zap_name=zap_name,
        since=max(first, last_until) if last_until else first,
        until=max((group.last_at for group in unreported), default=moment),
        causes=tuple(_cause(group) for group in unreported),
        flags=tuple(flags),
        flags_until=flags_until,
        quiet_until=moment + timedelta(seconds=every_s),
        chained=bool(unreported) and others == 0,
    )


def _cause(group: Unreported) -> Cause:
    return Cause(
        step_id=group.step_id,
        code=group.code,
        message=group.message,
        run_id=group.run_id,
        count=group.total - group.told,
        total=group.total,
        of_alerts=group.of_alerts,
    )


def owed(history: Iterable[tuple[UUID, FailuresEvent]], channel: str) -> list[AlertRaised]:
    """The alerts that a channel has missed since it last took one: (id, event) in order, of the stream's end."""
    missed: dict[UUID, AlertRaised] = {}
    failed: dict[UUID, AlertRaised] = {}
    for event_id, event in history:
        if isinstance(event, AlertRaised):
            missed[event_id] = event
        elif isinstance(event, AlertAttempted) and event.alert_id in missed and channel in event.results:
            if event.results[channel]:
                failed[event.alert_id] = missed[event.alert_id]
            else:
                failed.clear()  # it was told of the ones before along with this one
    return list(failed.values())


def together(missed: Sequence[AlertRaised], alert: AlertRaised) -> AlertRaised:
    """An alert that tells of earlier ones as well, each group once."""
    causes: dict[tuple[str, str], Cause] = {}
    for cause in (cause for one in (*missed, alert) for cause in one.causes):
        before = causes.get((cause.step_id, cause.code))
        count = cause.count + (before.count if before else 0)
        causes[cause.step_id, cause.code] = msgspec.structs.replace(cause, count=count)
    since = min(one.since for one in (*missed, alert))
    return msgspec.structs.replace(alert, since=since, causes=tuple(causes.values()))


def attempted(
    zap_id: UUID, alert_id: UUID, attempt: int, results: Mapping[str, str], moment: datetime
) -> AlertAttempted:
    """What an attempt came to: where a channel failed there is another one, a bounded number of times."""
    again = any(results.values()) and attempt <= len(ATTEMPTS_AFTER_S)
    retry_at = moment + timedelta(seconds=ATTEMPTS_AFTER_S[attempt - 1]) if again else None
    return AlertAttempted(zap_id=zap_id, alert_id=alert_id, attempt=attempt, results=results, retry_at=retry_at)
