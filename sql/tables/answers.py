"""Stored answers for repeated requests: one per principal and key, for a day."""

from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec

from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/answers.sql")

MAX_KEYS = 10_000
MAX_BYTES = 64 * 2**20
"""Of one principal, a user or an API key, in 24 hours."""
LEASE = timedelta(seconds=60)
"""No request takes this long: one without an answer since then was cut short."""


def answer_context(principal_id: UUID, key: bytes) -> bytes:
    """What a kept answer is sealed for."""
    return b"answer\0" + principal_id.bytes + key


class Claimed(msgspec.Struct, frozen=True):
    """Carry out the request; the ids that it makes come from `seed`."""

    seed: UUID


class Kept(msgspec.Struct, frozen=True):
    """A request with this fingerprint used the key before; without an answer it is under way."""

    fingerprint: bytes
    answer: bytes | None


class Full(msgspec.Struct, frozen=True):
    """The principal has reached the limit of keys or of bytes."""


Claim: TypeAlias = Claimed | Kept | Full


class Answers:
    """The table. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, principal_id: UUID, key: bytes, fingerprint: bytes, seed: UUID, at: datetime) -> Claim:
        """Take a key for a request, or find what became of the first one with it."""
        await self._pool.execute(_queries["prune"], at)
        taken = await self._pool.fetchval(
            _queries["claim"], principal_id, key, fingerprint, seed, at, at - LEASE, MAX_KEYS, MAX_BYTES
        )
        if taken is not None:
            return Claimed(taken)
        row = await self._pool.fetchrow(_queries["find"], principal_id, key, at)
        return Full() if row is None else Kept(row[0], row[1])

    async def keep(self, principal_id: UUID, key: bytes, seed: UUID, answer: bytes) -> None:
        """Store the answer that every repeat gets from now on."""
        await self._pool.execute(_queries["keep"], principal_id, key, seed, answer)

    async def release(self, principal_id: UUID, key: bytes, seed: UUID) -> None:
        """It is unknown whether the request had its effect: let it be repeated."""
        await self._pool.execute(_queries["release"], principal_id, key, seed)

    async def forget(self, principal_id: UUID, key: bytes, seed: UUID) -> None:
        """The request was refused: free its key."""
        await self._pool.execute(_queries["forget"], principal_id, key, seed)
