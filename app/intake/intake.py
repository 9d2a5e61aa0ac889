"""The webhook intake: a 2xx means that the request is one committed event of a new run.

This is the hot path, so it speaks ASGI directly and touches nothing but memory and one append.
Paths are /hooks/catch/{user_id}/{zap_id}, with anything that a sender appends.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from uuid import UUID

import msgspec
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send

from app.intake import replies as intake_replies
from app.intake.bodies import Bodies, SenderLeft, Share, Whose
from app.intake.checks import (
    authenticate,
    check_content,
    excerpt,
    idempotency_key,
    is_plain,
    signed_request,
)
from app.intake.headers import stored_headers, stored_query
from app.intake.held_room import HeldRoom
from app.intake.live_zaps import LiveZaps
from app.intake.loops import FlagLoop
from app.intake.refusals import HeldFull, LoopDetected, OverLimit, RequestTooLarge, WrongMethod, ZapPaused
from app.intake.replies import MAX_QUERY, SAFE, Refused, Replies, Reply, send_reply
from app.intake.request_log import RequestLog
from app.intake.uploads.uploads import Uploads
from consumers.rendering.rendering import Rendering
from consumers.rendering.trigger import trigger_of
from domain.files.file import INLINE_BYTES
from domain.hook.compiled import Hook
from domain.hook.hops import MAX_DEPTH, NO_HOPS, OWN_PER_MINUTE, Hop, Hops, own_runs
from domain.hook.request import Request, request_body
from domain.intake.admission import Held, Started, hold, start, start_each
from domain.intake.arrival import Arrival, LiveZap, TooManyItems, items_of
from domain.intake.events import MAX_DETAIL, MAX_EXCERPT, Reason, RequestRejected
from domain.language.template import TooMuchWork
from domain.log.errors import DomainError, NotFound
from domain.log.ports import AppendRefused, Clock, EventStore, NewId, StoreUnavailable
from domain.registry import encode
from domain.values.json import Json, JsonObject
from sql.process.crash_points import reached
from sql.tables.rate_limits import RateLimits

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ORIGIN = re.compile(rb"[\x21-\x7e]{1,253}")
_ALLOW = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
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


class _Target(msgspec.Struct, frozen=True, gc=False):
    """The zap that a path names, and the rest of the path."""

    zap_id: UUID
    zap: LiveZap
    suffix: str


class Intake(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The ASGI application behind the catch URLs. `user_per_minute` limits the requests to all zaps of a user."""

    store: EventStore
    live_zaps: LiveZaps
    bodies: Bodies
    limits: RateLimits
    requests: RequestLog
    held_room: HeldRoom
    replies: Replies
    now: Clock
    new_id: NewId
    public_url: str
    refused: Callable[[Exception], Refused]
    user_per_minute: int | None = None
    hops: Hops = NO_HOPS
    flag_loop: FlagLoop | None = None
    rendering: Rendering = msgspec.field(default_factory=Rendering)
    uploads: Uploads | None = None

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
        headers = dict(scope["headers"])
        origin = headers.get(b"webhook-request-origin")
        if origin is None or not _ORIGIN.fullmatch(origin):
            return Reply(204, [(b"allow", _ALLOW), *SAFE], b"")
        zap = (await self._find(scope["path"])).zap
        rate = str(zap.hook.per_minute).encode() if zap.hook.per_minute else b"*"
        consent = [(b"webhook-allowed-origin", origin), (b"webhook-allowed-rate", rate)]
        return Reply(200, [(b"allow", _ALLOW), *consent, *SAFE], b"")

    async def _take(self, scope: HTTPScope, receive: Receive) -> Reply:
        target = await self._find(scope["path"])
        with self.bodies.share(target.zap_id, target.zap.owner) as share:
            try:
                arrival = await self._read(scope, receive, share, target)
            except DomainError as error:
                await self._record(self.refused(error), scope, share.body, target)
                raise
            except SenderLeft:
                self.requests.count(target.zap_id, target.zap.owner, "left")
                raise
            if isinstance(arrival, Reply):
                return arrival
            outcome = await self._committed(arrival)
        if isinstance(outcome, Reply):
            return outcome
        if target.zap.hook.reply.mode == "wait":
            # The sender may wait for long; meanwhile the body's room is free for others.
            arrival = msgspec.structs.replace(arrival, request=_NOTHING)
        return await self._acknowledge(arrival, outcome)

    async def _find(self, path: str) -> _Target:
        user_id, zap_id, suffix = _parse_path(path)
        zap = await self.live_zaps.get(zap_id)
        if zap is None or zap.owner != user_id or zap.status in {"draft", "deleted"}:
            raise _no_such_hook()
        return _Target(zap_id, zap, suffix)

    async def _read(self, scope: HTTPScope, receive: Receive, share: Share, target: _Target) -> Arrival | Reply:
        """The authentic request, or the reply to a handshake. Raises DomainError."""
        hook, query = target.zap.hook, scope["query_string"]
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
        self, scope: HTTPScope, receive: Receive, headers: Mapping[str, str], share: Share, target: _Target
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

    async def _delivery(self, scope: HTTPScope, headers: Mapping[str, str], raw: bytes, target: _Target) -> str | Reply:
        """The id of an authentic delivery, empty where it has none; or the reply to a handshake."""
        hook = target.zap.hook
        if is_plain(hook, headers):
            return idempotency_key(headers.get("idempotency-key"))
        verified = await authenticate(hook, signed_request(scope, self.public_url, raw), self.now())
        if verified.challenge is not None:
            self.requests.count(target.zap_id, target.zap.owner, "handshake")
            return intake_replies.challenged(verified.challenge)
        return verified.delivery_id or ""

    async def _committed(self, arrival: Arrival) -> Reply | Started | Held:
        """The outcome of an authentic request. One that the log does not take is recorded, too."""
        try:
            return await self._decide(arrival)
        except (TooManyItems, AppendRefused) as error:
            reason: Reason = "too_large" if isinstance(error, TooManyItems) else "malformed"
            refused = self.refused(error)
            bare = msgspec.structs.replace(arrival, request=Request(method=arrival.request.method), delivery_id="")
            rejected = _rejected(bare, reason, refused.reply.status, refused.detail)
            with suppress(StoreUnavailable):
                await self.requests.record(arrival.zap.owner, msgspec.structs.replace(rejected, request=None))
            raise
        except StoreUnavailable:
            self.requests.count(arrival.zap_id, arrival.zap.owner, "unavailable")
            raise

    async def _decide(self, arrival: Arrival) -> Reply | Started | Held:
        """A run, or a record from which the request can be admitted later."""
        zap, hook = arrival.zap, arrival.zap.hook
        if zap.status == "paused" and zap.settings.when_paused != "hold":
            paused = ZapPaused("this zap is paused and takes no requests until it is enabled again")
            raise await self._turn_away(arrival, "paused", paused)
        if arrival.hop is not None:
            await self._require_no_loop(arrival, arrival.hop)
        items = items_of(arrival, hook.split) if hook.split is not None else None
        if hook.per_minute is not None or self.user_per_minute is not None:
            await self._limit(arrival, len(items or (arrival,)))
        if hook.filter is not None:
            reason = await self._filtered_by(hook, arrival)
            if reason is not None:
                return intake_replies.filtered(await self._keep(arrival, "filtered", 200, reason))
        if zap.status == "paused":
            stored = await self._hold(arrival, items)
            # A split delivery may have been interrupted before the pause: start the items that are missing.
            if items is None or isinstance(stored, Held):
                return stored
        reached("api.before_append")
        started = await (
            start(self.store, self.new_id, arrival) if items is None else start_each(self.store, self.new_id, items)
        )
        reached("api.after_append")
        return intake_replies.accepted_all(started) if isinstance(started, list) else started

    async def _hold(self, arrival: Arrival, items: list[Arrival] | None) -> Held | Started:
        """Keep the request until the zap's owner releases it. Raises HeldFull."""
        owner, rejected = arrival.zap.owner, _rejected(arrival, "held", 200, "")
        size = len(encode(rejected))
        try:
            await self.held_room.require(owner, arrival.zap_id, size)
        except HeldFull as error:
            refused = self.refused(error)
            rejected = _rejected(arrival, "held_full", refused.reply.status, refused.detail)
            with suppress(StoreUnavailable):
                await self.requests.record(owner, msgspec.structs.replace(rejected, request=None))
            raise
        stored = await hold(self.store, self.new_id, arrival, items, rejected)
        if isinstance(stored, Held) and not stored.duplicate:
            self.held_room.add(owner, arrival.zap_id, size, stored.position)
        return stored

    async def _filtered_by(self, hook: Hook, arrival: Arrival) -> str | None:
        """Why the zap's filter does not hold for a request, None when it does."""
        assert hook.filter is not None
        context: JsonObject = {"trigger": await trigger_of(arrival.request)}
        try:
            decision = await self.rendering.settle(arrival.zap.owner, hook.filter, hook.raw_filter, context)
        except TooMuchWork as error:
            return f"the filter could not be settled: {error.message}"
        return None if decision.holds else decision.reason

    async def _acknowledge(self, arrival: Arrival, stored: Started | Held) -> Reply:
        """The answer to a committed request; repeats are counted by their run."""
        if stored.duplicate:
            await self._forget(arrival)
            run_id = stored.run_id if isinstance(stored, Started) else None
            self.requests.count(arrival.zap_id, arrival.zap.owner, "duplicate", run_id)
        if isinstance(stored, Held):
            return intake_replies.held(stored)
        return await self.replies.of(arrival, stored)

    async def _require_no_loop(self, arrival: Arrival, hop: Hop) -> None:
        """Raises LoopDetected where runs have started one another too often, and flags the zap."""
        if hop.depth > MAX_DEPTH:
            detail = f"{MAX_DEPTH} runs have started one another before this request, so it is refused"
        elif arrival.zap_id in hop.zaps and await self._own_wait_s(arrival.zap_id) is not None:
            detail = f"this zap's own runs call its hook more than {OWN_PER_MINUTE} times a minute"
        else:
            return
        if self.flag_loop is not None:
            await self.flag_loop(arrival.zap_id, arrival.zap.owner, detail)
        raise await self._turn_away(arrival, "loop", LoopDetected(detail))

    async def _own_wait_s(self, zap_id: UUID) -> float | None:
        return await self.limits.take(own_runs(zap_id), OWN_PER_MINUTE)

    async def _limit(self, arrival: Arrival, runs: int) -> None:
        zap = arrival.zap
        for key, per_minute, whose in (
            (arrival.zap_id, zap.hook.per_minute, "this zap"),
            (zap.owner, self.user_per_minute, "this zap's owner"),
        ):
            wait_s = None if per_minute is None else await self.limits.take(key, per_minute, runs)
            if wait_s is not None:
                raise await self._turn_away(arrival, "over_limit", OverLimit(whose, wait_s))

    async def _turn_away(self, arrival: Arrival, reason: Reason, error: DomainError) -> DomainError:
        """The refusal to raise, after the request was recorded."""
        await self._forget(arrival)
        with suppress(StoreUnavailable):
            refused = self.refused(error)
            await self._keep(arrival, reason, refused.reply.status, refused.detail, whole=arrival.id is None)
        return error

    async def _forget(self, arrival: Arrival) -> None:
        """The files of a request that starts nothing."""
        if arrival.id is not None and self.uploads is not None:
            await self.uploads.forget(arrival.id)

    async def _keep(
        self, arrival: Arrival, reason: Reason, status: int, detail: str, *, whole: bool = True
    ) -> UUID | None:
        rejected = _rejected(arrival, reason, status, detail)
        rejected = rejected if whole else msgspec.structs.replace(rejected, request=None)
        return await self.requests.record(arrival.zap.owner, rejected, arrival.id)

    async def _record(self, refused: Refused, scope: HTTPScope, body: bytes, target: _Target) -> None:
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


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


