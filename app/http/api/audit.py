"""Who did what, when and from where: /api/v1/audit."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import QueryParameter

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected, Moment
from app.http.openapi.notes import notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.audit.entry import Entry
from projections.audit import AuditFilter, list_entries

_ID = r"([a-z_]{1,20}:)?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
ActorOf = Annotated[
    str | None,
    QueryParameter(
        max_length=60,
        pattern=rf"^({_ID}|[a-z]{{1,20}})\Z",
        description="The id of a user or an API key, with `user:` or `api_key:` before it or not; or the name of a "
        "process, such as `scheduler`",
    ),
]
EntityOf = Annotated[
    str | None,
    QueryParameter(
        max_length=60,
        pattern=rf"^{_ID}\Z",
        description="The id of a zap, run, job, connection or API key, with its kind before it or not: `zap:<id>`",
    ),
]
TypeOf = Annotated[
    str | None,
    QueryParameter(
        name="type", max_length=60, pattern=r"^[a-z_]+(\.[a-z_]+)+\Z", description="Of events, such as `zap.published`"
    ),
]
Words = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*\Z",
        description='Words of summaries, all of them; `"a phrase"`, `-not`',
    ),
]
FromTime = Annotated[Moment | None, QueryParameter(name="from", description="Inclusive")]
ToTime = Annotated[Moment | None, QueryParameter(description="Exclusive")]


class AuditController(Controller):
    """Reads the audit."""

    path = "/audit"
    tags = ("Audit",)

    @get("/", summary="Search the audit", operation_id="listAudit", opt=notes(headers=("Stale",)))
    async def search(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        paging: Injected[Paging],
        *,
        actor: ActorOf = None,
        entity: EntityOf = None,
        type_: TypeOf = None,
        from_: FromTime = None,
        to: ToTime = None,
        q: Words = None,
        min_position: MinPosition = None,
    ) -> Response[Page[Entry]]:
        """What people did, and what TriggerHub did to what is theirs, newest first. Of runs, what somebody did to them.

        With `min_position` the answer includes that position, or has the header `Stale: true`.
        """
        pool = services.store.pool
        fresh = await is_fresh(pool, "audit", min_position)
        wanted = AuditFilter(
            actor=_spellings(actor) if actor else (),
            entity=UUID(entity.rpartition(":")[2]) if entity else None,
            type=type_,
            from_=from_.at if from_ else None,
            to=to.at if to else None,
            q=q or "",
            before=paging.before_number,
            limit=paging.enough,
        )
        return marked(paging.page(await list_entries(pool, request.user.tenant_id, wanted), place_of), fresh=fresh)


def place_of(entry: Entry) -> UUID:
    """Where a page ends, as cursors have it."""
    return UUID(int=entry.position)


def _spellings(actor: str) -> tuple[str, ...]:
    """What the log calls an actor."""
    kind, _, text = actor.rpartition(":")
    if len(text) < len("0" * 32):
        return (text,)
    kinds = {"user": ("user",), "api_key": ("key",), "key": ("key",)}.get(kind, ("user", "key"))
    return tuple(f"{one}:{UUID(text)}" for one in kinds)
