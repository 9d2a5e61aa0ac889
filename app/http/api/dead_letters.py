"""The inbox of failed runs: /api/v1/dead-letters; the health of a zap: /api/v1/zaps/{id}/health."""

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
from sql.tables.mail_addresses import MailAddress, MailAddresses
from sql.tables.polls import PollHealth, PollTables

Wanted = Annotated[State | Literal["all"], QueryParameter(name="state")]


class Resolve(Input, frozen=True):
    """How many failures to resolve: send `count` as it was listed, and later failures stay open. Without it, all."""

    count: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class Note(Input, frozen=True):
    """A note about the group; an empty one removes it."""

    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE, pattern=r"^[^\x00]*\Z")]


class Changed(msgspec.Struct, frozen=True):
    """The position of the change in the log: send it as `min_position` to read a list that includes it."""

    id: UUID
    position: int


class DeadLetterController(Controller):
    """Runs that failed or timed out, grouped by zap, step and error code."""

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
        # A cursor holds 128 bits: here it is a position.
        return marked(paging.page(items, lambda item: UUID(int=item.position)), fresh=fresh)

    @command("/{group_id:uuid}/resolve", "resolveDeadLetters", "Be done with a group")
    async def resolve(
        self,
        group_id: FromPath[UUID],
        request: AuthedRequest,
        inbox: Injected[Inbox],
        data: JSONBody[Resolve | None] = None,
    ) -> Changed:
        """The next failure opens it again."""
        return Changed(group_id, await inbox.resolve(request.user, group_id, data.count if data else None))

    @put("/{group_id:uuid}/note", summary="Write a note about a group", operation_id="noteDeadLetters")
    async def note(
        self, group_id: FromPath[UUID], request: AuthedRequest, inbox: Injected[Inbox], data: JSONBody[Note]
    ) -> Changed:
        """Replaces the note that was there."""
        return Changed(group_id, await inbox.note(request.user, group_id, data.note))


class HealthReport(ZapHealth, frozen=True, kw_only=True):
    """With the addresses that alerts of the live version are mailed to, once their owners have confirmed them.

    And how polls go: each source's last answer, last news and next poll.
    """

    mail_addresses: tuple[MailAddress, ...] = ()
    polls: tuple[PollHealth, ...] = ()


class HealthController(Controller):
    """Counts of a zap's runs by how they ended."""

    path = "/zaps/{zap_id:uuid}"
    tags = ("Zaps",)

    @get("/health", summary="How the zap's runs end", operation_id="getZapHealth")
    async def health(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        zaps: Injected[Zaps],
        addresses: Injected[MailAddresses],
    ) -> HealthReport:
        """Counts of ended runs, the last alert with its result by channel, and how the sources of its triggers answer.

        An address that is not confirmed gets no alerts: POST /api/v1/mail-addresses has it asked again.
        """
        tenant_id = request.user.tenant_id
        zap = await zaps.load(tenant_id, zap_id)
        counts = await get_health(services.store.pool, tenant_id, zap_id)
        mails_to = await addresses.of(tenant_id, zap.state.behaviour.on_failure.email)
        polls = await PollTables(services.store.pool).health(tenant_id, zap_id)
        return HealthReport(**msgspec.structs.asdict(counts), mail_addresses=tuple(mails_to), polls=tuple(polls))
