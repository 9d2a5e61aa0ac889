"""Finds zaps with a lasting problem and flags them: all runs fail, or a target answers 410."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from domain.aggregates import ZAP
from domain.log.event import Metadata, StreamKind
from domain.log.ports import EventStore, NewId
from domain.log.stream import append, load
from domain.registry import decode
from domain.run.events import StepAttempt, StepStarted
from domain.values.json import Json
from domain.zap.events import Flag
from domain.zap.zap import FlagZap, LoadedZap, UnflagZap, ZapCommand, decide
from projections.gone_targets import GoneTarget, gone_targets
from projections.run_list import first_failed_at
from projections.zap_health import Failing, failing, healed
from sql.postgres.pool import Connection

log = structlog.get_logger()
ZAPS_AT_A_TIME = 100
"""Zaps of each kind that are looked at in one check: each costs a read of its stream."""
LAG = timedelta(seconds=5)
"""How long a zap is not looked at again that needs nothing: the read model may be a little behind."""
LOOK_AGAIN = timedelta(seconds=60)
"""How late a changed setting of a failing zap may be noticed, while it has not failed for long enough."""
_FIRST = UUID(int=0)
T = TypeVar("T")


class Flags:
    """Flags zaps, and takes flags away. Decisions are made on the zap's stream, whatever the read models lag."""

    def __init__(self, store: EventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id
        self._not_before: dict[tuple[str, UUID], datetime] = {}
        self._looked_at = dict.fromkeys(("failing", "gone", "healed"), _FIRST)

    async def check(self, connection: Connection, moment: datetime) -> None:
        """Flag what is wrong at a moment, of so many zaps at once. Raises what the store and the connection raise."""
        self._not_before = {key: until for key, until in self._not_before.items() if until > moment}
        found = await failing(connection, self._looked_at["failing"], ZAPS_AT_A_TIME)
        for candidate in self._due("failing", found, lambda failing: failing.zap_id):
            await self._check_failing(connection, candidate, moment)
        gone = await gone_targets(connection, self._looked_at["gone"], ZAPS_AT_A_TIME)
        for target in self._due("gone", gone, lambda gone: gone.zap_id):
            await self._check_gone(target, moment)
        for zap_id in self._due("healed", await healed(connection, self._looked_at["healed"], ZAPS_AT_A_TIME), _same):
            await self._check_healed(zap_id, moment)

    def _due(self, kind: str, found: Sequence[T], zap_id: Callable[[T], UUID]) -> list[T]:
        """Without those looked at a moment ago. The next look goes on behind these, or begins anew."""
        self._looked_at[kind] = zap_id(found[-1]) if len(found) >= ZAPS_AT_A_TIME else _FIRST
        return [one for one in found if (kind, zap_id(one)) not in self._not_before]

    def _later(self, kind: str, zap_id: UUID, moment: datetime) -> None:
        self._not_before[kind, zap_id] = moment

    async def _check_healed(self, zap_id: UUID, moment: datetime) -> None:
        zap = await load(self._store, ZAP, zap_id)
        if zap and await self._execute(zap, UnflagZap("failing")):
            log.info("zap.unflagged", zap_id=str(zap_id), kind="failing")
        self._later("healed", zap_id, moment + LAG)

    async def _check_failing(self, connection: Connection, candidate: Failing, moment: datetime) -> None:
        zap = await load(self._store, ZAP, candidate.zap_id)
        if zap is None:
            return
        after = max(candidate.last_completed_at or zap.state.trusted_since, zap.state.trusted_since)
        since = await first_failed_at(connection, candidate.tenant_id, candidate.zap_id, after)
        wanted = zap.state.behaviour.on_failure
        due = since and since + timedelta(seconds=wanted.flag_after_s)
        if since is None or due is None or due > moment:
            self._later("failing", zap.id, min(due or moment + LOOK_AGAIN, moment + LOOK_AGAIN))
            return
        detail = f"all runs since {since:%Y-%m-%d %H:%M} UTC have failed"
        await self._flag(zap, FlagZap(Flag(kind="failing", detail=detail, since=since), pause=wanted.pause))

    async def _check_gone(self, target: GoneTarget, moment: datetime) -> None:
        zap = await load(self._store, ZAP, target.zap_id)
        if zap is None or target.last_at <= zap.state.trusted_since:
            self._later("gone", target.zap_id, moment + LAG)
            return
        address = await self._address(target)
        detail = f"{address or 'the target'} of step {target.step_id} wants no more requests: it answered 410"
        flag = Flag(kind="target_gone", step_id=target.step_id, detail=detail, since=target.last_at)
        await self._flag(zap, FlagZap(flag))

    async def _flag(self, zap: LoadedZap, command: FlagZap) -> None:
        if await self._execute(zap, command):
            log.warning("zap.flagged", zap_id=str(zap.id), kind=command.flag.kind, step_id=command.flag.step_id)

    async def _execute(self, zap: LoadedZap, command: ZapCommand) -> bool:
        """False when that changes nothing, or another process was faster."""
        events = decide(command, zap.state)
        return await append(self._store, self._new_id, zap, events, Metadata(actor="notifier"))

    async def _address(self, target: GoneTarget) -> str:
        """Scheme and host of what the step called: a path or query may hold a secret, and alerts go out."""
        given: Json = None
        for stored in await self._store.read_stream(StreamKind.RUN, target.run_id):
            event = decode(stored.type, stored.schema_version, stored.data)
            if isinstance(event, StepStarted | StepAttempt) and event.step_id == target.step_id:
                given = event.input or given  # an attempt like the one before does not hold it again
        url = urlsplit(str(given.get("url") or "")) if isinstance(given, dict) else None
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}" if url and url.netloc else ""


def _same(zap_id: UUID) -> UUID:
    return zap_id
