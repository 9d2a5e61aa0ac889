"""Zaps that run when others fail: for each failed run one run of each zap that listens, whatever breaks in between.

Failures are read from the log, in its order, behind a position that is stored once their runs are. Runs come under
dedupe keys, so what is read again starts nothing twice. It ends: a failure of a run that a failure or an alert started
starts none, no zap listens to itself, and depth is counted on.
"""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

import asyncpg
import msgspec
import structlog

from domain.aggregates import RUN, ZAP
from domain.hook.hops import MAX_DEPTH
from domain.hook.request import json_request
from domain.log.event import Append, Metadata
from domain.log.ports import NewId
from domain.log.stream import fold, load
from domain.registry import UnknownEvent, decode
from domain.run.events import DEADLINE, RunFailed, RunRequested, RunTimedOut
from domain.run.request import request_append
from domain.values.json import Json
from domain.zap.definition import Definition, NamedTrigger
from domain.zap.zap import LoadedZap
from projections.engine.freshness import holds_all
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries

log = structlog.get_logger()
_queries = Queries("queries/notifier.sql")
_zaps = Queries("projections/zap_list.sql")

FAILED = "zap.failed"
MOST = 200
"""Failures of one round."""
AHEAD = 20_000
"""Positions of the log that one round looks through."""
MAX_LISTENERS = 100
"""Zaps of one tenant that may listen."""
MAX_MESSAGE = 2_000


class Failed(msgspec.Struct, frozen=True):
    """A run that failed, as the log has its end."""

    position: int
    tenant_id: UUID
    run_id: UUID
    event_id: UUID
    at: datetime
    end: RunFailed | RunTimedOut


class Told(msgspec.Struct, frozen=True):
    """What a run that listens gets to know of a failure, how deep it is, and `via` which zaps it came about.

    `tags`: those of the zap that failed.
    """

    failed: Failed
    body: Json
    depth: int
    via: tuple[UUID, ...]
    tags: tuple[str, ...]


