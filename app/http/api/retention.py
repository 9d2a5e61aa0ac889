"""What retention takes, and when; and what it took: /api/v1/retention and /api/v1/archives."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath

from app.accounts.auth import AuthedRequest
from app.commands.jobs import Jobs, list_item
from app.http.inputs import Injected
from app.http.openapi.notes import command
from app.http.paging import Page, Paging
from app.http.services import Services
from domain.erasure.dropping import RunsDropped
from domain.log.errors import WrongStatus
from domain.registry import decode
from domain.zap.settings import Retention
from projections.job_list import JobListItem
from projections.run_keys import settings_of
from projections.zap_list import zaps_of
from sql.postgres.queries import Queries

_queries = Queries("queries/archives.sql")
AT_ONCE = 500


class Going(msgspec.Struct, frozen=True):
    """Runs of a zap that were asked for in a month and ended so, and when they go from the log.

    `what`: the runs themselves, or only what they were about. `bytes` is an estimate, made from fifty of them.
    """

    what: Literal["runs", "payloads"]
    zap_id: UUID
    month: str
    status: str
    runs: int
    bytes: int
    oldest: datetime
    newest: datetime
    goes_at: datetime
    is_due: bool


class RetentionPlan(msgspec.Struct, frozen=True):
    """What would go, by zap, month and status: what is due goes within the hour. `archives`: to a file first."""

    items: list[Going]
    archives: bool


class ArchivedZap(msgspec.Struct, frozen=True):
    """Runs of a zap that left the log, by status."""

    zap_id: UUID
    runs: dict[str, int]


class Archive(msgspec.Struct, frozen=True):
    """Runs of a month that left the log. `away`: they have not come back.

    `name`: the file that has them, null where none was written; `bytes`: its size, with what it has of others.
    """

    id: UUID
    name: str | None
    month: str
    dropped_at: datetime
    zaps: list[ArchivedZap]
    events: int
    bytes: int | None
    away: bool
    position: int


class RetentionController(Controller):
    """What leaves the log."""

    path = "/retention"
    tags = ("History",)

    @get("/", summary="See what retention takes", operation_id="getRetention")
    async def plan(self, request: AuthedRequest, services: Injected[Services]) -> RetentionPlan:
        """A dry run: of zaps that say how long runs are kept, which are due, and when others will be."""
        return RetentionPlan(await _plan(services, request.user.tenant_id), bool(services.archive))

    @command(
        "/apply", "applyRetention", "Let go what is due", "wrong_status", "limit_reached",
        status_code=202, headers=("Location",), answer=JobListItem,
    )  # fmt: skip
    async def apply(
        self, request: AuthedRequest, services: Injected[Services], jobs: Injected[Jobs]
    ) -> Response[JobListItem]:
        """Makes a job that does now what a scheduler does every hour: what is due goes, to an archive first.

        Where there is no archive it is gone for good.
        """
        due = [one for one in await _plan(services, request.user.tenant_id) if one.is_due]
        if not due:
            raise WrongStatus("nothing is due: `GET /api/v1/retention` says what goes when")
        months = {one.month for one in due if one.what == "runs"}
        made = await jobs.retain(request.user.tenant_id, len(months), request.user.metadata)
        return Response(list_item(made), headers={"location": f"/api/v1/jobs/{made.id}"})


async def _plan(services: Services, tenant_id: UUID) -> list[Going]:
    pool = services.store.pool
    zap_ids = await zaps_of(pool, tenant_id)
    rules: dict[UUID, Retention] = {}
    for start in range(0, len(zap_ids), AT_ONCE):
        async with pool.acquire() as connection:
            found = await settings_of(connection, zap_ids[start : start + AT_ONCE])
        rules |= {zap_id: one.retention for zap_id, one in found.items() if one.retention != Retention()}
    rows = await pool.fetch(_queries["months"], tenant_id, list(rules)) if rules else []
    return [going for row in rows for going in _going(rules[row[0]], row[1], tuple(row), services.now())]


class ArchiveController(Controller):
    """What has left the log."""

    path = "/archives"
    tags = ("History",)

    @get("/", summary="List archives", operation_id="listArchives")
    async def archives(
        self, request: AuthedRequest, services: Injected[Services], paging: Injected[Paging]
    ) -> Page[Archive]:
        """What retention, or the operator, took out of the log, newest first."""
        rows = await services.store.pool.fetch(
            _queries["page"], request.user.tenant_id, paging.before_number, paging.enough
        )
        return paging.page(
            await asyncio.gather(*[_archive(services.archive, tuple(row)) for row in rows]), lambda one: one.id
        )

    @command(
        "/{name:str}/import", "importArchive", "Bring runs back", "limit_reached",
        status_code=202, headers=("Location",), answer=JobListItem,
    )  # fmt: skip
    async def bring_back(
        self, name: FromPath[str], request: AuthedRequest, jobs: Injected[Jobs]
    ) -> Response[JobListItem]:
        """Makes a job that brings your runs of a file back, each held against the hash that the log has kept.

        All come back, or none. They are listed and found as before, and kept until retention takes them again.
        """
        return await _made(request, jobs, "import", name)

    @command(
        "/{name:str}/check", "checkArchive", "Verify an archive", "limit_reached",
        status_code=202, headers=("Location",), answer=JobListItem,
    )  # fmt: skip
    async def check(self, name: FromPath[str], request: AuthedRequest, jobs: Injected[Jobs]) -> Response[JobListItem]:
        """Makes a job that holds your events in a file against the hashes in the log. It fails where one differs."""
        return await _made(request, jobs, "check", name)


async def _made(
    request: AuthedRequest, jobs: Jobs, kind: Literal["import", "check"], name: str
) -> Response[JobListItem]:
    made = await jobs.of_archive(request.user.tenant_id, kind, name, request.user.metadata)
    return Response(list_item(made), headers={"location": f"/api/v1/jobs/{made.id}"})


def _going(rule: Retention, month: date, row: tuple, now: datetime) -> list[Going]:  # type: ignore[type-arg] # of a query
    zap_id, _month, status, runs, whole, oldest, newest, size = row
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = (first + timedelta(days=32)).replace(day=1)
    days = rule.completed_days if status in ("completed", "filtered") else rule.failed_days
    times: list[tuple[Literal["runs", "payloads"], int, datetime]] = []
    if days is not None:
        times.append(("runs", runs, end + timedelta(days=days)))
    if rule.payload_days is not None and whole:
        times.append(("payloads", whole, newest + timedelta(days=rule.payload_days)))
    return [
        Going(what, zap_id, f"{month:%Y-%m}", status, count, count * size, oldest, newest, goes_at, goes_at <= now)
        for what, count, goes_at in times
    ]


async def _archive(url: str, row: tuple) -> Archive:  # type: ignore[type-arg] # of a query
    from consumers.scheduler.archives.archive import size_of

    position, at, data, away = row
    told = decode("runs.dropped", 1, data)
    assert isinstance(told, RunsDropped), "the query asks for these"
    size = await size_of(url, told.archive) if url and told.archive else None
    zaps = [ArchivedZap(zap.zap_id, zap.runs) for zap in told.zaps]
    return Archive(
        UUID(int=position), told.archive or None, told.month, at, zaps, told.events, size, bool(away), position
    )
