"""The job that holds a draft against runs that were: nothing is sent, and no run is changed."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from consumers.jobs.kinds import Outcome, Refused
from consumers.rehearsal.answers import recorded
from consumers.rehearsal.comparison import Comparison, compare
from consumers.rehearsal.rehearsal import Rehearsal
from consumers.rehearsal.wish import Wish, asks_others
from domain.aggregates import RUN, ZAP
from domain.job.job import LoadedJob
from domain.log.errors import DomainError, NotFound
from domain.log.event import StoredEvent, StreamKind
from domain.log.stream import fold as folded
from domain.registry import UnknownEvent
from domain.run.state import ActiveRun, EndedRun, idempotency_key
from domain.zap.definition import Definition
from domain.zap.zap import LoadedZap
from projections.run_detail import NotARun, RunDetail, fold
from projections.run_query import oldest_triggers
from projections.run_tree import place
from projections.step_detail import Attempt
from sql.log.event_store import PgEventStore
from sql.tables.backtests import Backtests, Result

LIMIT_S = 10.0
"""How long one run may take. Nothing is waited for, so only templates take time."""
PROBLEM = "the draft took too long with this run"


class Backtest:
    """Rehearses the draft of a zap, as it was when the job was asked for, with each run of a span."""

    read_models: Sequence[str] = ("run_list",)
    stream_kinds: Collection[StreamKind] = (StreamKind.RUN,)
    leaves: str | None = None
    in_order: bool = False

    def __init__(self, store: PgEventStore, rehearsal: Rehearsal) -> None:
        self._store = store
        self._rehearsal = rehearsal
        self._results = Backtests(store.pool)

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The ids that follow one, in order."""
        requested = loaded.state.requested
        first, last = requested.span
        after = after or UUID(int=max(0, first.int - 1))
        return await oldest_triggers(
            self._store.pool, loaded.tenant_id, requested.filter, after=after, last=last, limit=limit
        )

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """Compare each. A repeat replaces the result of before, so it makes no difference."""
        zap = await self._draft(loaded)
        streams = await self._store.read_streams(StreamKind.RUN, batch)
        found = [await self._tried(zap, streams.get(run_id, [])) for run_id in batch]
        await self._results.put(loaded.id, loaded.tenant_id, [one for one in found if isinstance(one, Result)])
        return [one if isinstance(one, Refused) else None for one in found]

    async def _draft(self, loaded: LoadedJob) -> LoadedZap:
        """The zap as it was when the job was asked for. Raises NotFound."""
        requested = loaded.state.requested
        zap_id = requested.filter.zap_id
        events = await self._store.read_stream(ZAP.kind, zap_id) if zap_id else []
        zap = folded(ZAP, events[: requested.draft])
        if zap is None or zap.tenant_id != loaded.tenant_id:
            raise NotFound("no such zap")
        return zap

    async def _tried(self, zap: LoadedZap, events: Sequence[StoredEvent]) -> Result | Refused:
        try:
            return await self._result(zap, events)
        except (DomainError, UnknownEvent, msgspec.DecodeError, NotARun) as error:
            return Refused("failed", str(error))

    async def _result(self, zap: LoadedZap, events: Sequence[StoredEvent]) -> Result | Refused:
        run = folded(RUN, events)
        if run is None or run.tenant_id != zap.tenant_id:
            return Refused("failed", "no such run")
        then = fold(events)
        original = zap.state.version(then.zap_version).definition
        place(then, original)
        rehearsed = await self._rehearsal.of(self._wish(zap, run.state, then))
        if rehearsed.timed_out:
            return Refused("failed", PROBLEM)
        now = fold(rehearsed.events)
        place(now, zap.state.draft)
        for step in now.steps:
            step.answered_by = rehearsed.answered.get(idempotency_key(now.id, step.id), step.answered_by)
        return _row(compare(then, now, _changed(original, zap.state.draft)))

    def _wish(self, zap: LoadedZap, run: ActiveRun | EndedRun, then: RunDetail) -> Wish:
        requested, draft = run.requested, zap.state.draft
        return Wish(
            run_id=then.id,
            tenant_id=zap.tenant_id,
            zap_id=zap.id,
            number=then.zap_version,
            definition=draft,
            request=requested.request,
            source=requested.source,
            recorded=recorded(run, zap.state.version(requested.zap_version).definition, draft),
            patient=True,
            at=then.started_at,
            began={step.id: began for step in then.steps if (began := _began(step.attempts, step.started_at))},
            limit_s=LIMIT_S,
        )


def _changed(original: Definition, draft: Definition) -> set[str]:
    """The steps of the draft that ask somebody else, and ask otherwise than they did: what the answer would be now?"""
    return {
        step.id
        for _path, step in draft.all_steps()
        if asks_others(step) and msgspec.json.encode(step) != msgspec.json.encode(original.step(step.id))
    }


def _began(attempts: Sequence[Attempt], started_at: datetime | None) -> datetime | None:
    """When a step was begun last, since its input is that of its last attempt."""
    return attempts[-1].started_at if attempts else started_at


def _row(comparison: Comparison) -> Result:
    return Result(
        run_id=comparison.run_id,
        verdict=comparison.verdict,
        then_status=comparison.then.status,
        now_status=comparison.now.status,
        steps=comparison.steps,
        comparison=msgspec.json.encode(comparison),
    )
