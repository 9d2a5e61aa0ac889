"""Zaps: /api/v1/zaps."""

from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.hook_secrets import HookSecrets
from app.commands.manual_runs import ManualRun, ManualRuns
from app.http.api.own_zaps import OwnZaps, provide_own_zaps
from app.http.api.zap_bodies import Checked, PublishIn, RollBack, RunAnswer, RunIn, VersionOut, ZapChange, ZapIn, ZapOut
from app.http.inputs import AsOf, Injected
from app.http.openapi.notes import command, notes
from app.http.paging import Page, Paging, marked
from app.http.problems import Problem
from app.http.services import Services
from app.intake.run_watch import RunWatch
from domain.hook.hops import HEADER
from domain.zap.settings import MAX_TAGS
from domain.zap.zap import ChangeDraft, CreateZap, DeleteZap, EnableZap, LoadedZap, PauseZap, PublishZap, RollBackZap
from projections.engine.freshness import holds_all
from projections.past import Past
from projections.run_detail import RunDetail
from projections.zap_list import ZapListItem, list_zaps, zaps_until
from sql.log.pages import PAGE_BYTES

Tags = Annotated[
    list[str] | None,
    QueryParameter(
        max_items=MAX_TAGS, description="Only zaps that have this tag in their draft; of several, all of them"
    ),
]


def _change(path: str, operation_id: str, summary: str, *problems: str) -> post:
    """A command that changes a zap, on the condition of If-Match where that was sent."""
    return command(path, operation_id, summary, "version_conflict", "wrong_status", *problems, headers=("ETag",))


