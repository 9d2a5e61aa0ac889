"""Many runs or held requests at once: /api/v1/runs/replay …, and the jobs that do it: /api/v1/jobs."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.jobs import MAX_COUNT, Jobs, list_item
from app.commands.zaps import Zaps
from app.http.inputs import Injected, Input, Moment, StepId
from app.http.openapi.notes import notes
from app.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, decode_cursor, page_of
from app.http.services import Services
from domain.job.job import (
    CODE,
    MAX_RATE_PER_S,
    AbortJob,
    JobCommand,
    JobKind,
    JobRequested,
    PauseJob,
    ResumeJob,
    Selection,
)
from domain.run.events import Source
from domain.run.replay import ReplayVersion
from domain.run.state import RunStatus
from projections.job_list import JobListItem, list_jobs

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=CODE)]
Rate = Annotated[int, msgspec.Meta(ge=1, le=MAX_RATE_PER_S)]
DEFAULT_REPLAYS_PER_S = 50
"""Replays have effects on others, so that they go slowly unless told otherwise."""


class SelectionIn(Input, frozen=True):
    """Which runs are meant: those for which all fields that are set hold. `from` is inclusive, `to` exclusive.

    `step_id` and `error_code` are those of the error that the run list shows. A run that did not complete, but of
    which a replay has, is left out unless `include_recovered` is set.
    """

    zap_id: UUID | None = None
    status: RunStatus | None = None
    source: Source | None = None
    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None
    step_id: Code | None = None
    error_code: Code | None = None
    include_recovered: bool = False

    def selection(self) -> Selection:
        """The same for the domain."""
        return Selection(
            zap_id=self.zap_id,
            status=self.status,
            source=self.source,
            from_=self.from_.at if self.from_ else None,
            to=self.to.at if self.to else None,
            step_id=self.step_id,
            error_code=self.error_code,
            include_recovered=self.include_recovered,
        )


class BulkReplay(Input, frozen=True):
    """Replay all runs of a selection that have ended, at most so many in a second; with `preview`, only count them."""

    filter: SelectionIn
    rate_per_s: Rate = DEFAULT_REPLAYS_PER_S
    preview: bool = False
    from_step: StepId | None = None
    version: ReplayVersion = "original"


class BulkCancel(Input, frozen=True):
    """Cancel all runs of a selection that have not ended; with `preview`, only count them."""

    filter: SelectionIn
    rate_per_s: Rate = MAX_RATE_PER_S
    preview: bool = False


class BulkRelease(Input, frozen=True):
    """Start the runs of all requests that the zap holds, in the order of their arrival; with `preview`, only count."""

    rate_per_s: Rate = DEFAULT_REPLAYS_PER_S
    preview: bool = False


class BulkDiscard(Input, frozen=True):
    """Give up all requests that the zap holds; with `preview`, only count them."""

    rate_per_s: Rate = MAX_RATE_PER_S
    preview: bool = False


class Preview(msgspec.Struct, frozen=True):
    """How many a job would take; `more` when there are more than were counted."""

    count: int
    more: bool


class BulkController(Controller):
    """What a user can do about many runs."""

    path = "/runs"
    tags = ("Runs",)

    @post(
        "/replay",
        status_code=202,
        summary="Run many again",
        operation_id="replayRuns",
        opt=notes("invalid", "limit_reached", headers=("Location",), answer=JobListItem, statuses={200: Preview}),
    )
    async def replay(
        self, request: AuthedRequest, jobs: Injected[Jobs], data: JSONBody[BulkReplay]
    ) -> Response[Preview | JobListItem]:
        """Makes a job that replays each of them once, oldest first: those there are now, as the run list shows them.

        A filter without any field is refused. Runs that can not be replayed are counted as failed.
        """
        requested = JobRequested(
            kind="replay",
            filter=data.filter.selection(),
            total=0,
            rate_per_s=data.rate_per_s,
            from_step=data.from_step,
            version=data.version,
        )
        count = await jobs.count_runs(request.user.tenant_id, "replay", requested.filter)
        return await _respond(request, jobs, requested, count, preview=data.preview)

    @post(
        "/cancel",
        status_code=202,
        summary="Cancel many runs",
        operation_id="cancelRuns",
        opt=notes("invalid", "limit_reached", headers=("Location",), answer=JobListItem, statuses={200: Preview}),
    )
    async def cancel(
        self, request: AuthedRequest, jobs: Injected[Jobs], data: JSONBody[BulkCancel]
    ) -> Response[Preview | JobListItem]:
        """Makes a job that cancels each of them, oldest first. Runs that end by themselves are counted as skipped."""
        requested = JobRequested(kind="cancel", filter=data.filter.selection(), total=0, rate_per_s=data.rate_per_s)
        count = await jobs.count_runs(request.user.tenant_id, "cancel", requested.filter)
        return await _respond(request, jobs, requested, count, preview=data.preview)


class HeldController(Controller):
    """What a user can do about the requests that came while a zap was paused, and are held."""

    path = "/zaps/{zap_id:uuid}/held"
    tags = ("Webhooks",)

    @post(
        "/release",
        status_code=202,
        summary="Release held requests",
        operation_id="releaseHeldRequests",
        opt=notes("limit_reached", headers=("Location",), answer=JobListItem, statuses={200: Preview}),
    )
    async def release(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        jobs: Injected[Jobs],
        zaps: Injected[Zaps],
        data: JSONBody[BulkRelease | None] = None,
    ) -> Response[Preview | JobListItem]:
        """Makes a job that starts their runs, of the version that is live then; also while the zap is paused.

        Requests that come after the job are not touched.
        """
        wish = data or BulkRelease()
        return await _respond_held(request, jobs, zaps, _of_held("release", zap_id, wish), preview=wish.preview)

    @post(
        "/discard",
        status_code=202,
        summary="Discard held requests",
        operation_id="discardHeldRequests",
        opt=notes("limit_reached", headers=("Location",), answer=JobListItem, statuses={200: Preview}),
    )
    async def discard(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        jobs: Injected[Jobs],
        zaps: Injected[Zaps],
        data: JSONBody[BulkDiscard | None] = None,
    ) -> Response[Preview | JobListItem]:
        """Makes a job that gives them up, for good; they stay on record."""
        wish = data or BulkDiscard()
        return await _respond_held(request, jobs, zaps, _of_held("discard", zap_id, wish), preview=wish.preview)


class JobController(Controller):
    """Jobs: each command answers with the job as it is afterwards."""

    path = "/jobs"
    tags = ("Jobs",)

    @get("/", summary="List jobs", operation_id="listJobs")
    async def list_jobs(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Page[JobListItem]:
        """Newest first. A read model: it follows the log within moments."""
        before = decode_cursor(cursor)
        items = await list_jobs(services.store.pool, request.user.tenant_id, before=before, limit=limit + 1)
        return page_of(items, limit, lambda item: item.id)

    @get("/{job_id:uuid}", summary="Read a job", operation_id="getJob")
    async def read(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """Always current; its progress is recorded about once in a second."""
        return list_item(await jobs.load(request.user.tenant_id, job_id))

    @post(
        "/{job_id:uuid}/pause",
        status_code=200,
        summary="Pause a job",
        operation_id="pauseJob",
        opt=notes("wrong_status"),
    )
    async def pause(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """It stops within about a second."""
        return await _execute(request, jobs, job_id, PauseJob())

    @post(
        "/{job_id:uuid}/resume",
        status_code=200,
        summary="Go on with a job",
        operation_id="resumeJob",
        opt=notes("wrong_status", "limit_reached"),
    )
    async def resume(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """It goes on where it stopped, whether it was paused or aborted."""
        return await _execute(request, jobs, job_id, ResumeJob())

    @post(
        "/{job_id:uuid}/abort",
        status_code=200,
        summary="Abort a job",
        operation_id="abortJob",
        opt=notes("wrong_status"),
    )
    async def abort(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """It stops within about a second; what it has done stays done."""
        return await _execute(request, jobs, job_id, AbortJob())


def _of_held(kind: JobKind, zap_id: UUID, wish: BulkRelease | BulkDiscard) -> JobRequested:
    return JobRequested(kind=kind, filter=Selection(zap_id=zap_id), total=0, rate_per_s=wish.rate_per_s)


async def _respond_held(
    request: AuthedRequest, jobs: Jobs, zaps: Zaps, requested: JobRequested, *, preview: bool
) -> Response[Preview | JobListItem]:
    assert requested.filter.zap_id is not None
    await zaps.load(request.user.tenant_id, requested.filter.zap_id)
    count = await jobs.count_held(request.user.tenant_id, requested.filter.zap_id)
    return await _respond(request, jobs, requested, count, preview=preview)


async def _respond(
    request: AuthedRequest, jobs: Jobs, requested: JobRequested, count: int, *, preview: bool
) -> Response[Preview | JobListItem]:
    if preview:
        return Response(Preview(min(count, MAX_COUNT), more=count > MAX_COUNT), status_code=200)
    made = await jobs.request(
        request.user.tenant_id, msgspec.structs.replace(requested, total=count), request.user.metadata
    )
    return Response(list_item(made), headers={"location": f"/api/v1/jobs/{made.id}"})


async def _execute(request: AuthedRequest, jobs: Jobs, job_id: UUID, command: JobCommand) -> JobListItem:
    return list_item(await jobs.execute(request.user.tenant_id, job_id, command, request.user.metadata))
