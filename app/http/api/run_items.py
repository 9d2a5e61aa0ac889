"""The items of a run's loops: /api/v1/runs/{id}/items."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.runs import Runs
from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.run.state import RunStatus
from projections.run_items import ItemFilter, ItemOrder, RunItem, list_items


class RunItemController(Controller):
    """Reads the items of loops."""

    path = "/runs"
    tags = ("Runs",)

    @get(
        "/{run_id:uuid}/items",
        summary="List the items of a run's loops",
        operation_id="listRunItems",
        opt=notes(headers=("Stale",)),
    )
    async def items(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        runs: Injected[Runs],
        paging: Injected[Paging],
        *,
        step: Annotated[str | None, QueryParameter(max_length=64, description="The id of the `for_each` step")] = None,
        status: FromQuery[RunStatus | None] = None,
        order: Annotated[
            ItemOrder, QueryParameter(description="`failures`: those that failed first, then by index; `index`")
        ] = "failures",
        min_position: MinPosition = None,
    ) -> Response[Page[RunItem]]:
        """Each item is a run of its own: read, replay or cancel it by its `id`. Large results make short pages.

        Items that were never begun are not listed. With `min_position` the answer includes that position, or has the
        header `Stale: true`.
        """
        tenant_id = request.user.tenant_id
        await runs.load(tenant_id, run_id)
        fresh = await is_fresh(services.store.pool, "run_list", min_position)
        wanted = ItemFilter(step_id=step, status=status, order=order, after=paging.before, limit=paging.enough)
        found, cut = await list_items(services.store, tenant_id, run_id, wanted)
        page = paging.page(found, lambda item: item.id)
        if cut and found and page.next_cursor is None:
            page = Page(found, paging.cursor(found[-1].id))
        return marked(page, fresh=fresh)
