"""Refusals as RFC 9457 problem details: one table of codes, and a handler for everything that can be raised."""

import math
from collections.abc import Mapping

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from app.http.broken import BrokenRule, broken_rule, pointer
from app.intake.refusals import WrongMethod
from app.intake.replies import SAFE, Refused, Reply
from domain.language.mistakes import place_of
from domain.log.errors import DomainError, Unauthorized
from domain.log.ports import AppendRefused, StoreUnavailable
from domain.log.stream import Contended
from projections.engine.projection import BEING_BUILT
from sql.postgres.pool import CONNECTION_ERRORS, NOT_TEXT
from sql.process.clock import new_id

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
NO_SNIFF = {"x-content-type-options": "nosniff"}


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem: its stable code, HTTP status, a title, and what to do about it."""

    code: str
    status: int
    title: str
    remedy: str


KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind("malformed", 400, "The request can not be read",
             "Send what `detail` asks for: valid JSON in UTF-8, a cursor that a list has given out, ETags in quotes."),
        Kind("bad_request", 400, "The request is not as the API expects it",
             "Correct each entry of `errors`: unknown names, missing fields and wrong types are all listed."),
        Kind("unauthorized", 401, "Valid credentials are needed",
             "Sign in, or refresh the access token, and send `Authorization: Bearer <access token or API key>`."),
        Kind("bad_signature", 401, "The signature does not match",
             "Check that the zap has the secret that the sender signs with, and that no proxy changes the body."),
        Kind("forbidden", 403, "These credentials do not allow this",
             "Use a key with the scope that `detail` names, or sign in."),
        Kind("sign_up_closed", 403, "Sign-up is closed", "Ask the operator for an account."),
        Kind("not_found", 404, "There is no such thing",
             "Check the path and the id. What belongs to somebody else, or was deleted, is not found either."),
        Kind("method_not_allowed", 405, "This path does not take this method",
             "Use one of the methods of the `Allow` header."),
        Kind("too_slow", 408, "The request took too long to arrive", "Send it again, over a faster connection."),
        Kind("email_taken", 409, "The e-mail address is taken", "Sign in instead, or use another address."),
        Kind("already_decided", 409, "Somebody has decided already",
             "Nothing is left to do: `detail` says who has decided, and when."),
        Kind("in_use", 409, "Zaps use it",
             "Take it out of the zaps that `detail` names, or send the request again with `?force=true`."),
        Kind("version_taken", 409, "There is another file under this name and version",
             "Give the file a new version: one that was added never changes."),
        Kind("secrets_unreadable", 409, "The stored secrets can not be opened",
             "Ask the operator for the key that is missing, or make a new connection."),
        Kind("limit_reached", 409, "A limit is reached", "Delete or end something of the same kind first."),
        Kind("wrong_status", 409, "The present status does not allow this",
             "Read the object again: `detail` says which status it has."),
        Kind("zap_paused", 409, "The zap is paused", "Enable the zap, or let it hold requests while it is paused."),
        Kind("request_in_progress", 409, "The first request with this Idempotency-Key is not answered yet",
             "Repeat the request after the seconds in `Retry-After`: it gets the answer of the first one."),
        Kind("gone", 410, "It is too late for this", "The run goes on, or has ended, without this answer."),
        Kind("version_conflict", 412, "Somebody else changed it first",
             "Read the object again, apply your change to that, and send its new ETag in If-Match."),
        Kind("too_large", 413, "The request is too large", "Send less: `detail` names the limit."),
        Kind("unsupported_encoding", 415, "The content encoding is not supported",
             "Send the body as it is, or compressed with gzip or deflate."),
        Kind("unsupported_media_type", 415, "The media type is not supported",
             "Send JSON, with the header `Content-Type: application/json`."),
        Kind("range_not_satisfiable", 416, "The file ends before this range",
             "Ask for bytes that the file has: its size is in the `Content-Range` header."),
        Kind("invalid", 422, "A value breaks a rule",
             "Correct each entry of `errors`; `pointer` leads to the value, `reason` says what would be right."),
        Kind("idempotency_key_reused", 422, "This Idempotency-Key belongs to another request",
             "Use a new key for each new request, and the same key only to repeat exactly the same one."),
        Kind("if_match_required", 428, "The If-Match header is needed",
             "Read the object and send its ETag in If-Match, so that nobody's change is overwritten."),
        Kind("rate_limited", 429, "Too many requests", "Wait for the seconds in `Retry-After`."),
        Kind("too_many_streams", 429, "Too many live streams are open",
             "Close streams that nobody reads, or open them again after the seconds in `Retry-After`."),
        Kind("headers_too_large", 431, "The headers are too large", "Send fewer or shorter headers."),
        Kind("internal", 500, "Something broke on our side",
             "Tell the operator the id in `instance`: the incident is in the log under it."),
        Kind("service_failed", 502, "The service that was asked does not answer as it should",
             "See what `detail` says: the connection may have to be renewed, or the service is down."),
        Kind("busy", 503, "Too much is asked at once", "Repeat the request after the seconds in `Retry-After`."),
        Kind("unavailable", 503, "Not available right now",
             "Repeat the request after the seconds in `Retry-After`. Nothing was stored."),
        Kind("held_full", 507, "No more requests can be held",
             "Release or discard what your paused zaps hold, or enable them. Senders repeat the request later."),
        Kind("files_full", 507, "No more files can be kept",
             "Erase runs with files, or keep them for fewer days. Senders repeat the request later."),
        Kind("loop_detected", 508, "Runs start one another",
             "Look at which of your zaps calls this hook, and give one of them a filter that ends the chain."),
    )
}  # fmt: skip
_CODE_OF_STATUS = {
    401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type",
}  # fmt: skip


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of a refusal; `type` leads to a page that explains the code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str = ""
    errors: tuple[BrokenRule, ...] = ()


class Problem(Exception):
    """A refusal with a code of KINDS. `detail` says what was wrong and what to do about it."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: tuple[BrokenRule, ...] = (),
        headers: Mapping[str, str] | None = None,
        instance: str = "",
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[code]
        self.headers = headers or {}
        self.details = ProblemDetails(
            type=f"/docs/problems#{code}",
            title=self.kind.title,
            status=self.kind.status,
            detail=detail,
            code=code,
            instance=instance,
            errors=errors,
        )


