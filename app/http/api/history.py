"""What has changed: of runs and zaps between two points of the log, and between versions of a zap."""

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.runs import Runs
from app.commands.zaps import Zaps
from app.http.api.audit import place_of
from app.http.inputs import AsOf, Injected
from app.http.openapi.notes import notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.audit.entry import Entry
from domain.history.difference import Difference, DifferenceBetween, difference
from domain.history.point import Point
from domain.values.json import Json, JsonObject
from domain.zap.zap import LoadedZap, PublishedVersion
from projections.audit import AuditFilter, list_entries
from projections.past import Past
from projections.run_detail import RunDetail

From = Annotated[AsOf, QueryParameter(name="from", description="A time, or a position of the log")]
To = Annotated[AsOf, QueryParameter(description="A time, or a position of the log")]


class HistoryController(Controller):
    """Compares."""

    path = "/"
    tags = ("History",)

    @get("/runs/{run_id:uuid}/diff", summary="Compare a run with itself", operation_id="diffRun",
         opt=notes("invalid", "busy"))  # fmt: skip
    async def run(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        runs: Injected[Runs],
        past: Injected[Past],
        *,
        from_: From,
        to: To,
    ) -> DifferenceBetween:
        """What happened to a run between two points: changes of its detail, with its steps by their ids."""
        tenant_id, (start, end) = request.user.tenant_id, await _points(past, from_, to)
        async with runs.turn(tenant_id):
            before, after = [await past.run(tenant_id, run_id, point) for point in (start, end)]
            return await _between(start, end, _of_run(before), _of_run(after))

    @get("/zaps/{zap_id:uuid}/diff", summary="Compare a zap with itself", operation_id="diffZap", opt=notes("invalid"))
    async def zap(
        self, zap_id: FromPath[UUID], request: AuthedRequest, past: Injected[Past], *, from_: From, to: To
    ) -> DifferenceBetween:
        """What was changed of a zap between two points: its name, status, live version, draft and flags."""
        tenant_id, (start, end) = request.user.tenant_id, await _points(past, from_, to)
        before, after = [await past.zap(tenant_id, zap_id, point) for point in (start, end)]
        return await _between(start, end, _of_zap(before), _of_zap(after))

    @get("/zaps/{zap_id:uuid}/history", summary="Who changed a zap", operation_id="listZapHistory",
         opt=notes(headers=("Stale",)))  # fmt: skip
    async def of_zap(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        past: Injected[Past],
        services: Injected[Services],
        paging: Injected[Paging],
        *,
        min_position: MinPosition = None,
    ) -> Response[Page[Entry]]:
        """The audit of one zap, newest first: who, when, from where, and what. Also of one that is deleted."""
        tenant_id, pool = request.user.tenant_id, services.store.pool
        await past.require_zap(tenant_id, zap_id)
        fresh = await is_fresh(pool, "audit", min_position)
        wanted = AuditFilter(entity=zap_id, before=paging.before_number, limit=paging.enough)
        return marked(paging.page(await list_entries(pool, tenant_id, wanted), place_of), fresh=fresh)

    @get(
        "/zaps/{zap_id:uuid}/versions/{number:int}/diff/{other:int}",
        summary="Compare two published versions",
        operation_id="diffZapVersions",
    )
    async def versions(
        self,
        zap_id: FromPath[UUID],
        number: FromPath[int],
        other: FromPath[int],
        request: AuthedRequest,
        zaps: Injected[Zaps],
    ) -> Difference:
        """How to get from one version to the other, with steps and triggers by their ids.

        What looks like a secret is not shown, though it is told that it has changed.
        """
        state = (await zaps.load(request.user.tenant_id, zap_id)).state
        before, after = _of_version(state.version(number)), _of_version(state.version(other))
        return await asyncio.to_thread(difference, before, after)


async def _points(past: Past, from_: AsOf, to: AsOf) -> tuple[Point, Point]:
    return await past.point(from_.value, "from"), await past.point(to.value, "to")


async def _between(start: Point, end: Point, before: Json, after: Json) -> DifferenceBetween:
    found = await asyncio.to_thread(difference, before, after)
    return DifferenceBetween(from_=start, to=end, changes=found.changes, cut=found.cut)


def _of_run(detail: RunDetail) -> JsonObject:
    told = _json(detail)
    del told["position"]
    return told


def _of_zap(loaded: LoadedZap) -> JsonObject:
    zap = loaded.state
    told = {"name": zap.name, "status": zap.status, "version": zap.live, "draft": zap.draft, "flags": zap.flags}
    return _json(told | {"set_aside": zap.set_aside})


def _of_version(version: PublishedVersion) -> JsonObject:
    return {"name": version.name} | _json(version.definition)


def _json(told: object) -> JsonObject:
    """What an answer would have, with lists as JSON has them."""
    built: JsonObject = msgspec.json.decode(msgspec.json.encode(told))
    return built
