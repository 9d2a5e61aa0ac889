"""Zaps: /api/v1/zaps."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody

from app.accounts.auth import AuthedRequest, Principal
from app.commands.hook_secrets import HookSecrets
from app.commands.zaps import Zaps
from app.http.inputs import Injected, Input, Moment, Name
from app.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, decode_cursor, next_cursor
from app.http.services import Services
from app.refusals.problems import Problem
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Step, Trigger
from domain.zap.settings import ZapSettings
from domain.zap.zap import (
    ChangeDraft,
    CreateZap,
    DeleteZap,
    Draft,
    EnableZap,
    Flag,
    LoadedZap,
    PauseZap,
    PublishZap,
    RollBackZap,
    ZapCommand,
    ZapStatus,
    hook_path,
)
from projections.zap_list import ZapListItem, list_zaps

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="The ETag of the zap as you read it")]


class ZapIn(Input, frozen=True):
    """A zap's name and definition. Steps are as in the answer's draft; a `kind` that is left out is `action`."""

    name: Name
    trigger: Trigger
    steps: tuple[Step, ...] = ()
    settings: ZapSettings | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def prepared(cls, raw: JsonObject) -> JsonObject:
        """Every step with its kind."""
        return _with_kinds(raw)

    @property
    def definition(self) -> Definition:
        """The definition as the domain has it."""
        return Definition(self.trigger, self.steps, self.settings)


def _with_kinds(holder: JsonObject) -> JsonObject:
    """What holds steps, with their kinds; those of error paths included."""
    steps = holder.get("steps")
    if isinstance(steps, list):
        holder = holder | {"steps": [_with_kind(step) if isinstance(step, dict) else step for step in steps]}
    return holder


def _with_kind(step: JsonObject) -> JsonObject:
    on_error = step.get("on_error")
    if isinstance(on_error, dict):
        step = step | {"on_error": _with_kinds(on_error)}
    return {"kind": "action"} | step


class RollBack(Input, frozen=True):
    """The published version to use again."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class ZapOut(msgspec.Struct, frozen=True, kw_only=True):
    """A zap. `version` is the published one that new runs use, 0 when there is none; `position` is in the log.

    `draft_differs`: publishing now would change what new runs do. `set_aside`: the draft that the last roll-back
    replaced; PUT it to have it again. `flags`: what is wrong with the zap, until it is published, enabled or rolled
    back, or a run completes where all had failed.
    """

    id: UUID
    name: str
    status: ZapStatus
    version: int
    draft: Definition
    draft_differs: bool
    set_aside: Draft | None
    flags: tuple[Flag, ...]
    hook_url: str
    position: int
    created_at: datetime
    updated_at: datetime


class VersionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A published version; `live` when new runs use it."""

    number: int
    name: str
    live: bool
    published_at: datetime
    definition: Definition


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and at which version of the zap: what all routes of this controller need."""

    principal: Principal
    zaps: Zaps
    public_url: str
    if_match: str | None

    async def execute(self, zap_id: UUID, command: ZapCommand) -> Response[ZapOut]:
        """Carry out a command, under If-Match where that was sent."""
        expected = parse_if_match(self.if_match)
        return self.respond(await self.zaps.execute(self.principal, zap_id, command, expected))

    async def load(self, zap_id: UUID, as_of: datetime | None = None) -> LoadedZap:
        """The caller's zap. Raises NotFound."""
        return await self.zaps.load(self.principal.tenant_id, zap_id, as_of)

    def respond(self, loaded: LoadedZap, status_code: int = 200) -> Response[ZapOut]:
        """The zap with its ETag."""
        body = ZapOut(
            id=loaded.id,
            name=loaded.state.name,
            status=loaded.state.status,
            version=loaded.state.live,
            draft=loaded.state.draft,
            draft_differs=loaded.state.draft_differs,
            set_aside=loaded.state.set_aside,
            flags=loaded.state.flags,
            hook_url=self.public_url + hook_path(loaded.tenant_id, loaded.id),
            position=loaded.last.position,
            created_at=loaded.first.recorded_at,
            updated_at=loaded.last.recorded_at,
        )
        return Response(body, status_code=status_code, headers={"etag": f'"{loaded.version}"'})


async def provide_caller(
    request: AuthedRequest,
    zaps: Injected[Zaps],
    services: Injected[Services],
    if_match: IfMatch = None,
) -> Caller:
    """A Litestar dependency."""
    return Caller(request.user, zaps, services.public_url, if_match)


