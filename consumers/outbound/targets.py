"""Guards the targets of actions: one that is down is not called, one with a rate limit is not called more often.

A target is a scheme, host and port as one tenant calls it, so that no tenant can shut a target for another.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID, uuid5

import msgspec
from yarl import URL

from consumers.outbound.circuit import Circuit, Verdict
from consumers.outbound.client import CACHED_URL, KNOWN_URLS, Outbound
from consumers.outbound.turns import Turns
from domain.connector.http_client import HttpClient, HttpReply, HttpRequest, Unreachable
from domain.files.file import FileError
from domain.log.ports import Clock, StoreUnavailable
from sql.tables.rate_limits import RateLimits

CAPACITY = 10_000
"""Targets remembered; the one unused for longest is forgotten, and then counts as ok."""
LIMITS_AWAY_S = 5.0
"""When to try again while the database cannot say whether there is a token."""


class Target(msgspec.Struct, frozen=True):
    """Its circuit as this process knows it, the key of its tokens, and the turns of the runs that wait for one."""

    circuit: Circuit
    bucket: UUID
    turns: Turns


class Targets:
    """Every target that this process has called lately. `monotonic` in seconds, `random` from 0 to 1."""

    def __init__(
        self,
        http: Outbound,
        limits: RateLimits,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._http = http
        self._limits = limits
        self._clock = clock
        self._monotonic = monotonic
        self._random = random
        self._targets: OrderedDict[tuple[UUID, str], Target] = OrderedDict()

    def of(self, tenant_id: UUID, per_minute: int | None) -> HttpClient:
        """The client for one action. `per_minute` bounds the calls to a target, by all processes together."""
        return _Guarded(self, tenant_id, per_minute)

    async def request(self, tenant_id: UUID, per_minute: int | None, request: HttpRequest) -> HttpReply:
        """As HttpClient.request. Raises Unreachable with code circuit_open or rate_limited where nothing was sent."""
        target = self._target(tenant_id, request.url)
        call = target.circuit.enter(self._monotonic())
        if call is None:
            raise Unreachable(
                "circuit_open",
                "the target failed many times in a row, or asked to wait: it is called again later",
                after_s=target.circuit.after_s(self._monotonic()),
            )
        verdict: Verdict = "unknown"
        retry_after_s: float | None = None
        try:
            if per_minute is not None:
                await self._take_token(target, per_minute)
            verdict = "failing"  # unless it answers; a caller that gives up at a deadline leaves it so, too
            reply = await self._http.request(request, tenant_id)
            verdict = "failing" if reply.status >= 500 or reply.status == 429 else "ok"
            retry_after_s = reply.retry_after_s(self._clock()) if reply.status in (429, 503) else None
        except Unreachable as error:
            verdict = "unknown" if error.permanent else verdict
            raise
        except FileError:
            verdict = "unknown"  # the target has done nothing wrong
            raise
        finally:
            target.circuit.leave(call, self._monotonic(), verdict, retry_after_s)
        return reply

    def _target(self, tenant_id: UUID, url: str) -> Target:
        key = tenant_id, _known(url) if len(url) <= CACHED_URL else _address(url)
        target = self._targets.get(key)
        if target is None:
            target = Target(Circuit(self._random), uuid5(*key), Turns(self._random))
            self._targets[key] = target
            if len(self._targets) > CAPACITY:
                self._targets.popitem(last=False)
        else:
            self._targets.move_to_end(key)
        return target

    async def _take_token(self, target: Target, per_minute: int) -> None:
        try:
            wait_s = await self._limits.take(target.bucket, per_minute)
        except StoreUnavailable:
            wait_s = LIMITS_AWAY_S
        if wait_s is not None:
            now = self._monotonic()
            raise Unreachable(
                "rate_limited",
                f"this target takes {per_minute} calls a minute, and they are used up",
                after_s=target.turns.after_s(now, now + wait_s, 60 / per_minute),
            )


class _Guarded(msgspec.Struct, frozen=True):
    """The targets as one action sees them."""

    targets: Targets
    tenant_id: UUID
    per_minute: int | None

    async def request(self, request: HttpRequest) -> HttpReply:
        """See domain.connector.http_client.HttpClient."""
        return await self.targets.request(self.tenant_id, self.per_minute, request)


@lru_cache(maxsize=KNOWN_URLS)
def _known(url: str) -> str:
    return _address(url)


def _address(url: str) -> str:
    """What makes two URLs one target. All that is no URL is one, too: the client will say what is wrong."""
    try:
        target = URL(url)
        host, port = target.host, target.port
    except ValueError:
        return ""
    return f"{target.scheme}://{host}:{port}"
