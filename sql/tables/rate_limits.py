"""Rate limits that all processes share: a bucket of tokens in the database per zap, user, or target of actions.

Each limit of a key has a bucket of its own: zaps that call one target at different limits do not share one, which would
be as small as the limit of whoever asked last.

A process takes tokens in portions of a hundredth of a minute's worth, so that the database is asked rarely and a
limit is exceeded, or missed, by at most a portion per process. A bucket holds a minute's worth: that is the burst.
"""

import asyncio
import time
from collections import OrderedDict
from uuid import UUID, uuid5

import msgspec

from domain.log.ports import StoreUnavailable
from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/hooks.sql")

PORTIONS = 100
"""In a minute's worth."""
CAPACITY = 10_000
"""Limits remembered; the one unused for longest makes room, and with it a portion at most."""
MAX_REFUSAL_S = 1.0
"""How long a process refuses from memory before it asks the database again."""
ANSWER_S = 1.5


class _Portion(msgspec.Struct):
    tokens: int = 0
    refused_until: float = 0.0
    retry_at: float = 0.0
    asking: "asyncio.Task[None] | None" = None


class RateLimits:
    """Tokens of this process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._portions: OrderedDict[tuple[UUID, int], _Portion] = OrderedDict()

    async def take(self, key: UUID, per_minute: int, tokens: int = 1) -> float | None:
        """Take tokens of `key`. None when there was one, else the seconds until one may be.

        Who takes more than are there owes the others: they have to come before anybody gets one again. Nobody owes more
        than a minute's worth. Raises StoreUnavailable.
        """
        portion = self._portion((key, per_minute))
        while portion.tokens <= 0:
            moment = time.monotonic()
            if moment < portion.refused_until:
                return portion.retry_at - moment
            if portion.asking is None:
                portion.asking = asyncio.create_task(self._ask(portion, key, per_minute))
                # The waiter may be gone; asyncio would complain about an error that nobody took.
                portion.asking.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                # Shielded: a query that is cancelled while the server stands still does not end.
                async with asyncio.timeout(ANSWER_S):
                    await asyncio.shield(portion.asking)
            except TimeoutError:
                raise StoreUnavailable("rate limits cannot be read in time") from None
        portion.tokens -= min(tokens, per_minute)
        return None

    def _portion(self, key: tuple[UUID, int]) -> _Portion:
        portion = self._portions.get(key)
        if portion is None:
            portion = self._portions[key] = _Portion()
            if len(self._portions) > CAPACITY:
                self._portions.popitem(last=False)
        else:
            self._portions.move_to_end(key)
        return portion

    async def _ask(self, portion: _Portion, key: UUID, per_minute: int) -> None:
        try:
            want = max(1, per_minute // PORTIONS, 1 - portion.tokens)
            row = await self._pool.fetchrow(_queries["lease"], uuid5(key, str(per_minute)), per_minute, want)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable("rate limits cannot be read") from error
        finally:
            portion.asking = None
        assert row is not None
        granted, retry_after_s = row
        portion.tokens += granted
        if not granted:
            moment = time.monotonic()
            portion.retry_at = moment + retry_after_s
            portion.refused_until = moment + min(retry_after_s, MAX_REFUSAL_S)
