"""Asks one source what is there, starts a run for each new item, and remembers what it has seen.

Runs are stored before the memory is. When a process dies in between, the items are found once more, and their dedupe
keys give the runs that they have.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.targets import Targets
from consumers.scheduler.timed_zaps import Timed, TimedZap, TimedZaps
from domain.aggregates import ZAP
from domain.connector.catalog import Catalog
from domain.connector.descriptor import TriggerDescriptor
from domain.connector.poll import MAX_ITEM, MAX_PASSED, Found, Item, Poll, PollContext, PollFailed
from domain.dialogue.topic import Skipped
from domain.hook.request import json_request
from domain.log.event import Append, AppendResult, DueTimer, Metadata, stream_of
from domain.log.ports import Clock, NewId, StoreUnavailable
from domain.log.stream import append, load
from domain.run.events import RunRequested
from domain.run.request import request_append
from domain.values.json import JsonObject
from domain.zap.events import Flag
from domain.zap.news import Known, dedupe_key, fingerprint, is_known, news, remember, wanted
from domain.zap.polls import ALERT_AFTER, Turn, failed, next_at, succeeded
from domain.zap.ticks import TriggerTicked, tick_append
from domain.zap.zap import FlagZap, UnflagZap, ZapCommand, decide
from sql.log.event_store import PgEventStore
from sql.tables.polls import Memory, PollTables, Source

log = structlog.get_logger()
WAVE = 20
"""Runs that are appended at a time: others share the queue to the log."""
ANSWER_S = 45.0
"""How long a source may take to give all of its pages."""


class PollTurn(msgspec.Struct, frozen=True):
    """A timer that is due, and the trigger that it belongs to."""

    timer: DueTimer
    zap: TimedZap
    timed: Timed


class _Pace(msgspec.Struct, frozen=True):
    """What the config of every trigger that polls says; the rest is the trigger's own matter."""

    every_s: int
    start_from: str
    max_items: int


class _Asked(msgspec.Struct, frozen=True):
    """A poll, and what was known of its source before."""

    turn: PollTurn
    poll: Poll
    pace: _Pace
    source: Source
    memory: Memory
    told: Turn

    @property
    def metadata(self) -> Metadata:
        """Why there are runs and outcomes."""
        return Metadata(actor="scheduler", causation_id=self.turn.timer.timer_id)


