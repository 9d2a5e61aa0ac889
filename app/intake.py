"""The webhook intake: a 2xx means that the request is one committed event of a new run.

This is the hot path, so it speaks ASGI directly and touches nothing but memory and one append.
Paths are /hooks/catch/{user_id}/{zap_id}, with whatever a sender hangs behind that; any method.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send

from app.intake_headers import stored_headers
from app.live_zaps import LiveZaps
from app.problems import MEDIA_TYPE, Problem, as_problem, encode, unavailable
from domain import run
from domain.definition import Definition, Trigger
from domain.event import Append, Appended, AppendResult, Conflict, Duplicate, Metadata, NewEvent, StreamKind
from domain.json import MalformedJson, parse
from domain.ports import EventStore, NewId
from domain.request import Request, request_body
from domain.run import RequestRun

MAX_DELIVERY_ID = 255
"""Characters of an Idempotency-Key."""
MAX_QUERY = 16 * 1024
"""Bytes of a query string."""
MAX_QUICK_CHECK = 128 * 1024
"""Bytes of JSON that are checked in place; more would hold up other senders."""

_Headers: TypeAlias = list[tuple[bytes, bytes]]

_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NO_DEFINITION = Definition(Trigger("webhook.catch"))
"""Asking for a run does not depend on what the zap does."""
_SAFE: _Headers = [(b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"sandbox")]
_JSON_HEADERS: _Headers = [(b"content-type", b"application/json"), *_SAFE]
_ALLOW = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class _SenderLeft(Exception):
    """The connection closed before the body was complete: nobody waits for an answer."""


class Intake:
    """The ASGI application behind the catch URLs."""

    def __init__(self, store: EventStore, live_zaps: LiveZaps, new_id: NewId, max_body: int) -> None:
        self._store = store
        self._live_zaps = live_zaps
        self._new_id = new_id
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of which scope["path"] is what stands behind /hooks/catch."""
        if scope["type"] != ScopeType.HTTP:
            return
        if scope["method"] == "OPTIONS":
            await _send(send, 204, [(b"allow", _ALLOW), *_SAFE], b"")
            return
        try:
            body = await self._accept(scope, receive)
        except _SenderLeft:
            return
        except Exception as error:  # noqa: BLE001 - as_problem logs what it does not expect
            await _send_problem(send, as_problem(error))
        else:
            await _send(send, 200, _JSON_HEADERS, body)

    async def _accept(self, scope: HTTPScope, receive: Receive) -> bytes:
        user_id, zap_id, suffix = _parse_path(scope["path"])
        zap_version = await self._runnable_version(user_id, zap_id)
        query = scope["query_string"]
        if len(query) > MAX_QUERY:
            raise Problem("too_large", f"the query string is longer than {MAX_QUERY} bytes")
        headers = stored_headers(scope["headers"])
        delivery_id = _delivery_id(headers.get("idempotency-key"))
        raw = await _read_body(receive, headers.get("content-length"), self._max_body)
        await _check_content(headers.get("content-type", ""), headers.get("content-encoding"), raw)
        text, encoding = request_body(raw)
        request = Request(
            method=scope["method"],
            path=suffix,
            query=query.decode("latin-1"),
            headers=headers,
            body=text,
            encoding=encoding,
        )
        command = RequestRun(zap_id, zap_version, "webhook", request, delivery_id)
        append = self._append(command, user_id, headers.get("traceparent", ""))
        return _answer(append.stream_id, await self._store.append(append))

    async def _runnable_version(self, user_id: UUID, zap_id: UUID) -> int:
        zap = await self._live_zaps.get(zap_id)
        if zap is None or zap.owner != user_id:
            raise _no_such_hook()
        match zap.status:
            case "enabled":
                return zap.version
            case "paused":
                raise Problem("zap_paused", "this zap is paused and takes no requests until it is enabled again")
            case "draft" | "deleted":
                raise _no_such_hook()

    def _append(self, command: RequestRun, tenant_id: UUID, traceparent: str) -> Append:
        run_id = self._new_id()
        events = run.decide(command, run.INITIAL, _NO_DEFINITION)
        valid_trace = traceparent and _TRACEPARENT.fullmatch(traceparent)
        return Append(
            kind=StreamKind.RUN,
            stream_id=run_id,
            expected=0,
            tenant_id=tenant_id,
            ordering_key=run_id,
            events=tuple([NewEvent(self._new_id(), event) for event in events]),
            metadata=Metadata(actor="hook", correlation_id=run_id, traceparent=traceparent if valid_trace else ""),
            dedupe_key=dedupe_key(command.zap_id, command.dedupe_id) if command.dedupe_id else None,
        )


