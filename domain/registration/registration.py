"""What a service knows of a zap's hook, as far as we know; what it should know; and when it is told again. Pure."""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias, assert_never
from uuid import UUID, uuid5

import msgspec

from domain.registration.events import (
    HookCalled,
    HookFailed,
    HookRegistered,
    HookRemoved,
    RegistrationEvent,
    Site,
)
from domain.zap.definition import NamedTrigger

Status: TypeAlias = Literal["registering", "registered", "removing", "removed", "failed"]
UNDER_WAY = timedelta(seconds=60)
"""How long an attempt without an outcome may still be under way: nobody makes another one meanwhile."""
BUSY = timedelta(seconds=2)
CHECKED_EVERY = timedelta(days=1)
"""How often a service is asked whether it still has the hook."""
FIRST_S = 10.0
LONGEST_S = 3_600.0
MOST_FAILURES = 12
"""After so many in a row, about five hours, somebody has to look."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hook is, or may be (`site`), and what was heard of it last, `since` then."""

    status: Status
    site: Site | None
    hook_id: str = ""
    failures: int = 0
    code: str = ""
    message: str = ""
    final: bool = False
    since: datetime

    def is_under_way(self, now: datetime) -> bool:
        """Whether somebody may be calling the service right now."""
        return self.status in {"registering", "removing"} and now - self.since < UNDER_WAY

    @property
    def has_ended(self) -> bool:
        """Whether it has failed, and nobody tries again by himself."""
        return self.status == "failed" and self.next_at is None

    @property
    def next_at(self) -> datetime | None:
        """When a failed attempt is repeated; None where nobody does."""
        if self.status != "failed" or self.final or self.failures >= MOST_FAILURES:
            return None
        return self.since + timedelta(seconds=min(FIRST_S * 2 ** (self.failures - 1), LONGEST_S))


def evolve(state: Registration | None, event: RegistrationEvent, at: datetime) -> Registration | None:
    """The state after an event that was recorded at a moment. Total: never raises."""
    if isinstance(event, HookCalled):
        same = state is not None and state.site == event.site
        return Registration(
            status="registering" if event.doing == "register" else "removing",
            site=event.site,
            hook_id=state.hook_id if state and same else "",
            failures=state.failures if state and same else 0,
            since=at,
        )
    if state is None:
        return None
    replace = msgspec.structs.replace
    match event:
        case HookRegistered(hook_id=hook_id):
            return replace(state, status="registered", hook_id=hook_id, failures=0, since=at)
        case HookFailed(code=code, message=message, final=final):
            failures = state.failures + 1
            return replace(state, status="failed", failures=failures, code=code, message=message, final=final, since=at)
        case HookRemoved(left=left):
            return Registration(status="removed", site=None, message=left, since=at)
        case _:
            assert_never(event)


class Due(msgspec.Struct, frozen=True):
    """Since when a registration has to be looked at, and whether it has to be made once more."""

    at: datetime
    anew: bool = False


class Wait(msgspec.Struct, frozen=True):
    """There is nothing to do, until a moment or until something happens to the zap."""

    until: datetime | None = None


Step: TypeAlias = Literal["check", "register", "remove"] | Wait


def next_step(state: Registration | None, wanted: Site | None, due: Due, now: datetime) -> Step:
    """What has to be done so that the service knows what it should."""
    if state is None or state.site is None:
        return "register" if wanted else Wait()
    if state.is_under_way(now):
        return Wait(now + BUSY)
    is_news = state.since < due.at
    if state.status == "failed" and not is_news and (state.next_at is None or now < state.next_at):
        return Wait(state.next_at)
    if state.site != wanted or (due.anew and is_news):
        return "remove"
    return "check" if state.status == "registered" else "register"


def stream_of(zap_id: UUID) -> UUID:
    """The stream that tells of a zap's hook."""
    return uuid5(zap_id, "hook")


def site_of(trigger: NamedTrigger | None, url: str) -> Site | None:
    """Where the hook of an enabled zap should be registered; None where nowhere."""
    wish = trigger.config.get("register") if trigger else None
    if trigger is None or not isinstance(wish, dict):
        return None
    given = wish.get("input")
    fields = given if isinstance(given, dict) else {}
    return Site(at=str(wish.get("at")), input=fields, connection=trigger.connection or None, url=url)