class ZapController(Controller):
    """Commands answer with the zap as it is afterwards, its ETag, and `position`: reads can wait for that."""

    path = "/zaps"
    tags = ("Zaps",)
    dependencies = {"caller": Provide(provide_caller)}  # noqa: RUF012 - Litestar's own declaration

    @post("/", summary="Create a zap")
    async def create(self, data: JSONBody[ZapIn], caller: Injected[Caller]) -> Response[ZapOut]:
        """The new zap is a draft: publish it to make its hook take requests."""
        created = await caller.zaps.create(caller.principal, CreateZap(data.name, data.definition))
        answer = caller.respond(created, status_code=201)
        answer.headers["location"] = f"/api/v1/zaps/{created.id}"
        return answer

    @get("/", summary="List zaps")
    async def list_zaps(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Page[ZapListItem]:
        """Newest first. A read model: it follows the log within moments."""
        before = decode_cursor(cursor)
        items = await list_zaps(services.store.pool, request.user.tenant_id, before=before, limit=limit + 1)
        return Page(items[:limit], next_cursor([item.id for item in items], limit))

    @get("/{zap_id:uuid}", summary="Read a zap")
    async def read(
        self, zap_id: FromPath[UUID], caller: Injected[Caller], as_of: FromQuery[Moment | None] = None
    ) -> Response[ZapOut]:
        """Always current; with `as_of`, as it was at that moment."""
        return caller.respond(await caller.load(zap_id, as_of.at if as_of else None))

    @put("/{zap_id:uuid}", summary="Replace the draft")
    async def change(self, zap_id: FromPath[UUID], data: JSONBody[ZapIn], caller: Injected[Caller]) -> Response[ZapOut]:
        """Published versions stay as they are. Needs If-Match: 412 when somebody else was quicker."""
        if caller.if_match is None:
            raise Problem("if_match_required", "send the ETag of the zap as you read it in If-Match")
        return await caller.execute(zap_id, ChangeDraft(data.name, data.definition))

    @delete("/{zap_id:uuid}", summary="Delete a zap")
    async def remove(
        self, zap_id: FromPath[UUID], caller: Injected[Caller], hook_secrets: Injected[HookSecrets]
    ) -> None:
        """Its hook answers 404 from now on, and its secrets are gone; its history stays."""
        await caller.execute(zap_id, DeleteZap())
        await hook_secrets.forget(caller.principal, zap_id)

    @post("/{zap_id:uuid}/publish", summary="Publish the draft", status_code=200)
    async def publish(
        self, zap_id: FromPath[UUID], caller: Injected[Caller], hook_secrets: Injected[HookSecrets]
    ) -> Response[ZapOut]:
        """Makes an immutable version that new runs use; the first one also enables the zap.

        A hook that verifies its senders needs their secret first: PUT /zaps/{id}/secrets.
        """
        await hook_secrets.require(caller.zaps, caller.principal, zap_id)
        return await caller.execute(zap_id, PublishZap())

    @post("/{zap_id:uuid}/enable", summary="Take requests again", status_code=200)
    async def enable(self, zap_id: FromPath[UUID], caller: Injected[Caller]) -> Response[ZapOut]:
        """409 for a zap that was never published."""
        return await caller.execute(zap_id, EnableZap())

    @post("/{zap_id:uuid}/pause", summary="Pause", status_code=200)
    async def pause(self, zap_id: FromPath[UUID], caller: Injected[Caller]) -> Response[ZapOut]:
        """Its hook answers 409 until the zap is enabled, or holds requests if so set; runs under way go on."""
        return await caller.execute(zap_id, PauseZap())

    @post("/{zap_id:uuid}/rollback", summary="Use an earlier version again", status_code=200)
    async def roll_back(
        self, zap_id: FromPath[UUID], data: JSONBody[RollBack], caller: Injected[Caller]
    ) -> Response[ZapOut]:
        """New runs use that version, and it becomes the draft; the draft before is kept in `set_aside`."""
        return await caller.execute(zap_id, RollBackZap(data.version))

    @get("/{zap_id:uuid}/versions", summary="List published versions")
    async def versions(self, zap_id: FromPath[UUID], caller: Injected[Caller]) -> Page[VersionOut]:
        """Newest first, all on one page."""
        loaded = await caller.load(zap_id)
        return Page([_version(loaded, version.number) for version in reversed(loaded.state.versions)])

    @get("/{zap_id:uuid}/versions/{number:int}", summary="Read a published version")
    async def version(self, zap_id: FromPath[UUID], number: FromPath[int], caller: Injected[Caller]) -> VersionOut:
        """One immutable version."""
        return _version(await caller.load(zap_id), number)


def parse_if_match(header: str | None) -> frozenset[int] | None:
    """The stream versions that an If-Match header allows, None for any. Raises Problem `malformed`."""
    if header is None or header.strip() == "*":
        return None
    tags = [tag.strip() for tag in header.split(",")]
    if not all(re.fullmatch(r'(W/)?"[\x21\x23-\x7e]*"', tag) for tag in tags):
        raise Problem("malformed", 'If-Match: give ETags in quotes, such as "3"')
    # Weak tags never match (RFC 9110 §13.1.1), and a tag that we did not give out matches nothing.
    return frozenset(int(tag[1:-1]) for tag in tags if re.fullmatch(r'"[0-9]{1,9}"', tag))


def _version(loaded: LoadedZap, number: int) -> VersionOut:
    version = loaded.state.version(number)
    return VersionOut(
        number=version.number,
        name=version.name,
        live=version.number == loaded.state.live,
        published_at=version.published_at,
        definition=version.definition,
    )
