"""The inbox of failed runs: /api/v1/dead-letters; and how a zap does: /api/v1/zaps/{id}/health."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.dead_letters import Inbox
from app.commands.zaps import Zaps
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command, notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.failures.failures import MAX_NOTE
from projections.dead_letters import DeadLetters, State, list_dead_letters
from projections.zap_health import ZapHealth, get_health

Wanted = Annotated[State | Literal["all"], QueryParameter(name="state")]


class Resolve(Input, frozen=True):
    """Up to which count: `count` as it was listed, so that failures since then stay open. Absent: all of now."""

    count: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class Note(Input, frozen=True):
    """What to remember about the group; empty takes the note away."""

    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE, pattern=r"^[^\x00]*\Z")]


class Changed(msgspec.Struct, frozen=True):
    """Where the change is in the log: the list shows it once it has come to `min_position`."""

    id: UUID
    position: int


class DeadLetterController(Controller):
    """Runs that failed for good or were timed out, grouped by zap, step and code."""

    path = "/dead-letters"
    tags = ("Dead letters",)

    @get("/", summary="List groups of failed runs", operation_id="listDeadLetters", opt=notes(headers=("Stale",)))
    async def groups(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        paging: Injected[Paging],
        *,
        zap_id: FromQuery[UUID | None] = None,
        state_: Wanted = "all",
        include_recovered: Annotated[
            bool, QueryParameter(description="Count runs, too, of which a replay has completed")
        ] = False,
        min_position: MinPosition = None,
    ) -> Response[Page[DeadLetters]]:
        """Latest failures first. To run a group again, send its `filter` to POST /api/v1/runs/replay."""
        pool = services.store.pool
        fresh = await is_fresh(pool, "dead_letters", min_position)
        state = None if state_ == "all" else state_
        items = await list_dead_letters(
            pool,
            request.user.tenant_id,
            zap_id=zap_id,
            state=state,
            include_recovered=include_recovered,
            before=paging.before_number,
            limit=paging.enough,
        )
        # A cursor holds 128 bits, so here a position.
        return marked(paging.page(items, lambda item: UUID(int=item.position)), fresh=fresh)

    @command("/{group_id:uuid}/resolve", "resolveDeadLetters", "Be done with a group")
    async def resolve(
        self,
        group_id: FromPath[UUID],
        request: AuthedRequest,
        inbox: Injected[Inbox],
        data: JSONBody[Resolve | None] = None,
    ) -> Changed:
        """It opens again with the next failure."""
        return Changed(group_id, await inbox.resolve(request.user, group_id, data.count if data else None))

    @put("/{group_id:uuid}/note", summary="Write a note about a group", operation_id="noteDeadLetters")
    async def note(
        self, group_id: FromPath[UUID], request: AuthedRequest, inbox: Injected[Inbox], data: JSONBody[Note]
    ) -> Changed:
        """Replaces the note before it."""
        return Changed(group_id, await inbox.note(request.user, group_id, data.note))


class HealthController(Controller):
    """How a zap's runs end."""

    path = "/zaps/{zap_id:uuid}"
    tags = ("Zaps",)

    @get("/health", summary="How the zap's runs end", operation_id="getZapHealth")
    async def health(
        self, zap_id: FromPath[UUID], request: AuthedRequest, services: Injected[Services], zaps: Injected[Zaps]
    ) -> ZapHealth:
        """Counts, and the last alert with what came of it by channel. A read model: it follows within moments."""
        await zaps.load(request.user.tenant_id, zap_id)
        return await get_health(services.store.pool, request.user.tenant_id, zap_id)
