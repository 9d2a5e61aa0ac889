"""Commands on many runs or held requests: /api/v1/runs/replay …; the jobs that carry them out: /api/v1/jobs."""

from functools import partial
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import Provide
from litestar.params import FromPath, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.jobs import Jobs, list_item
from app.commands.zaps import Zaps
from app.http.api.run_bodies import BulkCancel, BulkDiscard, BulkRelease, BulkReplay, Preview
from app.http.inputs import Injected
from app.http.openapi.notes import command
from app.http.paging import Page, Paging
from app.http.services import Services
from domain.job.job import (
    AbortJob,
    JobCommand,
    JobKind,
    JobRequested,
    PauseJob,
    ResumeJob,
    Selection,
)
from projections.job_list import JobListItem, list_jobs
from projections.run_found import FoundCount


def _bulk(path: str, operation_id: str, summary: str, *problems: str) -> post:
    """A command that makes a job, or only counts what it would take."""
    return command(
        path, operation_id, summary, *problems, "limit_reached",
        status_code=202, headers=("Location",), answer=JobListItem, statuses={200: Preview},
    )  # fmt: skip


class BulkController(Controller):
    """Commands on many runs."""

    path = "/runs"
    tags = ("Runs",)

    @_bulk("/replay", "replayRuns", "Run many again", "invalid")
    async def replay(
        self, request: AuthedRequest, jobs: Injected[Jobs], data: JSONBody[BulkReplay]
    ) -> Response[Preview | JobListItem]:
        """Makes a job that replays each run once, oldest first. It takes the runs that the run list shows now with
        the same filters, `q` and `where` included.

        A filter without any field is refused, and so are more than a million runs. Runs that can not be replayed are
        counted as failed.
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

    @_bulk("/cancel", "cancelRuns", "Cancel many runs", "invalid")
    async def cancel(
        self, request: AuthedRequest, jobs: Injected[Jobs], data: JSONBody[BulkCancel]
    ) -> Response[Preview | JobListItem]:
        """Makes a job that cancels each run, oldest first. Runs that end by themselves are counted as skipped."""
        requested = JobRequested(kind="cancel", filter=data.filter.selection(), total=0, rate_per_s=data.rate_per_s)
        count = await jobs.count_runs(request.user.tenant_id, "cancel", requested.filter)
        return await _respond(request, jobs, requested, count, preview=data.preview)


class HeldRequests(msgspec.Struct, frozen=True):
    """The requests that a zap holds, and the services that make a job for them."""

    zap_id: UUID
    request: AuthedRequest
    jobs: Jobs
    zaps: Zaps

    async def job(self, kind: JobKind, wish: BulkRelease | BulkDiscard) -> Response[Preview | JobListItem]:
        """Make the job, or only count. Raises NotFound."""
        tenant_id = self.request.user.tenant_id
        await self.zaps.load(tenant_id, self.zap_id)
        selection = Selection(zap_id=self.zap_id)
        requested = JobRequested(kind=kind, filter=selection, total=0, rate_per_s=wish.rate_per_s)
        count = await self.jobs.count_held(tenant_id, self.zap_id)
        return await _respond(self.request, self.jobs, requested, count, preview=wish.preview)


async def provide_held(
    zap_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs], zaps: Injected[Zaps]
) -> HeldRequests:
    """A Litestar dependency."""
    return HeldRequests(zap_id, request, jobs, zaps)


class HeldController(Controller):
    """Commands on requests that came while the zap was paused, and are held."""

    path = "/zaps/{zap_id:uuid}/held"
    tags = ("Webhooks",)
    dependencies = {"held": Provide(provide_held)}  # noqa: RUF012 - Litestar's own declaration

    @_bulk("/release", "releaseHeldRequests", "Release held requests")
    async def release(
        self, held: Injected[HeldRequests], data: JSONBody[BulkRelease | None] = None
    ) -> Response[Preview | JobListItem]:
        """Makes a job that starts their runs on the version that is live then, even while the zap is paused.

        Requests that come after the job are not touched.
        """
        return await held.job("release", data or BulkRelease())

    @_bulk("/discard", "discardHeldRequests", "Discard held requests")
    async def discard(
        self, held: Injected[HeldRequests], data: JSONBody[BulkDiscard | None] = None
    ) -> Response[Preview | JobListItem]:
        """Makes a job that discards them. They can not be released afterwards, and stay on record."""
        return await held.job("discard", data or BulkDiscard())


class JobController(Controller):
    """Jobs. Each command answers with the changed job."""

    path = "/jobs"
    tags = ("Jobs",)

    @get("/", summary="List jobs", operation_id="listJobs")
    async def list_jobs(
        self, request: AuthedRequest, services: Injected[Services], paging: Injected[Paging]
    ) -> Page[JobListItem]:
        """Newest first. A read model: it follows the log within moments."""
        return await paging.newest(partial(list_jobs, services.store.pool, request.user.tenant_id))

    @get("/{job_id:uuid}", summary="Read a job", operation_id="getJob")
    async def read(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """Always current; progress is recorded about once a second."""
        return list_item(await jobs.load(request.user.tenant_id, job_id))

    @command("/{job_id:uuid}/pause", "pauseJob", "Pause a job", "wrong_status")
    async def pause(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """The job stops within about a second."""
        return await _execute(request, jobs, job_id, PauseJob())

    @command("/{job_id:uuid}/resume", "resumeJob", "Go on with a job", "wrong_status", "limit_reached")
    async def resume(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """A paused or aborted job goes on where it stopped."""
        return await _execute(request, jobs, job_id, ResumeJob())

    @command("/{job_id:uuid}/abort", "abortJob", "Abort a job", "wrong_status")
    async def abort(self, job_id: FromPath[UUID], request: AuthedRequest, jobs: Injected[Jobs]) -> JobListItem:
        """It stops within about a second. What it has done is not undone."""
        return await _execute(request, jobs, job_id, AbortJob())


async def _respond(
    request: AuthedRequest, jobs: Jobs, requested: JobRequested, found: FoundCount, *, preview: bool
) -> Response[Preview | JobListItem]:
    if preview:
        return Response(Preview(found.count, more=not found.exact), status_code=200)
    made = await jobs.of_counted(request.user.tenant_id, requested, found, request.user.metadata)
    return Response(list_item(made), headers={"location": f"/api/v1/jobs/{made.id}"})


async def _execute(request: AuthedRequest, jobs: Jobs, job_id: UUID, command: JobCommand) -> JobListItem:
    return list_item(await jobs.execute(request.user.tenant_id, job_id, command, request.user.metadata))