class Sources:
    """The sources of all zaps."""

    def __init__(
        self,
        store: PgEventStore,
        zaps: TimedZaps,
        catalog: Catalog,
        targets: Targets,
        dialogues: Dialogues,
        *,
        clock: Clock,
        new_id: NewId,
        credentials: Credentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._store = store
        self._zaps = zaps
        self._catalog = catalog
        self._targets = targets
        self._dialogues = dialogues
        self._tables = PollTables(store.pool)
        self._clock = clock
        self._new_id = new_id

    def takes(self, trigger_type: str) -> bool:
        """Whether triggers of this type poll."""
        descriptor = self._catalog.triggers.get(trigger_type)
        return descriptor is not None and descriptor.poll is not None

    async def ask(self, turn: PollTurn) -> datetime:
        """Poll a source once. Gives when the next poll is due."""
        trigger = turn.timed.trigger
        descriptor = self._catalog.triggers[trigger.type]
        poll = descriptor.poll
        assert poll is not None, "only triggers that poll get here"
        source = Source(
            turn.zap.zap_id, turn.zap.tenant_id, trigger.id, fingerprint(trigger.type, poll.source(trigger.config))
        )
        told = Turn(source.zap_id, trigger.id, turn.timer.due_at, self._clock())
        asked = _Asked(turn, poll, _pace(descriptor, trigger.config), source, await self._tables.get(source), told)
        try:
            found = await self._answer(asked)
        except PollFailed as error:
            return await self._failed(asked, error)
        return await self._found(asked, found) if await self._is_current(turn) else told.moment

    async def _answer(self, asked: _Asked) -> Found:
        """What the source has. Raises PollFailed."""
        known, tenant_id, trigger = asked.memory.known, asked.source.tenant_id, asked.turn.timed.trigger
        http = self._targets.of(tenant_id, None)
        armed = Armed(http, self._credentials, tenant_id, trigger.connection) if trigger.connection else None
        context = PollContext(
            http=armed or http,
            account=armed.account if armed else None,
            dialogue=self._dialogues.of(tenant_id),
            place=asked.memory.place,
            moment=asked.told.moment,
            clock=self._clock,
            beginning=asked.memory.beginning,
            is_known=lambda item: is_known(known, item),
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await asked.poll.run(trigger.config, context)
        except PollFailed as error:
            raise PollFailed(
                error.code, armed.text(error.message) if armed else error.message, after_s=error.after_s
            ) from None
        except TimeoutError:
            raise PollFailed("timeout", f"the source took more than {ANSWER_S:g} s for all of its pages") from None
        _require_small(found.items)
        return found

    async def _is_current(self, turn: PollTurn) -> bool:
        """Whether the zap still has this timer: it may have been paused or published while the source was asked."""
        versions = await self._store.versions(ZAP.kind, [turn.zap.zap_id])
        zap = (await self._zaps.of(versions)).get(turn.zap.zap_id)
        return zap is not None and turn.timer.timer_id in zap.timed

    async def _found(self, asked: _Asked, found: Found) -> datetime:
        """Start runs of what is new, as far as one poll may; what is left over stays unknown, and comes at once."""
        pace, memory = asked.pace, asked.memory
        starting = _starting(asked, found.items)
        taken, left = starting[: pace.max_items], {item.key for item in starting[pace.max_items :]}
        ids = await self._start(asked, taken)
        await self._tell_skipped(asked, found.skipped)
        course, ticks = succeeded(memory.course, asked.told, len(taken), tuple(ids))
        place = memory.place if left else found.place
        after = Memory(
            known=_known(asked, [item for item in found.items if item.key not in left]),
            place=place,
            beginning=memory.beginning and bool(found.place.resume),
            course=course,
        )
        if memory.course.failures >= ALERT_AFTER:
            await self._change(asked, UnflagZap("poll_failing"))
        more = bool(left or place.resume or found.more)
        return await self._save(asked, after, ticks, next_at(course, pace.every_s, asked.told.moment, rest=more))

    async def _tell_skipped(self, asked: _Asked, skipped: Sequence[Skipped]) -> None:
        """Tell of each item that starts no run, once, and before it is left behind."""
        await self._store.append_each(
            [
                tick_append(
                    asked.source.tenant_id,
                    asked.told.ticked("failed", detail=one.reason),
                    self._new_id,
                    asked.metadata,
                    item=one.key,
                )
                for one in skipped
            ]
        )

    async def _failed(self, asked: _Asked, error: PollFailed) -> datetime:
        course, ticks = failed(asked.memory.course, asked.told, f"{error.code}: {error.message}")
        log.info("poll.failed", zap_id=str(asked.source.zap_id), code=error.code, failures=course.failures)
        place = asked.memory.place
        if place.resume and (error.code.startswith("http_4") or error.code == "no_items"):
            # addresses of pages may be short-lived
            place = msgspec.structs.replace(place, resume="", passed=place.passed * (place.passed <= MAX_PASSED))
        after = msgspec.structs.replace(asked.memory, place=place, course=course)
        if course.failures >= ALERT_AFTER:
            detail = f"{course.failures} polls in a row have failed: {error.message}"[:300]
            flag = Flag(kind="poll_failing", step_id=asked.source.trigger_id, detail=detail, since=asked.told.moment)
            await self._change(asked, FlagZap(flag))
        upcoming = next_at(course, asked.pace.every_s, asked.told.moment, wish_s=error.after_s)
        return await self._save(asked, after, ticks, upcoming)

    async def _save(self, asked: _Asked, after: Memory, ticks: Sequence[TriggerTicked], upcoming: datetime) -> datetime:
        """Remember, then tell; where another scheduler was faster, it does both."""
        if not await self._tables.save(asked.source, asked.memory, after, upcoming):
            log.warning("poll.overtaken", zap_id=str(asked.source.zap_id))
            return upcoming
        tenant_id, metadata = asked.source.tenant_id, asked.metadata
        await self._store.append_each([tick_append(tenant_id, tick, self._new_id, metadata) for tick in ticks])
        return upcoming

    async def _start(self, asked: _Asked, items: Sequence[Item]) -> list[UUID]:
        """The runs of new items, the oldest first; those that are there already included."""
        ids: list[UUID] = []
        for wave in range(0, len(items), WAVE):
            appends = [self._run_of(asked, item) for item in items[wave : wave + WAVE]]
            results = await self._store.append_each(appends)
            ids += [_run_id(run, result) for run, result in zip(appends, results, strict=True)]
        return ids

    def _run_of(self, asked: _Asked, item: Item) -> Append:
        turn, source = asked.turn, asked.source
        trigger_id, trigger_type = turn.timed.origin
        request = json_request(item.body)
        return request_append(
            RunRequested(
                zap_id=source.zap_id,
                zap_version=turn.zap.live,
                source="poll",
                request=msgspec.structs.replace(request, method="", trigger_id=trigger_id, trigger_type=trigger_type),
                dedupe_id=item.key[:200],
            ),
            turn.zap.settings,
            tenant_id=source.tenant_id,
            new_id=self._new_id,
            metadata=asked.metadata,
            dedupe_key=dedupe_key(source.zap_id, source.fingerprint, asked.memory.known, item),
        )

    async def _change(self, asked: _Asked, command: ZapCommand) -> None:
        """Flag the zap, or take the flag away; not at all costs."""
        zap = await load(self._store, ZAP, asked.source.zap_id)
        if zap is not None and zap.state.status != "deleted":
            await append(self._store, self._new_id, zap, decide(command, zap.state), asked.metadata)


def _pace(descriptor: TriggerDescriptor, config: JsonObject) -> _Pace:
    """As the config says, and where it says nothing, as the trigger's own defaults do."""
    fields = descriptor.form["properties"]
    assert isinstance(fields, dict)
    given = {name: field["default"] for name, field in fields.items() if isinstance(field, dict) and "default" in field}
    return msgspec.convert({**given, **config}, _Pace)


def _starting(asked: _Asked, items: Sequence[Item]) -> Sequence[Item]:
    """The items that start runs."""
    if asked.poll.by_position:
        return items
    fresh = news(asked.memory.known, items)
    return wanted(asked.pace.start_from, fresh) if asked.memory.beginning else fresh


def _known(asked: _Asked, items: Sequence[Item]) -> Known:
    """What is known once these items were taken; of a source that is read by position, that says it all."""
    before = asked.memory.known
    return before if asked.poll.by_position else remember(before, items, asked.told.moment)


def _require_small(items: Sequence[Item]) -> None:
    """Raises PollFailed."""
    for item in items:
        if len(msgspec.json.encode(item.body)) > MAX_ITEM:
            raise PollFailed("item_too_large", f"the item {item.key[:100]} has more than {MAX_ITEM:,} bytes")


def _run_id(run: Append, result: AppendResult) -> UUID:
    run_id = stream_of(run, result)
    if run_id is None:
        raise StoreUnavailable("the new run's id was taken")
    return run_id
