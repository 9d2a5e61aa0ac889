"""Lists: opaque cursors over ids that are ordered by time, newest first; and whether a read model is new enough."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated, Any, Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter

from app.http.problems import Problem
from domain.history.point import Point
from projections.engine.freshness import wait_until
from sql.postgres.pool import Pool

T = TypeVar("T")
AnyRequest: TypeAlias = Request[Any, Any, Any]


class Listed(Protocol):
    """An item of a list, which is ordered by the items' ids."""

    @property
    def id(self) -> UUID:
        """A UUIDv7."""


L = TypeVar("L", bound=Listed)

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many items at most")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before")]
DEFAULT_LIMIT = 20
MinPosition = Annotated[int | None, QueryParameter(ge=0, le=2**63 - 1)]
_OF_THE_PAGE = frozenset({"cursor", "limit", "min_position", "columns", "matches"})
"""Parameters that may be others for the next page: they choose neither what is listed nor in which order."""
_ID_BYTES = 16
NOT_OURS = (
    "cursor: not one that this list gave out with these filters and in this order: send `next_cursor` as it is, and "
    "the rest as for the first page; or begin again without a cursor"
)
FRESHNESS_S = 1.0
"""How long a list waits for `min_position`; past that it answers with what it has, and says so."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is null on the last one. `as_of`: of when a list of the past is."""

    items: list[T]
    next_cursor: str | None = None
    as_of: Point | msgspec.UnsetType = msgspec.UNSET


class Paging(msgspec.Struct, frozen=True):
    """The page that is asked for: `limit` items that come after the one with the id `before`.

    `of`: which list it is.
    """

    before: UUID | None
    limit: int
    of: bytes

    @property
    def enough(self) -> int:
        """How many items to look for: one more tells whether there is another page."""
        return self.limit + 1

    @property
    def before_number(self) -> int | None:
        """`before` in a list that is in the order of a number. Raises Problem `malformed`."""
        if self.before is not None and self.before.int >= 2**63:
            raise Problem("malformed", NOT_OURS)
        return None if self.before is None else self.before.int

    async def newest(self, find: "Callable[..., Awaitable[list[L]]]") -> Page[L]:
        """The page of what `find` gives for `before` and `limit`."""
        return self.page(await find(before=self.before, limit=self.enough), lambda item: item.id)

    def page(self, items: list[T], id_of: Callable[[T], UUID]) -> Page[T]:
        """The page of the items that were found."""
        more = len(items) > self.limit
        return Page(items[: self.limit], self.cursor(id_of(items[self.limit - 1])) if more else None)

    def cursor(self, last: UUID) -> str:
        """The cursor behind which the next page begins."""
        return encode_cursor(last.bytes + self.of)


def provide_paging(request: AnyRequest, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Paging:
    """A Litestar dependency. Raises Problem `malformed`."""
    of = list_of(request)
    return Paging(decode_id(cursor, of), limit, of)


def list_of(request: AnyRequest) -> bytes:
    """Which list it is that a request asks for: its cursors say so, as they lead nowhere in another one."""
    chosen = sorted(one for one in request.query_params.multi_items() if one[0] not in _OF_THE_PAGE)
    return sha256(msgspec.json.encode((request.url.path.rstrip("/"), chosen))).digest()[:6]


def encode_cursor(raw: bytes) -> str:
    """The cursor that holds this."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str) -> bytes:
    """What a cursor holds. Raises Problem `malformed`."""
    try:
        return base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Problem("malformed", NOT_OURS) from None


def decode_id(cursor: str | None, of: bytes) -> UUID | None:
    """The id in a cursor of this list; those of earlier releases do not say of which. Raises Problem `malformed`."""
    if cursor is None:
        return None
    raw = decode_cursor(cursor)
    if len(raw) < _ID_BYTES or raw[_ID_BYTES:] not in (b"", of):
        raise Problem("malformed", NOT_OURS)
    return UUID(bytes=raw[:_ID_BYTES])


async def is_fresh(pool: Pool, read_model: str, min_position: int | None, patience_s: float = FRESHNESS_S) -> bool:
    """Wait a moment until a read model has come to `min_position`; whether it has."""
    return min_position is None or await wait_until(pool, read_model, min_position, patience_s)


def marked(answer: T, *, fresh: bool) -> Response[T]:
    """The answer; it says so when it may lack what was asked for with `min_position`."""
    return Response(answer, headers={} if fresh else {"stale": "true"})
