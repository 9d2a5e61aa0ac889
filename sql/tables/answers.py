"""Answers that are kept for repeats of a request: one per caller and key, for a day."""

from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec

from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/answers.sql")

MAX_KEYS = 10_000
MAX_BYTES = 64 * 2**20
"""Of one caller: a user, or an API key, in 24 hours."""
LEASE = timedelta(seconds=60)
"""No request takes that long: one without an answer since then was cut short."""


def answer_context(caller_id: UUID, key: bytes) -> bytes:
    """What a kept answer is sealed for."""
    return b"answer\0" + caller_id.bytes + key


class Claimed(msgspec.Struct, frozen=True):
    """The request is to be carried out; the ids that it makes come from `seed`."""

    seed: UUID


class Kept(msgspec.Struct, frozen=True):
    """The key was used before, by the request with this fingerprint; no answer means that it is under way."""

    fingerprint: bytes
    answer: bytes | None


class Full(msgspec.Struct, frozen=True):
    """The caller has used as many keys, or has answers as large, as are kept."""


Claim: TypeAlias = Claimed | Kept | Full


class Answers:
    """The table. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, caller_id: UUID, key: bytes, fingerprint: bytes, seed: UUID, at: datetime) -> Claim:
        """Take a key for a request, or find what became of the first one with it."""
        await self._pool.execute(_queries["prune"], at)
        taken = await self._pool.fetchval(
            _queries["claim"], caller_id, key, fingerprint, seed, at, at - LEASE, MAX_KEYS, MAX_BYTES
        )
        if taken is not None:
            return Claimed(taken)
        row = await self._pool.fetchrow(_queries["find"], caller_id, key, at)
        return Full() if row is None else Kept(row[0], row[1])

    async def keep(self, caller_id: UUID, key: bytes, seed: UUID, answer: bytes) -> None:
        """What every repeat is answered from now on."""
        await self._pool.execute(_queries["keep"], caller_id, key, seed, answer)

    async def release(self, caller_id: UUID, key: bytes, seed: UUID) -> None:
        """Nobody knows whether the request had its effect: it may be made again."""
        await self._pool.execute(_queries["release"], caller_id, key, seed)

    async def forget(self, caller_id: UUID, key: bytes, seed: UUID) -> None:
        """The request was refused: its key is free."""
        await self._pool.execute(_queries["forget"], caller_id, key, seed)