class Listeners:
    """Finds failures, and the zaps that listen to them."""

    def __init__(self, store: PgEventStore, new_id: NewId, public_url: str) -> None:
        self._store = store
        self._new_id = new_id
        self._public_url = public_url
        self._zaps: dict[UUID, LoadedZap] = {}
        self._until = self._done = 0

    async def check(self, connection: Connection) -> int:
        """Start the runs of a round, and remember how far the log was read. Gives how many failures there were."""
        head = await self._store.head()
        if head == self._done:
            return 0
        after = await connection.fetchval(_queries["listened_until"])
        if after is None or after > head:
            await connection.execute(_queries["listen_from"], head)
            self._done = head
            return 0
        # The read model may be behind for as long as the log grows; it will have come to where that was a round ago.
        until = self._until if self._until > after else min(head, after + AHEAD)
        self._until = until
        if until == after or not await holds_all(self._store.pool, "zap_list", until):
            return 0
        rows = await connection.fetch(_queries["failures"], after, until, MOST)
        failures = [failed for row in rows if (failed := _failed(row)) is not None]
        for failed in failures:
            await self._tell(connection, failed)
        self._done = rows[-1][0] if len(rows) == MOST else until
        await connection.execute(_queries["listen_from"], self._done)
        return len(failures)

    async def _tell(self, connection: Connection, failed: Failed) -> None:
        found = await connection.fetch(_zaps["listeners"], failed.tenant_id, MAX_LISTENERS)
        listeners = [row[0] for row in found if row[0] != failed.end.zap_id]
        if not listeners or failed.end.zap_id is None:
            return
        requested = await self._requested(failed.run_id)
        if requested is None or requested.depth >= MAX_DEPTH:
            log.warning("listeners.too_deep", run_id=str(failed.run_id))
            return
        source = await load(self._store, ZAP, failed.end.zap_id)
        tags = source.state.behaviour.tags if source else ()
        name = source.state.name if source else ""
        via = (*requested.via, failed.end.zap_id)
        told = Told(failed, self._body(failed, name, tags), requested.depth + 1, via, tags)
        versions = await self._store.versions(ZAP.kind, listeners)
        appends: list[Append] = []
        for zap_id in listeners:
            zap = await self._zap(zap_id, versions.get(zap_id, 0))
            if zap is not None and await self._listened(zap, told):
                definition = zap.state.version(zap.state.live).definition
                appends += [self._run_of(zap, definition, trigger, told) for trigger in _ears(zap, told)]
        await self._store.append_each(appends)

    async def _listened(self, zap: LoadedZap, told: Told) -> bool:
        """Whether the zap listened when the run failed: what went wrong before is none of its business."""
        position = told.failed.position
        if zap.last.position < position:
            return True
        events = await self._store.read_stream(ZAP.kind, zap.id)
        then = fold(ZAP, [event for event in events if event.position < position])
        return then is not None and bool(_ears(then, told))

    def _run_of(self, zap: LoadedZap, definition: Definition, trigger: NamedTrigger, told: Told) -> Append:
        trigger_id, trigger_type = definition.origin(trigger)
        request = json_request(told.body)
        return request_append(
            RunRequested(
                zap_id=zap.id,
                zap_version=zap.state.live,
                source="failure",
                request=msgspec.structs.replace(request, method="", trigger_id=trigger_id, trigger_type=trigger_type),
                dedupe_id=str(told.failed.run_id),
                depth=told.depth,
                via=told.via,
            ),
            definition.behaviour,
            tenant_id=zap.tenant_id,
            new_id=self._new_id,
            metadata=Metadata(actor="notifier", causation_id=told.failed.event_id),
            dedupe_key=sha256(b"failed" + zap.id.bytes + trigger.id.encode() + told.failed.run_id.bytes).digest(),
        )

    def _body(self, failed: Failed, name: str, tags: tuple[str, ...]) -> Json:
        end = failed.end
        code = end.code if isinstance(end, RunFailed) else DEADLINE
        return {
            "zap": {"id": str(end.zap_id), "name": name, "tags": list(tags)},
            "run": {"id": str(failed.run_id), "url": f"{self._public_url}/api/v1/runs/{failed.run_id}"},
            "error": {"step_id": end.step_id, "code": code, "message": end.message[:MAX_MESSAGE]},
            "at": failed.at.isoformat(),
        }

    async def _requested(self, run_id: UUID) -> RunRequested | None:
        """How the run was asked for; None where that is gone or cannot be read."""
        events, _more = await self._store.stream_page(RUN.kind, run_id, 0, 1)
        try:
            first = decode(events[0].type, events[0].schema_version, events[0].data) if events else None
        except (UnknownEvent, msgspec.DecodeError):
            return None
        return first if isinstance(first, RunRequested) else None

    async def _zap(self, zap_id: UUID, version: int) -> LoadedZap | None:
        known = self._zaps.get(zap_id)
        if known is not None and known.version >= version:
            return known
        try:
            found = fold(ZAP, await self._store.read_stream(ZAP.kind, zap_id))
        except (UnknownEvent, msgspec.DecodeError) as error:
            log.warning("listeners.unreadable_zap", zap_id=str(zap_id), error=repr(error))
            return None
        if len(self._zaps) >= MAX_LISTENERS:
            self._zaps.clear()
        if found is not None:
            self._zaps[zap_id] = found
        return found


def _ears(zap: LoadedZap, told: Told) -> list[NamedTrigger]:
    """The triggers by which the zap hears of a failure; none unless it is enabled."""
    if zap.state.status != "enabled":
        return []
    return [trigger for trigger in zap.state.version(zap.state.live).definition.starts if _hears(trigger, told)]


def _hears(trigger: NamedTrigger, told: Told) -> bool:
    if trigger.type != FAILED:
        return False
    zaps, tags = _texts(trigger.config.get("zap_ids")), _texts(trigger.config.get("tags"))
    is_named = str(told.failed.end.zap_id) in {zap_id.lower() for zap_id in zaps}
    return (is_named or not zaps) and (not tags.isdisjoint(told.tags) or not tags)


def _texts(value: Json) -> set[str]:
    return {str(one) for one in value} if isinstance(value, list) else set()


def _failed(row: "asyncpg.Record") -> Failed | None:
    """None for an end of an earlier release, which does not name its zap, and for one that an alert has led to."""
    position, tenant_id, run_id, event_id, name, schema, at, data = row
    try:
        end = decode(name, schema, data)
    except (UnknownEvent, msgspec.DecodeError):
        return None
    if not isinstance(end, RunFailed | RunTimedOut) or end.zap_id is None or end.of_alert:
        return None
    return Failed(position, tenant_id, run_id, event_id, at, end)