def _rejected(arrival: Arrival, reason: Reason, status: int, detail: str) -> RequestRejected:
    """The record of an authentic request, with the whole request."""
    request = arrival.request
    return RequestRejected(
        zap_id=arrival.zap_id,
        reason=reason,
        status=status,
        detail=detail[:MAX_DETAIL],
        method=request.method[:20],
        path=request.path[:MAX_EXCERPT],
        content_type=request.headers.get("content-type", "")[:200],
        size=len(request.body),
        excerpt=excerpt(request.body[:MAX_EXCERPT].encode("utf-8", "replace"), MAX_EXCERPT, arrival.zap.hook.secrets),
        dedupe_id=arrival.delivery_id,
        zap_version=arrival.zap.version,
        request=request,
    )


def _parse_path(path: str) -> tuple[UUID, UUID, str]:
    """User, zap, and the rest of `/<user>/<zap>[/rest]/` without the slashes around it."""
    # Both ids are 36 characters; UUID() alone would also take other spellings.
    if path[0:1] == "/" == path[37:38] and path[74:75] in {"/", ""}:
        try:
            return UUID(path[1:37]), UUID(path[38:74]), path[75:].rstrip("/")
        except ValueError:
            pass
    raise _no_such_hook()


def _wrong_method(hook: Hook) -> WrongMethod:
    methods = sorted(hook.methods) if hook.methods is not None else ["POST", "PUT", "PATCH", "DELETE"]
    detail = f"this hook takes {', '.join(methods)}; `methods` in the trigger's config changes that"
    return WrongMethod(detail, [*methods, "OPTIONS"])


def _no_such_hook() -> NotFound:
    return NotFound("no published zap listens at this address")
