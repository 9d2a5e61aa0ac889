"""What became of each turn of a trigger that starts by itself: a tick of a schedule, or a poll.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from datetime import datetime
from hashlib import sha256
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.log.event import Append, Event, Metadata, NewEvent, StreamKind
from domain.log.ports import NewId
from domain.log.stream import facts
from domain.zap.schedule import Due

MAX_RUN_IDS = 100
"""Runs of one turn that are named; `new_items` counts all."""
MAX_DETAIL = 500

TurnKind: TypeAlias = Literal["schedule", "poll"]
TurnStatus: TypeAlias = Literal["fired", "missed", "failed", "empty"]
"""`fired`: runs were started. `missed`: nobody was there in time. `failed`: the source gave nothing. `empty`: nothing
new was there."""


class TriggerTicked(Event, frozen=True, kw_only=True):
    """A trigger had its turn, or missed it. The event's id is that of its stream, of which months are dropped.

    `count` turns in a row that were alike are told as one: the first was due at `due_at`, and `fired_at` is the moment
    of the last.
    """

    zap_id: UUID
    trigger_id: str
    kind: TurnKind
    status: TurnStatus
    due_at: datetime
    fired_at: datetime | None = None
    run_ids: tuple[UUID, ...] = ()
    new_items: int = 0
    detail: str = ""
    count: int = 1


TickEvent: TypeAlias = TriggerTicked


def tick_append(tenant_id: UUID, ticked: TriggerTicked, new_id: NewId, metadata: Metadata, *, item: str = "") -> Append:
    """What stores the outcome of a turn, or of one item of its source. The first one counts, whoever tells another."""
    ticked = msgspec.structs.replace(ticked, run_ids=ticked.run_ids[:MAX_RUN_IDS], detail=ticked.detail[:MAX_DETAIL])
    tick_id = new_id()
    return facts(
        ticked.zap_id,
        tenant_id,
        NewEvent(tick_id, ticked),
        metadata=metadata,
        kind=StreamKind.REQUEST,
        stream_id=tick_id,
        expected=0,
        dedupe_key=_key(ticked, item),
    )


def _key(ticked: TriggerTicked, item: str) -> bytes:
    text = f"tick {ticked.trigger_id} {item or ticked.due_at.isoformat()}"
    return sha256(ticked.zap_id.bytes + text.encode()).digest()


def run_key(zap_id: UUID, origin_id: str, tick: datetime) -> bytes:
    """Under this key a tick of a schedule has its run. `origin_id` is empty for a zap's only trigger."""
    return sha256(zap_id.bytes + f"schedule{origin_id}{tick.isoformat()}".encode()).digest()


def missed(zap_id: UUID, trigger_id: str, due: Due) -> list[TriggerTicked]:
    """The outcomes of ticks that start no run: one by one, and those behind the first hundred as one."""
    found = [_missed(zap_id, trigger_id, tick) for tick in due.missed]
    return [*found, _missed(zap_id, trigger_id, due.more_from, due.more)] if due.more_from else found


def _missed(zap_id: UUID, trigger_id: str, tick: datetime, count: int = 1) -> TriggerTicked:
    return TriggerTicked(
        zap_id=zap_id,
        trigger_id=trigger_id,
        kind="schedule",
        status="missed",
        due_at=tick,
        detail="nothing was running" if count == 1 else f"nothing was running; nor for the {count - 1:,} ticks behind",
        count=count,
    )
