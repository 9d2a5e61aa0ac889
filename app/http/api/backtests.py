"""Backtests: /api/v1/zaps/{id}/backtest, and what they find: /api/v1/jobs/{id}/results."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, JSONBody, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.backtests import MAX_RUNS, Backtests, BacktestSummary
from app.commands.jobs import list_item
from app.commands.zaps import Zaps
from app.http.api.run_bodies import Preview, Rate
from app.http.inputs import Injected, Input, Moment
from app.http.openapi.notes import command, notes
from app.http.paging import Paging
from consumers.rehearsal.comparison import Comparison, Verdict
from domain.job.job import Selection
from projections.job_list import JobListItem

DEFAULT_PER_S = 100


class BacktestIn(Input, frozen=True):
    """The `last` runs, or those from a time to another; with `preview`, only count them. At most 10,000, the newest."""

    last: Annotated[int, msgspec.Meta(ge=1, le=MAX_RUNS)] | None = None
    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None
    rate_per_s: Rate = DEFAULT_PER_S
    preview: bool = False

    def __post_init__(self) -> None:
        if (self.last is None) == (self.from_ is None and self.to is None):
            raise ValueError("give either last, or from and to")
        if self.from_ and self.to and self.from_.at >= self.to.at:
            raise ValueError("from has to be before to")


class BacktestResults(msgspec.Struct, frozen=True):
    """What a backtest has found so far, and a page of its results, by run, oldest run first."""

    summary: BacktestSummary
    items: list[Comparison]
    next_cursor: str | None = None


class BacktestController(Controller):
    """Holds drafts against runs that were."""

    path = "/zaps"
    tags = ("Zaps",)

    @command(
        "/{zap_id:uuid}/backtest", "backtestZap", "Hold the draft against past runs", "limit_reached",
        status_code=202, headers=("Location",), answer=JobListItem, statuses={200: Preview},
    )  # fmt: skip
    async def backtest(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        backtests: Injected[Backtests],
        zaps: Injected[Zaps],
        data: JSONBody[BacktestIn],
    ) -> Response[Preview | JobListItem]:
        """Makes a job that tests the draft, as it is now, with each run of the zap that has ended, but for replays.

        Nothing is sent: actions are answered as they were then. `GET /jobs/{id}/results` has what would differ.
        """
        tenant_id = request.user.tenant_id
        await zaps.load(tenant_id, zap_id)
        selection = Selection(
            zap_id=zap_id, from_=data.from_.at if data.from_ else None, to=data.to.at if data.to else None
        )
        runs = await backtests.runs(tenant_id, selection, data.last)
        if data.preview:
            return Response(Preview(runs.count, more=data.last is None and runs.count == MAX_RUNS), status_code=200)
        made = await backtests.start(tenant_id, selection, runs, data.rate_per_s, request.user.metadata)
        return Response(list_item(made), headers={"location": f"/api/v1/jobs/{made.id}"})


class BacktestResultController(Controller):
    """Reads what they found."""

    path = "/jobs"
    tags = ("Jobs",)

    @get(
        "/{job_id:uuid}/results", summary="List the results of a backtest", operation_id="listBacktestResults",
        opt=notes("wrong_status"),
    )  # fmt: skip
    async def results(
        self,
        job_id: FromPath[UUID],
        request: AuthedRequest,
        backtests: Injected[Backtests],
        paging: Injected[Paging],
        verdict: Annotated[Verdict | None, QueryParameter(description="Only results like this")] = None,
    ) -> BacktestResults:
        """While the job runs, what there is so far. Results are kept for 30 days."""
        tenant_id = request.user.tenant_id
        summary = await backtests.summary(tenant_id, job_id)
        found = await backtests.page(tenant_id, job_id, verdict=verdict, after=paging.before, limit=paging.enough)
        page = paging.page([msgspec.json.decode(one, type=Comparison) for one in found], lambda one: one.run_id)
        return BacktestResults(summary, page.items, page.next_cursor)
