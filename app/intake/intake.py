"""The webhook intake: a 2xx means that the request is one committed event of a new run.

This is the hot path, so it speaks ASGI directly and touches nothing but memory and one append.
Paths are /hooks/catch/{user_id}/{zap_id}, with anything that a sender appends.
"""

import re
from collections.abc import Callable
from uuid import UUID

import msgspec
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send

from app.intake import replies as intake_replies
from app.intake.admission import Admission
from app.intake.live_zaps import LiveZaps
from app.intake.reading.bodies import Bodies, SenderLeft
from app.intake.reading.checks import excerpt
from app.intake.reading.reader import Reader, Target, allowed
from app.intake.replies import SAFE, Refused, Replies, Reply, send_reply
from app.intake.request_log import RequestLog
from domain.hook.request import Request
from domain.intake.admission import Held, Started
from domain.intake.arrival import Arrival
from domain.intake.events import MAX_DETAIL, MAX_EXCERPT, Reason, RequestRejected
from domain.log.errors import DomainError, NotFound
from domain.log.ports import StoreUnavailable

_ORIGIN = re.compile(rb"[\x21-\x7e]{1,253}")
_NOTHING = Request()
_REASONS: dict[str, Reason] = {
    "bad_signature": "bad_signature",
    "malformed": "malformed",
    "unsupported_encoding": "malformed",
    "too_large": "too_large",
    "headers_too_large": "too_large",
    "files_full": "held_full",
}
"""Refusals of unverified requests, by their code. Each is recorded."""
_COUNTED: dict[str, Reason] = {"method_not_allowed": "method", "too_slow": "too_slow", "unavailable": "unavailable"}
"""Refusals that are only counted."""


class Intake(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The ASGI application behind the catch URLs: requests are read, admitted and answered."""

    live_zaps: LiveZaps
    bodies: Bodies
    reader: Reader
    admission: Admission
    requests: RequestLog
    replies: Replies
    refused: Callable[[Exception], Refused]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; scope["path"] is the part after /hooks/catch."""
        if scope["type"] != ScopeType.HTTP:
            return
        try:
            reply = await (self._preflight(scope) if scope["method"] == "OPTIONS" else self._take(scope, receive))
        except SenderLeft:
            return
        except Exception as error:  # noqa: BLE001 - what is not expected is logged where the answer is made
            reply = self.refused(error).reply
        await send_reply(send, reply)

    async def _preflight(self, scope: HTTPScope) -> Reply:
        """A published zap consents to deliveries when a sender asks (CloudEvents http-webhook §4)."""
        hook = (await self._find(scope["path"])).zap.hook
        allow = b"allow", ", ".join(allowed(hook)).encode()
        headers = dict(scope["headers"])
        origin = headers.get(b"webhook-request-origin")
        if origin is None or not _ORIGIN.fullmatch(origin):
            return Reply(204, [allow, *SAFE], b"")
        rate = str(hook.per_minute).encode() if hook.per_minute else b"*"
        consent = [(b"webhook-allowed-origin", origin), (b"webhook-allowed-rate", rate)]
        return Reply(200, [allow, *consent, *SAFE], b"")

    async def _take(self, scope: HTTPScope, receive: Receive) -> Reply:
        target = await self._find(scope["path"])
        with self.bodies.share(target.zap_id, target.zap.owner) as share:
            try:
                arrival = await self.reader.read(scope, receive, share, target)
            except DomainError as error:
                await self._record(self.refused(error), scope, share.body, target)
                raise
            except SenderLeft:
                self.requests.count(target.zap_id, target.zap.owner, "left")
                raise
            if isinstance(arrival, Reply):
                return arrival
            outcome = await self.admission.admit(arrival)
        if isinstance(outcome, Reply):
            return outcome
        if target.zap.hook.reply.mode == "wait":
            # The sender may wait for long; meanwhile the body's room is free for others.
            arrival = msgspec.structs.replace(arrival, request=_NOTHING)
        return await self._acknowledge(arrival, outcome)

    async def _find(self, path: str) -> Target:
        user_id, zap_id, suffix = _parse_path(path)
        zap = await self.live_zaps.get(zap_id)
        if zap is None or zap.owner != user_id or zap.status in {"draft", "deleted"}:
            raise _no_such_hook()
        return Target(zap_id, zap, suffix)

    async def _acknowledge(self, arrival: Arrival, stored: Started | Held) -> Reply:
        """The answer to a committed request; repeats are counted by their run."""
        if stored.duplicate:
            await self.admission.forget(arrival)
            run_id = stored.run_id if isinstance(stored, Started) else None
            self.requests.count(arrival.zap_id, arrival.zap.owner, "duplicate", run_id)
        if isinstance(stored, Held):
            return intake_replies.held(stored)
        return await self.replies.of(arrival, stored)

    async def _record(self, refused: Refused, scope: HTTPScope, body: bytes, target: Target) -> None:
        """Record what was refused, if the log takes it: the answer does not depend on that."""
        counted = _COUNTED.get(refused.code)
        if counted is not None:
            self.requests.count(target.zap_id, target.zap.owner, counted)
            return
        reason = _REASONS.get(refused.code)
        if reason is None:
            return
        content_type = dict(scope["headers"]).get(b"content-type", b"")
        rejected = RequestRejected(
            zap_id=target.zap_id,
            reason=reason,
            status=refused.reply.status,
            detail=refused.detail[:MAX_DETAIL],
            method=scope["method"][:20],
            path=target.suffix[:MAX_EXCERPT],
            content_type=content_type[:200].decode("latin-1"),
            size=len(body),
            excerpt=excerpt(body, MAX_EXCERPT, target.zap.hook.secrets),
            zap_version=target.zap.version,
        )
        try:
            await self.requests.record(target.zap.owner, rejected)
        except StoreUnavailable:
            self.requests.count(target.zap_id, target.zap.owner, reason)


def _parse_path(path: str) -> tuple[UUID, UUID, str]:
    """User, zap, and the rest of `/<user>/<zap>[/rest]/` without the slashes around it."""
    # Both ids are 36 characters; UUID() alone would also take other spellings.
    if path[0:1] == "/" == path[37:38] and path[74:75] in {"/", ""}:
        try:
            return UUID(path[1:37]), UUID(path[38:74]), path[75:].rstrip("/")
        except ValueError:
            pass
    raise _no_such_hook()


def _no_such_hook() -> NotFound:
    return NotFound("no published zap listens at this address")
