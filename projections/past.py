"""Zaps and runs as they were: folded from the log as it stood at a point, so what is told of it never changes."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.aggregates import RUN, ZAP
from domain.history.point import Point
from domain.log.errors import Invalid, NotFound
from domain.log.event import Event, StoredEvent, StreamKind
from domain.log.stream import Aggregate, fold
from domain.zap.zap import LoadedZap
from projections import run_reading
from projections.run_detail import RunDetail
from projections.run_detail import fold as fold_run
from projections.run_tree import Versions, place
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

T = TypeVar("T")
S = TypeVar("S")
E = TypeVar("E", bound=Event)
_queries = Queries("queries/past.sql")
QUICK = 256 * 1024
"""Bytes of events that are folded at once; more are folded in a thread."""
MAX_FOLDS = 20_000
"""Events that are folded for the states of one page; each state takes all events before it."""


class Past:
    """The past of all tenants. Methods raise NotFound for what was not there yet, or is another tenant's."""

    def __init__(self, store: PgEventStore) -> None:
        self._store = store
        self._versions = Versions(store)

    async def point(self, as_of: datetime | int, name: str = "as_of") -> Point:
        """The point of the log that a moment or a position names. Raises Invalid for what is still to come."""
        if isinstance(as_of, int):
            at: datetime | None = await self._store.pool.fetchval(_queries["recorded_at"], as_of)
            if at is None:
                raise _to_come(name, f"the log has come to position {await self._store.head()}")
            return Point(as_of, at)
        row = await self._store.pool.fetchrow(_queries["position_at"], as_of)
        if row and not row["settled"]:
            # What is being appended right now may still get a time before that moment.
            async with self._store.pool.acquire() as connection, connection.transaction():
                await connection.execute(_queries["hold_appends"])
                row = await connection.fetchrow(_queries["position_at"], as_of)
        if row is None or not (row["settled"] or row["over"]):
            raise _to_come(name, "that time is still to come")
        return Point(row["position"], as_of)

    async def zap(self, tenant_id: UUID, zap_id: UUID, point: Point) -> LoadedZap:
        """A zap as it was, also one that was deleted later."""
        rows = await self._store.pool.fetch(_queries["zap_until"], zap_id, point.position)
        events = [StoredEvent(*row) for row in rows]
        zap = await _off_loop(lambda: fold(ZAP, events), events)
        if zap is None:
            raise await self._not_yet(ZAP, tenant_id, zap_id)
        if zap.tenant_id != tenant_id:
            raise NotFound("no such zap")
        if zap.state.status == "deleted":
            raise NotFound(f"this zap was deleted by then, at position {zap.last.position}")
        return zap

    async def run(self, tenant_id: UUID, run_id: UUID, point: Point) -> RunDetail:
        """The detail of a run as it was, as people see it, with all steps of its version."""
        return await self._placed(await run_reading.detail(await self._events(tenant_id, run_id, point)))

    async def require_zap(self, tenant_id: UUID, zap_id: UUID) -> None:
        """Raises NotFound for what never was a zap of the tenant; one that is deleted has its history."""
        events, _more = await self._store.stream_page(StreamKind.CORE, zap_id, 0, 1)
        if not events or events[0].tenant_id != tenant_id or events[0].type != ZAP.first:
            raise NotFound("no such zap")

    async def begun(self, run_ids: Sequence[UUID], point: Point) -> list[UUID]:
        """Those of some runs that were there already."""
        rows = await self._store.pool.fetch(_queries["first_positions"], run_ids)
        there = {row[0] for row in rows if row[1] <= point.position}
        return [run_id for run_id in run_ids if run_id in there]

    async def completed(self, run_id: UUID, point: Point) -> bool:
        """Whether a run that has completed by now had done so then."""
        last = (await self._store.last_events(StreamKind.RUN, [run_id], ())).events
        return bool(last) and last[0].position <= point.position

    async def states(self, tenant_id: UUID, run_id: UUID, events: Sequence[StoredEvent], room: int) -> list[RunDetail]:
        """The detail of a run after each of some of its events in a row; fewer where the details exceed the room.

        `room` is in bytes. There is one at least.
        """
        until = Point(events[-1].position, events[-1].recorded_at)
        whole = await self._events(tenant_id, run_id, until)
        first = fold_run(whole[:1])
        definition = await self._versions.get(first.zap_id, first.zap_version)

        def work() -> list[RunDetail]:
            found: list[RunDetail] = []
            left, folds = room, MAX_FOLDS
            for state in run_reading.details(whole, {event.version for event in events}):
                if definition is not None:
                    place(state, definition)
                left -= len(msgspec.json.encode(run_reading.redacted(state)))
                folds -= events[len(found)].version
                if found and min(left, folds) < 0:
                    break
                found.append(state)
            return found

        return await asyncio.to_thread(work)

    async def _events(self, tenant_id: UUID, run_id: UUID, point: Point) -> list[StoredEvent]:
        rows = await self._store.pool.fetch(_queries["stream_until"], int(StreamKind.RUN), run_id, point.position)
        if not rows:
            raise await self._not_yet(RUN, tenant_id, run_id)
        events = [StoredEvent(*row) for row in rows]
        if events[0].tenant_id != tenant_id:
            raise NotFound("no such run")
        return events

    async def _placed(self, detail: RunDetail) -> RunDetail:
        definition = await self._versions.get(detail.zap_id, detail.zap_version)
        if definition is not None:
            place(detail, definition)
        return run_reading.redacted(detail)

    async def _not_yet(self, aggregate: Aggregate[S, E], tenant_id: UUID, stream_id: UUID) -> NotFound:
        """Why there is nothing: to its owner, that it came later."""
        events, _more = await self._store.stream_page(aggregate.kind, stream_id, 0, 1)
        if not events or events[0].tenant_id != tenant_id or events[0].type != aggregate.first:
            return NotFound(f"no such {aggregate.noun}")
        return NotFound(f"this {aggregate.noun} was not there yet: it begins at position {events[0].position}")


def _to_come(name: str, how_far: str) -> Invalid:
    reason = f"nothing is known of the future: {how_far}"
    return Invalid(f"{name}: {reason}", errors=[{"path": name, "reason": reason}])


async def _off_loop(work: Callable[[], T], events: Sequence[StoredEvent]) -> T:
    """Large streams are folded in a thread."""
    if sum(len(event.data) for event in events) <= QUICK:
        return work()
    return await asyncio.to_thread(work)