def dedupe_key(zap_id: UUID, delivery_id: str) -> bytes:
    """What makes two requests the same delivery: 32 bytes. The zap is part of it: nobody can take others' ids."""
    return hashlib.sha256(zap_id.bytes + delivery_id.encode()).digest()


def _parse_path(path: str) -> tuple[UUID, UUID, str]:
    """User, zap, and the rest of `/<user>/<zap>[/rest]/` without the slashes around it."""
    # Both ids are 36 characters; UUID() alone would also take other spellings.
    if path[0:1] == "/" == path[37:38] and path[74:75] in {"/", ""}:
        try:
            return UUID(path[1:37]), UUID(path[38:74]), path[75:].rstrip("/")
        except ValueError:
            pass
    raise _no_such_hook()


def _delivery_id(key: str | None) -> str:
    if key is None:
        return ""
    if len(key) > MAX_DELIVERY_ID or not _PRINTABLE.fullmatch(key):
        raise Problem("malformed", f"an Idempotency-Key has 1 to {MAX_DELIVERY_ID} printable ASCII characters")
    return key


async def _read_body(receive: Receive, announced: str | None, limit: int) -> bytes:
    if announced is not None and announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _SenderLeft
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


async def _check_content(content_type: str, content_encoding: str | None, raw: bytes) -> None:
    """What says that it is JSON, or says nothing and looks like it, has to be JSON."""
    if content_encoding is not None and content_encoding.strip().lower() not in {"", "identity"}:
        raise Problem("unsupported_encoding", "send the body as it is: content encodings are not decoded here")
    if not raw or not (_is_json(content_type) if content_type else raw.lstrip()[:1] in {b"{", b"["}):
        return
    try:
        if len(raw) <= MAX_QUICK_CHECK:
            parse(raw)
        else:
            await asyncio.to_thread(parse, raw)
    except MalformedJson as error:
        raise Problem("malformed", f"the body is not valid JSON: {error}") from None


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json") or media_type == "text/json"


def _answer(run_id: UUID, result: AppendResult) -> bytes:
    match result:
        case Appended():
            return b'{"status":"accepted","run_id":"%b","position":%d}' % (str(run_id).encode(), result.position)
        case Duplicate():
            first = str(result.stream_id).encode()
            return b'{"status":"duplicate","run_id":"%b","position":%d}' % (first, result.position)
        case Conflict():
            # A new id names an empty stream, so this can not be; if it is, nothing was stored.
            raise unavailable("the request could not be stored; nothing happened, try again")


def _no_such_hook() -> Problem:
    return Problem("not_found", "no published zap listens at this address")


def _too_large(limit: int) -> Problem:
    return Problem("too_large", f"a webhook body has at most {limit} bytes")


async def _send_problem(send: Send, problem: Problem) -> None:
    extra = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    headers = [(b"content-type", MEDIA_TYPE.encode()), *_SAFE, *extra]
    await _send(send, problem.kind.status, headers, encode(problem))


async def _send(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    # Some servers raise when the sender has left meanwhile; what is stored stays stored.
    with suppress(OSError, RuntimeError):
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body, "more_body": False})
