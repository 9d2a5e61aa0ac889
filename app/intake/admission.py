"""What becomes of an authentic request: a run, or a record from which it can be admitted later, or a refusal."""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import msgspec

from app.intake import replies
from app.intake.held_room import HeldRoom
from app.intake.loops import FlagLoop
from app.intake.reading.checks import excerpt
from app.intake.reading.uploads import Uploads
from app.intake.refusals import HeldFull, LoopDetected, OverLimit, ZapPaused
from app.intake.replies import Refused, Reply
from app.intake.request_log import RequestLog
from consumers.rendering.rendering import Rendering
from consumers.rendering.trigger import trigger_of
from domain.hook.compiled import Hook
from domain.hook.hops import MAX_DEPTH, OWN_PER_MINUTE, Hop, own_runs
from domain.hook.request import Request
from domain.intake.admission import Held, Started, hold, start, start_each
from domain.intake.arrival import Arrival, TooManyItems, items_of
from domain.intake.events import MAX_DETAIL, MAX_EXCERPT, Reason, RequestRejected
from domain.language.template import TooMuchWork
from domain.log.errors import DomainError
from domain.log.ports import AppendRefused, EventStore, NewId, StoreUnavailable
from domain.registry import encode
from domain.values.json import JsonObject
from sql.process.crash_points import reached
from sql.tables.rate_limits import RateLimits


class Admission(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Admits requests. `user_per_minute` limits those to all zaps of a user."""

    store: EventStore
    limits: RateLimits
    requests: RequestLog
    held_room: HeldRoom
    new_id: NewId
    refused: Callable[[Exception], Refused]
    user_per_minute: int | None = None
    flag_loop: FlagLoop | None = None
    rendering: Rendering = msgspec.field(default_factory=Rendering)
    uploads: Uploads | None = None

    async def admit(self, arrival: Arrival) -> Reply | Started | Held:
        """The outcome of an authentic request. One that the log does not take is recorded, too. Raises DomainError."""
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
                return replies.filtered(await self._keep(arrival, "filtered", 200, reason))
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
        return replies.accepted_all(started) if isinstance(started, list) else started

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
        await self.forget(arrival)
        with suppress(StoreUnavailable):
            refused = self.refused(error)
            await self._keep(arrival, reason, refused.reply.status, refused.detail, whole=arrival.id is None)
        return error

    async def forget(self, arrival: Arrival) -> None:
        """The files of a request that starts nothing."""
        if arrival.id is not None and self.uploads is not None:
            await self.uploads.forget(arrival.id)

    async def _keep(
        self, arrival: Arrival, reason: Reason, status: int, detail: str, *, whole: bool = True
    ) -> UUID | None:
        rejected = _rejected(arrival, reason, status, detail)
        rejected = rejected if whole else msgspec.structs.replace(rejected, request=None)
        return await self.requests.record(arrival.zap.owner, rejected, arrival.id)


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
