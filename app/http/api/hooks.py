"""A zap's hook: its secrets, and the requests that started no run. /api/v1/zaps/{id}/…"""

from uuid import UUID

from litestar import Controller, Response, get, put
from litestar.params import FromPath, FromQuery, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.hook_secrets import HookSecrets, SecretsState
from app.commands.requests import Requests
from app.commands.zaps import Zaps
from app.http.api.zap_bodies import Admitted, SecretsIn
from app.http.inputs import Injected
from app.http.openapi.notes import command, notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.intake.events import Reason
from projections.request_list import RequestListItem, list_requests


class HookController(Controller):
    """Secrets can be set and never read; rejected requests can be admitted."""

    path = "/zaps/{zap_id:uuid}"
    tags = ("Webhooks",)

    @put("/secrets", summary="Replace the hook's secrets", operation_id="replaceHookSecrets", opt=notes("invalid"))
    async def replace_secrets(
        self,
        zap_id: FromPath[UUID],
        data: JSONBody[SecretsIn],
        request: AuthedRequest,
        hook_secrets: Injected[HookSecrets],
        zaps: Injected[Zaps],
    ) -> SecretsState:
        """Two secrets can be valid at once: to change one without losing a delivery, send the new and the old one."""
        return await hook_secrets.replace(zaps, request.user, zap_id, data.secrets)

    @get("/secrets", summary="Count the secrets of the hook", operation_id="getHookSecrets")
    async def secrets(
        self, zap_id: FromPath[UUID], request: AuthedRequest, hook_secrets: Injected[HookSecrets], zaps: Injected[Zaps]
    ) -> SecretsState:
        """How many there are, and when they were replaced. The secrets themselves are never shown."""
        return await hook_secrets.state(zaps, request.user, zap_id)

    @get(
        "/requests",
        summary="List requests that started no run",
        operation_id="listHookRequests",
        opt=notes(headers=("Stale",)),
    )
    async def requests(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        zaps: Injected[Zaps],
        paging: Injected[Paging],
        *,
        reason: FromQuery[Reason | None] = None,
        min_position: MinPosition = None,
    ) -> Response[Page[RequestListItem]]:
        """Newest first, with the reason. Beyond some a minute they are only counted, as repeats always are; held ones
        never are.
        """
        await zaps.load(request.user.tenant_id, zap_id)
        pool = services.store.pool
        fresh = await is_fresh(pool, "request_list", min_position)
        items = await list_requests(
            pool, request.user.tenant_id, zap_id, reason=reason, before=paging.before, limit=paging.enough
        )
        return marked(paging.page(items, lambda item: item.id), fresh=fresh)

    @command("/requests/{request_id:uuid}/admit", "admitHookRequest", "Admit a rejected request", "wrong_status")
    async def admit(
        self, zap_id: FromPath[UUID], request_id: FromPath[UUID], request: AuthedRequest, requests: Injected[Requests]
    ) -> Admitted:
        """Starts its run, once. 409 for a request of which only an excerpt was kept."""
        started = await requests.admit(request.user.tenant_id, zap_id, request_id, request.user.metadata)
        return Admitted("duplicate" if started.duplicate else "accepted", started.run_id, started.position)
