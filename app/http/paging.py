"""Cursor paging: opaque cursors over ids that are ordered by time, newest first."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from app.http.problems import Problem

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many items at most")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before")]
DEFAULT_LIMIT = 20


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


def next_cursor(ids: list[UUID], limit: int) -> str | None:
    """The cursor after a page that was asked for with one item more than `limit`."""
    return encode_cursor(ids[limit - 1]) if len(ids) > limit else None
