"""Lists: opaque cursors over ids that are ordered by time, newest first; and whether a read model is new enough."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from app.http.problems import Problem
from projections.engine.freshness import wait_until
from sql.postgres.pool import Pool

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many items at most")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before")]
DEFAULT_LIMIT = 20
MinPosition = Annotated[int | None, QueryParameter(ge=0, le=2**63 - 1)]
FRESHNESS_S = 1.0
"""How long a list waits for `min_position`; past that it answers with what it has, and says so."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(last: UUID) -> str:
    """The cursor behind which the next page begins."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> UUID | None:
    """The id in a cursor. Raises Problem `malformed`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"==", altchars=b"-_", validate=True)
        return UUID(bytes=raw)
    except (binascii.Error, ValueError):
        raise Problem("malformed", "cursor: not one that this API gave out") from None


def page_of(items: list[T], limit: int, id_of: Callable[[T], UUID]) -> Page[T]:
    """The page of items that were asked for with one more than `limit`."""
    return Page(items[:limit], encode_cursor(id_of(items[limit - 1])) if len(items) > limit else None)


def number_of(cursor: str | None) -> int | None:
    """The number in the cursor of a list that is in the order of one. Raises Problem `malformed`."""
    decoded = decode_cursor(cursor)
    if decoded is not None and decoded.int >= 2**63:
        raise Problem("malformed", "cursor: not one that this list gave out")
    return None if decoded is None else decoded.int


async def is_fresh(pool: Pool, read_model: str, min_position: int | None) -> bool:
    """Wait a moment until a read model has come to `min_position`; whether it has."""
    return min_position is None or await wait_until(pool, read_model, min_position, FRESHNESS_S)


def marked(page: Page[T], *, fresh: bool) -> Response[Page[T]]:
    """The answer; it says so when it may lack what was asked for with `min_position`."""
    return Response(page, headers={} if fresh else {"stale": "true"})
