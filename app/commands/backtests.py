"""Backtests: jobs that hold a zap's draft against its runs, and what they found."""

from uuid import UUID

import msgspec

from app.commands.jobs import Jobs
from consumers.rehearsal.comparison import Verdict
from domain.aggregates import ZAP
from domain.job.job import JobRequested, LoadedJob, Selection
from domain.log.errors import WrongStatus
from domain.log.event import Metadata
from domain.log.stream import load_of
from domain.run.state import RunStatus
from domain.zap.zap import existing
from projections.run_query import Triggered, newest_triggers
from sql.log.event_store import PgEventStore
from sql.tables.backtests import Backtests as Table

MAX_RUNS = 10_000
"""Runs of one backtest."""


class WentTogether(msgspec.Struct, frozen=True):
    """So many runs had this status then, and have that one now."""

    then: RunStatus
    now: RunStatus
    count: int


class StepCount(msgspec.Struct, frozen=True):
    """In so many runs something of this step differs."""

    step_id: str
    count: int


class BacktestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the results so far come to. `diverging`: an action would send something else, so what follows is a guess."""

    runs: int
    same: int
    different: int
    diverging: int
    statuses: list[WentTogether]
    steps: list[StepCount]


class Backtests:
    """Backtests of all tenants. Every method takes the tenant, and raises NotFound for what is another one's."""

    def __init__(self, store: PgEventStore, jobs: Jobs) -> None:
        self._store = store
        self._jobs = jobs
        self._table = Table(store.pool)

    async def runs(self, tenant_id: UUID, selection: Selection, last: int | None) -> Triggered:
        """The newest runs that a backtest would take: `last` of them, or all in its time but MAX_RUNS at most."""
        return await newest_triggers(self._store.pool, tenant_id, selection, last or MAX_RUNS)

    async def start(
        self, tenant_id: UUID, selection: Selection, runs: Triggered, rate_per_s: int, metadata: Metadata
    ) -> LoadedJob:
        """A job over these runs, with the draft as it is now. Raises LimitReached."""
        assert selection.zap_id is not None, "a backtest is that of one zap"
        zap = existing(await load_of(self._store, ZAP, selection.zap_id, tenant_id))
        requested = JobRequested(
            kind="backtest",
            filter=selection,
            total=runs.count,
            rate_per_s=rate_per_s,
            draft=zap.version,
            span=(runs.first, runs.last),
        )
        return await self._jobs.request(tenant_id, requested, metadata)

    async def summary(self, tenant_id: UUID, job_id: UUID) -> BacktestSummary:
        """What the results come to so far. Raises WrongStatus for another kind of job."""
        job = await self._jobs.load(tenant_id, job_id)
        if job.state.requested.kind != "backtest":
            raise WrongStatus(f"a {job.state.requested.kind} has no results of its own: see the runs")
        counts = await self._table.counts(job_id, tenant_id)
        by_verdict: dict[str, int] = {}
        went: dict[tuple[RunStatus, RunStatus], int] = {}
        for verdict, then, now, count in counts:
            by_verdict[verdict] = by_verdict.get(verdict, 0) + count
            went[then, now] = went.get((then, now), 0) + count
        return BacktestSummary(
            runs=sum(by_verdict.values()),
            same=by_verdict.get("same", 0),
            different=by_verdict.get("different", 0),
            diverging=by_verdict.get("diverging", 0),
            statuses=[WentTogether(then, now, count) for (then, now), count in went.items()],
            steps=[StepCount(step_id, count) for step_id, count in await self._table.steps(job_id, tenant_id)],
        )

    async def page(
        self, tenant_id: UUID, job_id: UUID, *, verdict: Verdict | None, after: UUID | None, limit: int
    ) -> list[bytes]:
        """Comparisons, oldest run first, as JSON."""
        return await self._table.page(job_id, tenant_id, verdict=verdict, after=after, limit=limit)
