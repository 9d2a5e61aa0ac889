"""Idempotency-Key: a POST that is repeated with its key has one effect, and gets the same answer for a day.

An answer is kept when it is a success. A refusal had no effect, so its key is free again. Where a request was cut
short, its repeat makes the same ids: what it had stored is found to be stored already.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from uuid import UUID

import msgspec
import structlog
from litestar.datastructures import Headers
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPRequestEvent, Message, Receive, Scope, Send

from app.accounts.auth import Authenticator
from app.http.inputs import MAX_BODY
from app.http.openapi.notes import of
from app.http.problems import Problem
from domain.log.ports import Clock, NewId
from sql.postgres.pool import CONNECTION_ERRORS
from sql.secrets.secret_box import SecretBox, Unreadable
from sql.tables.answers import Answers, Claimed, Full, Kept, answer_context

log = structlog.get_logger()
MAX_ANSWER = 2 * 2**20
"""Bytes of an answer that is kept; no definition is as large, but a run may be."""
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_TOO_LARGE = b""

_ids: "ContextVar[Iterator[UUID] | None]" = ContextVar("ids of this request", default=None)


def repeatable(new_id: NewId) -> NewId:
    """Makes ids as `new_id` does; for a request with an Idempotency-Key the same ones each time."""

    def make() -> UUID:
        ids = _ids.get()
        return new_id() if ids is None else next(ids)

    return make


def ids_from(seed: UUID) -> Iterator[UUID]:
    """UUIDv7s of the seed's time, in an order of their own that is always the same."""
    number = 0
    while True:
        drawn = hashlib.sha256(seed.bytes + number.to_bytes(4)).digest()
        millis, count = seed.int >> 80, number & 0xFFF
        number += 1
        yield UUID(int=millis << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | int.from_bytes(drawn[:8]) >> 2)


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A whole answer, as it is kept."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class _Request(msgspec.Struct, frozen=True):
    """A request and its key, as one principal makes it."""

    principal_id: UUID
    key: bytes
    fingerprint: bytes

    @property
    def context(self) -> bytes:
        """What the kept answer belongs to."""
        return answer_context(self.principal_id, self.key)


class Idempotency(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The ASGI middleware of all private routes."""

    app: ASGIApp
    authenticator: Authenticator
    answers: Answers
    box: SecretBox
    now: Clock
    new_id: NewId

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out a request, or answer it as the first one with its key."""
        headers = Headers.from_scope(scope)
        key, handler = headers.get("idempotency-key"), scope["route_handler"]
        is_command = isinstance(handler, HTTPRouteHandler) and "POST" in handler.http_methods and of(handler).replays
        if key is None or not is_command:
            await self.app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            raise Problem("malformed", "Idempotency-Key: give 1 to 255 visible ASCII characters, such as a UUID")
        principal = await self.authenticator.principal(headers.get("authorization", ""))
        body = await _read(receive)
        # An API key has answers of its own: what it may not do, it may not read the outcome of either.
        principal_id = principal.key_id or principal.user_id
        request = _Request(principal_id, hashlib.sha256(key.encode()).digest(), _fingerprint(scope, headers, body))
        await _send(send, await self._answer(request, scope, body))

    async def _answer(self, request: _Request, scope: Scope, body: bytes) -> Answer:
        seed, at = self.new_id(), self.now()
        claim = await self.answers.claim(request.principal_id, request.key, request.fingerprint, seed, at)
        match claim:
            case Claimed(seed):
                return await self._carry_out(request, seed, scope, _replayed(body))
            case Kept(fingerprint, kept):
                return self._repeat(request, fingerprint, kept)
            case Full():
                raise Problem("limit_reached", "too many Idempotency-Keys in 24 hours: send this request without one")

    async def _carry_out(self, request: _Request, seed: UUID, scope: Scope, receive: Receive) -> Answer:
        token = _ids.set(ids_from(seed))
        answer: Answer | None = None
        try:
            answer = await _called(self.app, scope, receive)
        finally:
            _ids.reset(token)
            await self._settle(request, seed, answer)
        return answer

    async def _settle(self, request: _Request, seed: UUID, answer: Answer | None) -> None:
        place = (request.principal_id, request.key, seed)
        try:
            if answer is None or answer.status >= 500:
                await self.answers.release(*place)
            elif answer.status >= 400:
                await self.answers.forget(*place)
            else:
                await self.answers.keep(*place, self._sealed(answer, request.context))
        except CONNECTION_ERRORS as error:
            # The effect stands, and the client hears of it; a repeat within LEASE is asked to wait.
            log.warning("idempotency.not_kept", error=repr(error))

    def _sealed(self, answer: Answer, context: bytes) -> bytes:
        packed = zlib.compress(msgspec.msgpack.encode(answer), 1)
        if len(packed) > MAX_ANSWER:
            return _TOO_LARGE
        return self.box.seal(base64.b85encode(packed).decode(), context)

    def _repeat(self, request: _Request, fingerprint: bytes, kept: bytes | None) -> Answer:
        if fingerprint != request.fingerprint:
            raise Problem("idempotency_key_reused", "this Idempotency-Key came with another request within 24 hours: "
                                                    "use a new one for a new request")  # fmt: skip
        if kept is None:
            raise Problem("request_in_progress", "the first request with this Idempotency-Key is under way: "
                                                 "repeat it in a moment", headers={"retry-after": "1"})  # fmt: skip
        if kept == _TOO_LARGE:
            raise Problem("wrong_status", "the request was carried out before, but its answer was too large to keep")
        try:
            opened = self.box.open(kept, request.context)
        except Unreadable:
            raise Problem(
                "wrong_status", "the request was carried out before, but the key of its answer is gone"
            ) from None
        return msgspec.msgpack.decode(zlib.decompress(base64.b85decode(opened)), type=Answer)


def _fingerprint(scope: Scope, headers: Headers, body: bytes) -> bytes:
    """What makes two requests the same one: all that its effect depends on."""
    parts = (scope["path"].encode(), scope["query_string"], headers.get("if-match", "").encode(), body)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Problem("malformed", "the connection closed before the body was complete")
        body += message["body"]
        if len(body) > MAX_BODY:
            raise Problem("too_large", f"the body has more than {MAX_BODY} bytes")
        if not message["more_body"]:
            return bytes(body)


def _replayed(body: bytes) -> Receive:
    async def receive() -> HTTPRequestEvent:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _called(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    status, headers, body = 500, list[tuple[bytes, bytes]](), bytearray()

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            body.extend(message["body"])

    await app(scope, receive, send)
    return Answer(status, headers, bytes(body))


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def with_idempotency(
    authenticator: Authenticator, answers: Answers, box: SecretBox, now: Clock, new_id: NewId
) -> Callable[[ASGIApp], Idempotency]:
    """The middleware for a router."""

    def wrap(app: ASGIApp) -> Idempotency:
        return Idempotency(app=app, authenticator=authenticator, answers=answers, box=box, now=now, new_id=new_id)

    return wrap
