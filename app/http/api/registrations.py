"""What a service knows of a zap's hook: /api/v1/zaps/{id}/registration."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.di import Provide
from litestar.params import FromPath

from app.http.api.own_zaps import OwnZaps, provide_own_zaps
from app.http.api.zap_bodies import ZapOut
from app.http.inputs import Injected
from app.http.openapi.notes import command
from app.http.services import Services
from domain.aggregates import REGISTRATION
from domain.log.stream import load
from domain.registration.registration import Registration, Status, stream_of
from domain.zap.zap import RegisterZap, sent_to


class RegistrationOut(msgspec.Struct, frozen=True, kw_only=True):
    """How a zap's hook stands with the service that sends to it; `none` where no service is told of it.

    `at`: the trigger of a connector. `hook_id`: the service's own name for the hook. `code` and `message` say what went
    wrong last, and `next_at` when it is tried again: null where that waits for somebody, or is not needed.
    """

    status: Literal["none"] | Status
    at: str = ""
    connection_id: UUID | None = None
    hook_id: str = ""
    since: datetime | None = None
    failures: int = 0
    code: str = ""
    message: str = ""
    next_at: datetime | None = None


class RegistrationController(Controller):
    """Hooks that are registered by themselves."""

    path = "/zaps/{zap_id:uuid}"
    tags = ("Webhooks",)
    dependencies = {"own": Provide(provide_own_zaps)}  # noqa: RUF012 - Litestar's own declaration

    @get("/registration", summary="Read how the hook is registered", operation_id="getHookRegistration")
    async def registration(
        self, zap_id: FromPath[UUID], own: Injected[OwnZaps], services: Injected[Services]
    ) -> RegistrationOut:
        """Publishing or enabling a zap whose hook has `register` tells the service, and pausing or deleting it again.
        That goes on behind the answer, until it is done.
        """
        zap = (await own.load(zap_id)).state
        known = await load(services.store, REGISTRATION, stream_of(zap_id))
        return _shown(known.state if known else None, is_wanted=sent_to(zap) is not None)

    @command(
        "/register", "registerHook", "Register the hook again", "version_conflict", "wrong_status", headers=("ETag",)
    )
    async def register(self, zap_id: FromPath[UUID], own: Injected[OwnZaps]) -> Response[ZapOut]:
        """What the service has of it is removed, and made once more. 409 where the hook is not one that registers."""
        return await own.execute(zap_id, RegisterZap())


def _shown(known: Registration | None, *, is_wanted: bool) -> RegistrationOut:
    if known is None or (known.site is None and is_wanted):
        return RegistrationOut(status="registering" if is_wanted else "none")
    leaves = known.status == "registered" and not is_wanted
    return RegistrationOut(
        status="removing" if leaves else known.status,
        at=known.site.at if known.site else "",
        connection_id=known.site.connection if known.site else None,
        hook_id=known.hook_id,
        since=known.since,
        failures=known.failures,
        code=known.code,
        message=known.message,
        next_at=known.next_at,
    )
