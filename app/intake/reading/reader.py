"""Reads a request to a hook: its body and headers within their limits, and whether it comes from whom it says."""

import re
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import msgspec
from litestar.types import HTTPScope, Receive

from app.intake import replies
from app.intake.reading.bodies import Bodies, Share, Whose
from app.intake.reading.checks import authenticate, check_content, idempotency_key, is_plain, signed_request
from app.intake.reading.headers import stored_headers, stored_query
from app.intake.reading.uploads import Uploads
from app.intake.refusals import RequestTooLarge, WrongMethod
from app.intake.replies import MAX_QUERY, Reply
from app.intake.request_log import RequestLog
from domain.files.file import INLINE_BYTES
from domain.hook.compiled import Hook
from domain.hook.hops import NO_HOPS, Hops
from domain.hook.request import Request, request_body
from domain.intake.arrival import Arrival, LiveZap
from domain.log.ports import Clock, NewId
from domain.values.json import Json

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Target(msgspec.Struct, frozen=True, gc=False):
    """The zap that a path names, and the rest of the path."""

    zap_id: UUID
    zap: LiveZap
    suffix: str


class Reader(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Reads requests. Bodies that are files go to `uploads` piece by piece."""

    bodies: Bodies
    requests: RequestLog
    now: Clock
    new_id: NewId
    public_url: str
    hops: Hops = NO_HOPS
    uploads: Uploads | None = None

    async def read(self, scope: HTTPScope, receive: Receive, share: Share, target: Target) -> Arrival | Reply:
        """The authentic request, or the reply to a handshake. Raises DomainError."""
        hook, query = target.zap.hook, scope["query_string"]
        if scope["method"] in hook.probes:
            self.requests.count(target.zap_id, target.zap.owner, "handshake")
            return replies.challenged("")
        if not hook.takes(scope["method"]):
            raise _wrong_method(hook)
        if len(query) > MAX_QUERY:
            raise RequestTooLarge(f"the query string is longer than {MAX_QUERY} bytes")
        headers = stored_headers(scope["headers"], hook.proof, hook.secrets)
        taken = await self._taken(scope, receive, headers, share, target)
        if isinstance(taken, Reply):
            return taken
        raw, delivery_id, kept, id_ = taken
        await check_content(headers, raw, self.bodies.max_body, is_authentic=not hook.open)
        text, encoding = request_body(raw)
        trace = headers.get("traceparent")
        depth = headers.get("triggerhub-depth")
        request = Request(
            method=scope["method"],
            path=target.suffix,
            query=stored_query(query, hook.proof, hook.secrets),
            headers=headers,
            body=text,
            encoding=encoding,
            raw=hook.raw,
            trigger_id=target.zap.trigger_id,
            trigger_type=target.zap.trigger_type,
            kept=kept,
        )
        return Arrival(
            zap_id=target.zap_id,
            zap=target.zap,
            request=request,
            delivery_id=delivery_id,
            traceparent=trace if trace and _TRACEPARENT.fullmatch(trace) else "",
            hop=self.hops.read(depth) if depth else None,
            id=id_,
        )

    async def _taken(
        self, scope: HTTPScope, receive: Receive, headers: Mapping[str, str], share: Share, target: Target
    ) -> tuple[bytes, str, Json, UUID | None] | Reply:
        """The body of an authentic request and the id of its delivery; of a body that became files what stands for it,
        and the id of what owns them. Or the reply to a handshake.
        """
        zap, raw, kept, uploads, id_ = target.zap, b"", None, self.uploads, None
        large = uploads is not None and uploads.streams(zap.hook, headers)
        if uploads is not None and large:
            delivery = await self._delivery(scope, headers, b"", target)
            if isinstance(delivery, Reply):
                return delivery
            id_ = self.new_id()
            whose = Whose(target.zap_id, zap.owner)
            share.body, kept = await uploads.taken(receive, headers, id_, whose, zap.owner)
            if kept is not None:
                return b"", delivery, kept, id_
            raw = share.body
        else:
            raw = await share.read(receive, headers.get("content-length"))
        delivery = await self._delivery(scope, headers, raw, target)
        if not isinstance(delivery, str):
            return delivery
        if uploads is not None and len(raw) > INLINE_BYTES and uploads.wants(zap.hook, headers):
            id_ = self.new_id()
            kept = await uploads.pieces(_once(raw), headers, id_, zap.owner)
            return b"", delivery, kept, id_
        return raw, delivery, None, None

    async def _delivery(self, scope: HTTPScope, headers: Mapping[str, str], raw: bytes, target: Target) -> str | Reply:
        """The id of an authentic delivery, empty where it has none; or the reply to a handshake."""
        hook = target.zap.hook
        if is_plain(hook, headers):
            return idempotency_key(headers.get("idempotency-key"))
        verified = await authenticate(hook, signed_request(scope, self.public_url, raw), self.now())
        if verified.challenge is not None:
            self.requests.count(target.zap_id, target.zap.owner, "handshake")
            return replies.challenged(verified.challenge)
        return verified.delivery_id or ""


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


def allowed(hook: Hook) -> list[str]:
    """The methods of a hook, as an Allow header has them."""
    return [*_starting(hook), *sorted(hook.probes), "OPTIONS"]


def _starting(hook: Hook) -> list[str]:
    return sorted(hook.methods) if hook.methods is not None else ["POST", "PUT", "PATCH", "DELETE"]


def _wrong_method(hook: Hook) -> WrongMethod:
    detail = f"this hook takes {', '.join(_starting(hook))}; `methods` in the trigger's config changes that"
    return WrongMethod(detail, allowed(hook))
