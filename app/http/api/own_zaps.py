"""The zaps of whoever asks, as the routes read, change and show them."""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import HeaderParameter

from app.accounts.auth import AuthedRequest, Principal
from app.commands.zaps import Zaps
from app.http.api.zap_bodies import Warned, ZapChange, ZapOut
from app.http.inputs import Injected
from app.http.problems import Problem
from app.http.requests import refused
from app.http.services import Services
from domain.connector.descriptor import ActionDescriptor
from domain.history.point import Point
from domain.hook.compiled import HOOKS
from domain.log.ports import Clock
from domain.zap.advice import advice
from domain.zap.check import MAX_MISTAKES
from domain.zap.definition import Definition
from domain.zap.outlook import NextRun, next_runs
from domain.zap.zap import LoadedZap, Zap, ZapCommand, hook_path

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="The ETag of the zap as you read it")]


class OwnZaps(msgspec.Struct, frozen=True):
    """The zaps of a principal, and the ETags that a command is meant for."""

    principal: Principal
    zaps: Zaps
    public_url: str
    actions: Mapping[str, ActionDescriptor]
    has_mail: bool
    if_match: str | None
    now: Clock

    async def execute(self, zap_id: UUID, command: ZapCommand) -> Response[ZapOut]:
        """Carry out a command, on the condition of If-Match where that was sent."""
        expected = parse_if_match(self.if_match)
        return self.respond(await self.zaps.execute(self.principal, zap_id, command, expected))

    async def load(self, zap_id: UUID) -> LoadedZap:
        """Load one of them. Raises NotFound."""
        return await self.zaps.load(self.principal.tenant_id, zap_id)

    async def require_unchanged(self, zap_id: UUID, change: ZapChange) -> None:
        """Refuse a change to fields that the server decides, unless the ETag is out of date and refused anyway."""
        loaded, expected = await self.load(zap_id), parse_if_match(self.if_match)
        errors = change.overwritten(self.shown(loaded))
        if errors and (expected is None or loaded.version in expected):
            raise refused(errors)

    def respond(self, loaded: LoadedZap, status_code: int = 200, as_of: Point | None = None) -> Response[ZapOut]:
        """The zap with its ETag."""
        return Response(self.shown(loaded, as_of), status_code=status_code, headers={"etag": f'"{loaded.version}"'})

    def _hook_url(self, loaded: LoadedZap) -> str | None:
        has_hook = loaded.state.draft.start_of(HOOKS) is not None
        return self.public_url + hook_path(loaded.tenant_id, loaded.id) if has_hook else None

    def _next_runs(self, zap: Zap, now: datetime) -> tuple[NextRun, ...]:
        return next_runs(zap.version(zap.live).definition, now) if zap.status == "enabled" else ()

    def warnings(self, draft: Definition) -> tuple[Warned, ...]:
        """What in a draft is allowed, and yet may not be what its author wants."""
        found = islice(advice(draft, self.actions, self.now(), has_mail=self.has_mail), MAX_MISTAKES)
        return tuple(Warned(one.path, one.pointer, one.code, one.reason) for one in found)

    def shown(self, loaded: LoadedZap, as_of: Point | None = None) -> ZapOut:
        """The zap as answers have it; of the past without advice, which is of today."""
        return ZapOut(
            id=loaded.id,
            name=loaded.state.name,
            status=loaded.state.status,
            version=loaded.state.live,
            draft=loaded.state.draft,
            draft_differs=loaded.state.draft_differs,
            set_aside=loaded.state.set_aside,
            flags=loaded.state.flags,
            warnings=() if as_of else self.warnings(loaded.state.draft),
            hook_url=self._hook_url(loaded),
            next_runs=self._next_runs(loaded.state, as_of.at if as_of else self.now()),
            position=loaded.last.position,
            created_at=loaded.first.recorded_at,
            updated_at=loaded.last.recorded_at,
            as_of=as_of or msgspec.UNSET,
        )


async def provide_own_zaps(
    request: AuthedRequest,
    zaps: Injected[Zaps],
    services: Injected[Services],
    if_match: IfMatch = None,
) -> OwnZaps:
    """A Litestar dependency."""
    return OwnZaps(
        request.user, zaps, services.public_url, services.catalog.actions, services.has_mail, if_match, services.now
    )


def parse_if_match(header: str | None) -> frozenset[int] | None:
    """The stream versions that an If-Match header allows, None for any. Raises Problem `malformed`."""
    if header is None or header.strip() == "*":
        return None
    tags = [tag.strip() for tag in header.split(",")]
    if not all(re.fullmatch(r'(W/)?"[\x21\x23-\x7e]*"', tag) for tag in tags):
        raise Problem("malformed", 'If-Match: give ETags in quotes, such as "3"')
    # Weak tags never match (RFC 9110 §13.1.1); neither do tags that are not ours.
    return frozenset(int(tag[1:-1]) for tag in tags if re.fullmatch(r'"[0-9]{1,9}"', tag))
