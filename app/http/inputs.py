"""What requests may carry: the base of all inputs, the types that several share, and the check before decoding."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import SkipValidation

from app.http.problems import Problem
from domain.job.job import CODE
from domain.values.json import MalformedJson, parse

MAX_BODY = 1_000_000
"""Bytes of a JSON request; webhooks have their own limit."""

T = TypeVar("T")
Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""An argument that create_app provides."""

# Control characters are no part of a name; some of them (NUL) the database would refuse.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*\Z")]
Email = Annotated[str, msgspec.Meta(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\Z")]
StepId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=CODE)]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=256)]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON body; fields that we do not know are refused, so that a typo is not silently ignored."""


async def require_sane_json(request: "Request[object, object, State]") -> None:
    """Runs before a body is decoded: refuses what is not UTF-8 JSON, or nested too deep. Raises Problem."""
    try:
        body = await request.body()
    except InternalServerException:
        raise Problem("malformed", "the connection closed before the body was complete") from None
    if not body:
        expected = request.route_handler.parsed_data_field
        if expected is not None and not expected.is_optional:
            raise Problem("malformed", "a JSON body is needed")
        return
    try:
        parse(body)
    except MalformedJson as error:
        raise Problem("malformed", f"the body is not valid JSON: {error}") from None


def in_utc(moment: datetime) -> datetime:
    """A moment as given by a client; without an offset it is in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
