"""Zaps whose triggers have timers, as far as the scheduler needs them: in memory, and read when their streams grow."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from consumers.registering.registrar import HookOf
from domain.aggregates import ZAP
from domain.log.event import StoredEvent
from domain.log.ports import EventStore
from domain.log.stream import fold
from domain.registration.registration import Due
from domain.registry import UnknownEvent, decode
from domain.zap.definition import Definition, NamedTrigger
from domain.zap.events import ZapHookDue, ZapScheduled
from domain.zap.settings import ZapSettings
from domain.zap.zap import sent_to

log = structlog.get_logger()
CAPACITY = 20_000
"""Zaps in memory, without their steps; the one unused for longest makes room."""
_OVER = frozenset({"zap.published", "zap.rolled_back", "zap.enabled", "zap.paused", "zap.deleted"})
"""Events that end the timers before them."""
_GO_ON = frozenset({"zap.published", "zap.rolled_back"})
"""Those of them after which the zap is as enabled as it was."""


class Timed(msgspec.Struct, frozen=True):
    """A trigger with a timer that was set at a moment. `origin` is its id and type as runs have them.

    `goes_on`: the version before had it, too, so a tick of that may still be due.
    """

    trigger: NamedTrigger
    set_at: datetime
    origin: tuple[str, str]
    goes_on: bool


class TimedZap(msgspec.Struct, frozen=True):
    """A zap at a version of its stream: its triggers by the ids of their timers, none where it is not enabled.

    `hook_timer`: that by which its hook has to be looked at.
    """

    zap_id: UUID
    tenant_id: UUID
    stream_version: int
    live: int
    settings: ZapSettings
    timed: Mapping[UUID, Timed]
    hook: HookOf
    hook_timer: UUID | None


class TimedZaps:
    """Zaps by id."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._known: OrderedDict[UUID, TimedZap] = OrderedDict()

    async def of(self, versions: Mapping[UUID, int]) -> dict[UUID, TimedZap]:
        """The zaps as they are at these versions of their streams at least, without those that cannot be read."""
        stale = [zap_id for zap_id, version in versions.items() if self._version(zap_id) < version]
        for zap_id in stale:  # one after the other, because each reads a whole stream
            found = timed_zap(await self._store.read_stream(ZAP.kind, zap_id))
            if found is not None:
                self._known[zap_id] = found
        zaps = {zap_id: self._known[zap_id] for zap_id in versions if zap_id in self._known}
        for zap_id in zaps:
            self._known.move_to_end(zap_id)
        while len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return {zap_id: zap for zap_id, zap in zaps.items() if zap.stream_version >= versions[zap_id]}

    def _version(self, zap_id: UUID) -> int:
        known = self._known.get(zap_id)
        return known.stream_version if known else 0


def timed_zap(events: Sequence[StoredEvent]) -> TimedZap | None:
    """The zap of a stream; None where there is none, or this release cannot read it."""
    try:
        loaded = fold(ZAP, events)
    except (UnknownEvent, msgspec.DecodeError) as error:
        log.warning("schedule.unreadable_zap", zap_id=str(events[0].stream_id), error=repr(error))
        return None
    if loaded is None:
        return None
    zap = loaded.state
    live = zap.version(zap.live).definition if zap.live and zap.status == "enabled" else None
    hook_timer, due = _hook_due(events)
    return TimedZap(
        zap_id=loaded.id,
        tenant_id=loaded.tenant_id,
        stream_version=loaded.version,
        live=zap.live,
        settings=zap.behaviour,
        timed=_timed(live, events) if live else {},
        hook=HookOf(zap_id=loaded.id, tenant_id=loaded.tenant_id, trigger=sent_to(zap), due=due),
        hook_timer=hook_timer,
    )


def _hook_due(events: Sequence[StoredEvent]) -> tuple[UUID | None, Due]:
    """The last timer by which the hook has to be looked at, and since when."""
    stored = next((event for event in reversed(events) if event.type == "zap.hook_due"), None)
    if stored is None:
        return None, Due(events[-1].recorded_at)
    event = decode(stored.type, stored.schema_version, stored.data)
    assert isinstance(event, ZapHookDue)
    return stored.event_id, Due(stored.recorded_at, event.anew)


def _timed(live: Definition, events: Sequence[StoredEvent]) -> dict[UUID, Timed]:
    found: dict[UUID, Timed] = {}
    before: set[str] = set()
    triggers = {live.origin(trigger)[0]: trigger for trigger in live.starts}
    for stored in events:
        if stored.type in _OVER:
            before = {timed.origin[0] for timed in found.values()} if stored.type in _GO_ON else set()
            found.clear()
        elif stored.type == "zap.scheduled":
            event = decode(stored.type, stored.schema_version, stored.data)
            assert isinstance(event, ZapScheduled)
            trigger = triggers.get(event.trigger_id)
            if trigger is not None:
                goes_on = event.trigger_id in before
                found[stored.event_id] = Timed(trigger, stored.recorded_at, live.origin(trigger), goes_on)
    return found