class ZapController(Controller):
    """Each command answers with the changed zap, its ETag, and its `position`, which reads can wait for."""

    path = "/zaps"
    tags = ("Zaps",)
    dependencies = {"own": Provide(provide_own_zaps)}  # noqa: RUF012 - Litestar's own declaration

    @command("/", "createZap", "Create a zap", "invalid", status_code=201, headers=("Location", "ETag"))
    async def create(self, data: JSONBody[ZapIn], own: Injected[OwnZaps]) -> Response[ZapOut]:
        """The new zap is a draft: publish it to make its hook take requests."""
        created = await own.zaps.create(own.principal, CreateZap(data.name, data.definition))
        answer = own.respond(created, status_code=201)
        answer.headers["location"] = f"/api/v1/zaps/{created.id}"
        return answer

    @command("/check", "checkZap", "Check a definition", "invalid")
    async def check(self, data: JSONBody[ZapIn], own: Injected[OwnZaps]) -> Checked:
        """Saves nothing. Refuses what saving would refuse, in the same words; otherwise the answer has warnings."""
        await own.zaps.check(own.principal, data.definition)
        return Checked(own.warnings(data.definition))

    @get("/", summary="List zaps", operation_id="listZaps", opt=notes("invalid", headers=("Stale",)))
    async def list_zaps(
        self,
        *,
        request: AuthedRequest,
        services: Injected[Services],
        paging: Injected[Paging],
        past: Injected[Past],
        as_of: FromQuery[AsOf | None] = None,
        tag: Tags = None,
    ) -> Response[Page[ZapListItem]]:
        """Newest first. A read model: it follows the log within moments.

        With `as_of`, a time or a position of the log, the zaps that there were then, as they were. Where the list has
        not come that far yet, the answer has the header `Stale: true`.
        """
        tenant_id, pool = request.user.tenant_id, services.store.pool
        if as_of is None:
            return marked(await paging.newest(partial(list_zaps, pool, tenant_id, tags=tag or ())), fresh=True)
        point = await past.point(as_of.value)
        fresh = await holds_all(pool, "zap_list", point.position)
        page = await paging.newest(partial(zaps_until, pool, tenant_id, point.position, tags=tag or ()))
        return marked(msgspec.structs.replace(page, as_of=point), fresh=fresh)

    @get("/{zap_id:uuid}", summary="Read a zap", operation_id="getZap", opt=notes(headers=("ETag",)))
    async def read(
        self,
        zap_id: FromPath[UUID],
        own: Injected[OwnZaps],
        past: Injected[Past],
        as_of: FromQuery[AsOf | None] = None,
    ) -> Response[ZapOut]:
        """Always current. With `as_of`, a time or a position of the log, as it was then, also where it is deleted
        now.

        404 where the zap was not there yet, or no longer.
        """
        if as_of is None:
            return own.respond(await own.load(zap_id))
        point = await past.point(as_of.value)
        return own.respond(await past.zap(own.principal.tenant_id, zap_id, point), as_of=point)

    @put(
        "/{zap_id:uuid}",
        summary="Replace the draft",
        operation_id="replaceZapDraft",
        opt=notes("invalid", "version_conflict", "if_match_required", headers=("ETag",)),
    )
    async def change(
        self, zap_id: FromPath[UUID], data: JSONBody[ZapChange], own: Injected[OwnZaps]
    ) -> Response[ZapOut]:
        """The body may be the zap as it was read, with another draft or name. Published versions do not change.

        Needs If-Match: 412 when somebody else changed the zap first."""
        if own.if_match is None:
            raise Problem("if_match_required", "send the ETag of the zap as you read it in If-Match")
        await own.require_unchanged(zap_id, data)
        return await own.execute(zap_id, ChangeDraft(data.name, data.definition))

    @delete("/{zap_id:uuid}", summary="Delete a zap", operation_id="deleteZap", opt=notes("version_conflict"))
    async def remove(self, zap_id: FromPath[UUID], own: Injected[OwnZaps], hook_secrets: Injected[HookSecrets]) -> None:
        """Its hook answers 404 from now on. Its secrets are deleted; its history is kept."""
        await own.execute(zap_id, DeleteZap())
        await hook_secrets.forget(own.principal, zap_id)

    @_change("/{zap_id:uuid}/publish", "publishZap", "Publish the draft", "invalid")
    async def publish(
        self,
        zap_id: FromPath[UUID],
        own: Injected[OwnZaps],
        hook_secrets: Injected[HookSecrets],
        data: JSONBody[PublishIn | None] = None,
    ) -> Response[ZapOut]:
        """Makes an immutable version that new runs use; the first one also enables the zap.

        The `note` is kept with the version. A hook that verifies its senders needs their secret first:
        PUT /zaps/{id}/secrets.
        """
        await hook_secrets.require(own.zaps, own.principal, zap_id)
        return await own.execute(zap_id, PublishZap((data or PublishIn()).note))

    @_change("/{zap_id:uuid}/enable", "enableZap", "Take requests again")
    async def enable(self, zap_id: FromPath[UUID], own: Injected[OwnZaps]) -> Response[ZapOut]:
        """409 for a zap that was never published."""
        return await own.execute(zap_id, EnableZap())

    @_change("/{zap_id:uuid}/pause", "pauseZap", "Pause")
    async def pause(self, zap_id: FromPath[UUID], own: Injected[OwnZaps]) -> Response[ZapOut]:
        """Its hook answers 409 until the zap is enabled, or holds requests where that is set. Runs under way go on."""
        return await own.execute(zap_id, PauseZap())

    @command(
        "/{zap_id:uuid}/run",
        "runZap",
        "Start a run by hand",
        "wrong_status",
        "invalid",
        "loop_detected",
        status_code=202,
        headers=("Location",),
        answer=ManualRun,
        statuses={200: RunAnswer},
    )
    async def run(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        manual_runs: Injected[ManualRuns],
        run_watch: Injected[RunWatch],
        data: JSONBody[RunIn | None] = None,
    ) -> Response[ManualRun | RunAnswer]:
        """Starts the live version of an enabled zap; `trigger.body` is the payload.

        A zap with the trigger `manual` checks the payload by its `input_schema`. A repeat with the same `idempotency`
        answers with the first run. With `wait`, 200 has the outcome and the value of the step `return`; 202 says that
        the run goes on.
        """
        wanted = data or RunIn()
        started = await manual_runs.start(
            request.user.tenant_id,
            zap_id,
            wanted.payload,
            request.user.metadata,
            idempotency=wanted.idempotency,
            depth_header=request.headers.get(HEADER, ""),
        )
        ended = await run_watch.outcome(started.run_id, wanted.timeout_s) if wanted.wait else None
        if ended is not None:
            return Response(_answered(ended), status_code=200)
        return Response(started, status_code=202, headers={"location": f"/api/v1/runs/{started.run_id}"})

    @_change("/{zap_id:uuid}/rollback", "rollBackZap", "Use an earlier version again")
    async def roll_back(
        self, zap_id: FromPath[UUID], data: JSONBody[RollBack], own: Injected[OwnZaps]
    ) -> Response[ZapOut]:
        """New runs use that version, and it becomes the draft. The draft it replaces is kept in `set_aside`."""
        return await own.execute(zap_id, RollBackZap(data.version))

    @get("/{zap_id:uuid}/versions", summary="List published versions", operation_id="listZapVersions")
    async def versions(
        self, zap_id: FromPath[UUID], own: Injected[OwnZaps], paging: Injected[Paging]
    ) -> Page[VersionOut]:
        """Newest first. Large definitions make short pages."""
        loaded = await own.load(zap_id)
        before = paging.before_number
        older = [v.number for v in reversed(loaded.state.versions) if before is None or v.number < before]
        items: list[VersionOut] = []
        room = PAGE_BYTES
        for number in older[: paging.limit]:
            item = _version(loaded, number)
            room -= len(msgspec.json.encode(item))
            if room < 0 and items:
                break
            items.append(item)
        more = len(items) < len(older)
        return Page(items, paging.cursor(UUID(int=items[-1].number)) if more else None)

    @get("/{zap_id:uuid}/versions/{number:int}", summary="Read a published version", operation_id="getZapVersion")
    async def version(self, zap_id: FromPath[UUID], number: FromPath[int], own: Injected[OwnZaps]) -> VersionOut:
        """One immutable version."""
        return _version(await own.load(zap_id), number)


def _answered(ended: RunDetail) -> RunAnswer:
    return RunAnswer(
        run_id=ended.id,
        status=ended.status,
        value=None if ended.answer is msgspec.UNSET else ended.answer,
        error=ended.error,
        position=ended.position,
    )


def _version(loaded: LoadedZap, number: int) -> VersionOut:
    version = loaded.state.version(number)
    return VersionOut(
        number=version.number,
        name=version.name,
        live=version.number == loaded.state.live,
        published_at=version.published_at,
        note=version.note,
        definition=version.definition,
    )
