"""How strictly requests are read: bodies as their types say, queries without unknown names, nothing left out."""

from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler

from app.http.broken import MAX_ERRORS, BrokenRule, broken_rule, broken_rules, decode_own, unknown_name
from app.http.inputs import Input
from app.http.parameters import Parameter, parameters
from app.http.problems import Problem
from domain.values.json import Json, MalformedJson, doubled_key, parse_strictly

UserT = TypeVar("UserT")
_MAX_PAIRS = 100
"""Parameters of a query; no route knows as many."""


HEAD_ONLY = "triggerhub_head_only"
"""Stands in the scope of a HEAD, which is handled as a GET without its body."""


def gives_body(request: "Request[Any, Any, Any]") -> bool:
    """Whether the body of the answer is sent: who asks with HEAD gets nothing that would have to be on record."""
    return HEAD_ONLY not in request.scope


class StrictRequest(Request[UserT, Any, State]):
    """A request whose body is read as the type of its route, strictly, with every mistake in one answer."""

    async def json(self) -> object:
        """The body as the route's type. Litestar asks for this; its own way takes 0 for false. Raises Problem."""
        return _converted(await _body(self), _wanted(self.route_handler))


async def check(request: "Request[Any, Any, State]") -> None:
    """Runs before anything else is read: refuses unknown or wrong parameters, and bodies where there can be none."""
    check_query(request.scope["query_string"], request.route_handler)
    wanted = _wanted(request.route_handler)
    if wanted is None:
        if request.method not in ("GET", "HEAD") and await request_body(request):
            _converted(await _body(request), _Nothing)
    elif not await request_body(request) and not _is_optional(request.route_handler):
        raise Problem("malformed", "a JSON body is needed")


class _Nothing(Input, frozen=True):
    """The body of a request that needs none."""


def _wanted(handler: Any) -> Any:
    field = handler.parsed_data_field
    return None if field is None else field.annotation


def _is_optional(handler: Any) -> bool:
    return bool(handler.parsed_data_field.is_optional)


async def request_body(request: "Request[Any, Any, State]") -> bytes:
    """The raw bytes. Raises Problem."""
    try:
        return await request.body()
    except InternalServerException:
        raise Problem("malformed", "the connection closed before the body was complete") from None


async def _body(request: "Request[Any, Any, State]") -> Json:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not (media_type == "application/json" or media_type.endswith("+json")):
        raise Problem("unsupported_media_type", f"{media_type[:100]!r} is not read here: send JSON, with the header "
                                                "Content-Type: application/json")  # fmt: skip
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Problem("unsupported_media_type", f"Content-Encoding {coding[:100]!r} is not undone here: "
                                                "send the JSON as it is")  # fmt: skip
    raw = await request_body(request)
    try:
        body = parse_strictly(raw)
    except MalformedJson as error:
        raise Problem("malformed", f"the body is not valid JSON: {error}") from None
    if (key := doubled_key(raw, body)) is not None:
        raise Problem("malformed", f"the key {key[:100]!r} is there twice in the same object: only one can be meant")
    return body


def _converted(raw: Json, wanted: Any) -> object:
    raw = _prepared(raw, wanted)
    try:
        return msgspec.convert(raw, wanted, dec_hook=decode_own)
    except (msgspec.ValidationError, RecursionError):
        raise refused(broken_rules(raw, wanted)) from None


def _prepared(raw: Json, wanted: Any) -> Json:
    is_input = isinstance(wanted, type) and issubclass(wanted, Input)
    return wanted.prepared(raw) if is_input and isinstance(raw, dict) else raw


def refused(errors: list[BrokenRule]) -> Problem:
    """All that is wrong, the first one in words too."""
    first = errors[0]
    hint = f"; did you mean {first.did_you_mean}?" if first.did_you_mean else ""
    more = f" (and {len(errors) - 1} more: see errors)" if len(errors) > 1 else ""
    return Problem("bad_request", f"{first.path}: {first.reason}".removeprefix(": ") + hint + more,
                   errors=tuple(errors))  # fmt: skip


def check_query(query: bytes, handler: Any) -> None:
    """Refuse what the route does not know, or can not take. Raises Problem."""
    known = _query_parameters(handler)
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PAIRS)
    except ValueError:
        raise Problem("bad_request", f"a query has at most {_MAX_PAIRS} parameters") from None
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    errors = [error for name, texts in given.items() if (error := _query_error(name, texts, known)) is not None]
    errors += [broken_rule((name,), "the parameter is needed", "missing")
               for name, parameter in known.items() if parameter.required and name not in given]  # fmt: skip
    if errors:
        raise refused(errors[:MAX_ERRORS])


@lru_cache(maxsize=1_000)
def _query_parameters(handler: HTTPRouteHandler) -> dict[str, Parameter]:
    return {found.name: found for found in parameters(handler) if found.place == "query"}


def _query_error(name: str, texts: list[str], known: dict[str, Parameter]) -> BrokenRule | None:
    parameter = known.get(name)
    if parameter is None:
        return unknown_name((name[:64],), name, sorted(known), "there is no query parameter")
    if len(texts) > 1 and not parameter.repeats:
        return broken_rule((name,), "the parameter is given more than once")
    value: Json = [parameter.read(text) for text in texts] if parameter.repeats else parameter.read(texts[0])
    found = broken_rules(value, parameter.type, (name,))
    return found[0] if found else None
