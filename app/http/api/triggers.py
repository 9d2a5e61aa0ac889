"""Triggers that start by themselves: their turns, and a look at a schedule that is not saved yet."""

from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.zaps import Zaps
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command, notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.zap.check import validate_trigger
from domain.zap.definition import ONLY, Trigger
from domain.zap.outlook import Outlook, outlook
from domain.zap.ticks import TurnStatus
from projections.tick_list import TickListItem, list_ticks


class TriggerPreviewIn(Input, frozen=True):
    """A trigger as in a zap."""

    trigger: Trigger


class TriggerController(Controller):
    """Looks at what triggers did, and at what they would do."""

    tags = ("Triggers",)

    @get(
        "/zaps/{zap_id:uuid}/ticks",
        summary="List the turns of a zap's triggers",
        operation_id="listZapTicks",
        opt=notes(headers=("Stale",)),
    )
    async def ticks(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        zaps: Injected[Zaps],
        paging: Injected[Paging],
        *,
        status: FromQuery[TurnStatus | None] = None,
        min_position: MinPosition = None,
    ) -> Response[Page[TickListItem]]:
        """Ticks of schedules and polls, newest first: when each was due, when it fired, and what came of it.

        Polls in a row that found nothing are one item. Items are kept as long as requests that started no run.
        """
        await zaps.load(request.user.tenant_id, zap_id)
        pool = services.store.pool
        fresh = await is_fresh(pool, "tick_list", min_position)
        items = await list_ticks(
            pool, request.user.tenant_id, zap_id, status=status, before=paging.before, limit=paging.enough
        )
        return marked(paging.page(items, lambda item: item.id), fresh=fresh)

    @command("/triggers/preview", "previewTrigger", "Show when a trigger would start runs", "invalid")
    async def preview(self, services: Injected[Services], data: JSONBody[TriggerPreviewIn]) -> Outlook:
        """The next five times of a schedule, and the five around the next change of clocks in its zone."""
        validate_trigger(data.trigger, services.catalog)
        return outlook(data.trigger, ONLY, services.now())