def encode(problem: Problem) -> bytes:
    """The body of the answer."""
    return msgspec.json.encode(problem.details)


def unavailable(detail: str) -> Problem:
    """The store can not take this now; a sender that repeats the request loses nothing."""
    return Problem("unavailable", detail, headers={"retry-after": "1"})


def as_problem(error: Exception) -> Problem:
    """Whatever was raised, as what the client may know of it. What is unexpected is logged under an opaque id."""
    match error:
        case Problem():
            return error
        case DomainError():
            return _of_domain(error)
        case HTTPException() if error.status_code < 500:
            return _of_litestar(error)
        case AppendRefused():
            return Problem(
                "malformed", "the request holds something that can not be stored, such as text that is no Unicode"
            )
        case _ if isinstance(error, NOT_TEXT):
            return Problem("malformed", "the request has a text with the character U+0000: leave it out")
        case Contended():
            return unavailable(str(error))
        case StoreUnavailable():
            return unavailable("the request could not be stored; nothing happened, try again")
        case _ if isinstance(error, BEING_BUILT):
            return unavailable("the read model is being built; try again")
        case _ if isinstance(error, CONNECTION_ERRORS):
            log.warning("http.database_unreachable", error=repr(error))
            return unavailable("the database does not answer; try again")
        case _:
            return _unexpected(error)


def _of_domain(error: DomainError) -> Problem:
    listed = error.details.get("errors")
    try:
        errors = tuple(_pointed(error) for error in msgspec.convert(listed or (), list[BrokenRule]))
    except msgspec.ValidationError:
        errors = ()
    code = error.code if error.code in KINDS else "invalid"
    return Problem(code, error.message, errors=errors, headers=_headers_of(error))


def _headers_of(error: DomainError) -> dict[str, str]:
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    match error:
        case Unauthorized():
            headers["www-authenticate"] = error.challenge
        case WrongMethod():
            headers["allow"] = ", ".join(error.allow)
        case _:
            pass
    return headers


def _pointed(error: BrokenRule) -> BrokenRule:
    where = pointer(place_of(error.path)) if error.pointer is None else error.pointer
    return msgspec.structs.replace(error, pointer=where, code=error.code or "invalid_value")


class _Extra(msgspec.Struct, frozen=True):
    message: str = ""
    key: str = ""


def _of_litestar(error: HTTPException) -> Problem:
    code = _CODE_OF_STATUS.get(error.status_code, "bad_request")
    try:
        extra = msgspec.convert(error.extra or [], list[_Extra])
    except msgspec.ValidationError:
        extra = []
    # An argument that would be a Python keyword has an underscore behind it; the body's is called `data`.
    errors = tuple(broken_rule(() if x.key == "data" else place_of(x.key.rstrip("_")), x.message) for x in extra)
    detail = f"{errors[0].path}: {errors[0].reason}".removeprefix(": ") if errors else error.detail
    return Problem(code, detail, errors=errors, headers=error.headers)


def _unexpected(error: Exception) -> Problem:
    incident = str(new_id())
    log.error("http.unexpected", incident=incident, exc_info=error)
    return Problem("internal", "the incident is in our log under its id", instance=f"urn:uuid:{incident}")


def respond(problem: Problem) -> "Response[bytes]":
    """The answer that a problem is."""
    return Response(
        encode(problem),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers={**NO_SNIFF, **problem.headers},
    )


def refused_by_hook(error: Exception) -> Refused:
    """The same for the intake, which answers senders itself."""
    problem = as_problem(error)
    extra = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    headers = [(b"content-type", MEDIA_TYPE.encode()), *SAFE, *extra]
    return Refused(Reply(problem.kind.status, headers, encode(problem)), problem.kind.code, problem.details.detail)


def _respond(_request: "Request[object, object, State]", error: Exception) -> "Response[bytes]":
    return respond(as_problem(error))


HANDLERS: ExceptionHandlersMap = {Exception: _respond, HTTPException: _respond}
