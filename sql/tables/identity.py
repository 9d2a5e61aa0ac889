"""Users, sessions and API keys: the tables of schema iam. They hold only hashes of secrets."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, cast
from uuid import UUID

import msgspec

from domain.run.request import made_at
from domain.values.email import spellings
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/identity.sql")

MAX_SESSIONS = 100
"""Signed-in devices of one user; the oldest is signed out beyond that."""
MAX_API_KEYS = 100


Scope: TypeAlias = Literal["read", "write", "keys"]
"""What an API key may do: see, change and act, and make or delete keys."""


class User(msgspec.Struct, frozen=True):
    """A person with an account."""

    id: UUID
    email: str
    name: str


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is listed: enough to recognise it, too little to use it."""

    id: UUID
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime


class Session(msgspec.Struct, frozen=True):
    """A signed-in device: since when, when it last fetched a token, and until when it lasts unless it does so again.

    `device` is what it called itself when it signed in (its User-Agent).
    """

    id: UUID
    device: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class GuessLimit(msgspec.Struct, frozen=True):
    """A limit on guesses: the hash that failures count under, free failures, the longest lock-out in seconds."""

    key: bytes
    free: int
    longest_s: int


class ApiKeyOwner(msgspec.Struct, frozen=True):
    """The owner of an API key."""

    key_id: UUID
    user_id: UUID
    scopes: tuple[Scope, ...]
    name: str


class Identity:
    """The tables behind sign-in. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_user(self, user: User, password_hash: str) -> bool:
        """Add a user; False where the address is taken."""
        values = (user.id, user.email, user.name, password_hash, spellings(user.email))
        row = await self._pool.fetchrow(_queries["add_user"], *values)
        return row is not None

    async def remove_user(self, user_id: UUID) -> None:
        """Remove an account that was just made."""
        await self._pool.execute(_queries["remove_user"], user_id)

    async def user_by_email(self, email: str) -> tuple[User, str] | None:
        """The user and the password's hash, however the address is spelt."""
        row = await self._pool.fetchrow(_queries["user_by_email"], spellings(email))
        return (User(row[0], row[1], row[2]), row[3]) if row else None

    async def has_users(self) -> bool:
        """Whether there is any account."""
        return await self._pool.fetchval(_queries["has_users"]) is not None

    async def user_by_id(self, user_id: UUID) -> User | None:
        """The user; None where the account is gone."""
        row = await self._pool.fetchrow(_queries["user_by_id"], user_id)
        return User(row[0], row[1], row[2]) if row else None

    async def add_session(
        self, session_id: UUID, user_id: UUID, refresh_hash: bytes, expires_at: datetime, device: str = ""
    ) -> None:
        """Remember a signed-in device, and forget the user's ended and surplus ones."""
        await self._pool.execute(_queries["add_session"], session_id, user_id, refresh_hash, expires_at, device)
        await self._pool.execute(_queries["prune_sessions"], user_id, MAX_SESSIONS)

    async def rotate_session(
        self, session_id: UUID, old_hash: bytes, new_hash: bytes, expires_at: datetime
    ) -> UUID | None:
        """Trade the refresh token; gives the user, None when `old_hash` is not the current one."""
        user_id: UUID | None = await self._pool.fetchval(
            _queries["rotate_session"], session_id, old_hash, new_hash, expires_at
        )
        return user_id

    async def session_rotated_since(self, session_id: UUID, old_hash: bytes, grace: timedelta) -> UUID | None:
        """The user, when `old_hash` was the current one until at most `grace` ago."""
        user_id: UUID | None = await self._pool.fetchval(_queries["session_rotated_since"], session_id, old_hash, grace)
        return user_id

    async def end_session(self, session_id: UUID) -> UUID | None:
        """Sign the device out; gives the user whose session it was."""
        user_id: UUID | None = await self._pool.fetchval(_queries["end_session"], session_id)
        return user_id

    async def sessions_of(self, user_id: UUID) -> list[Session]:
        """All of a user's sessions that last, newest first."""
        rows = await self._pool.fetch(_queries["sessions_of"], user_id)
        return [Session(row[0], row[1], made_at(row[0]), row[2], row[3]) for row in rows]

    async def password_of(self, user_id: UUID) -> tuple[str, str]:
        """The address and the password's hash of a user who has a session."""
        row = await self._pool.fetchrow(_queries["password_of"], user_id)
        assert row is not None
        return row[0], row[1]

    async def change_password(self, user_id: UUID, password_hash: str) -> None:
        """Put another password's hash in the place of the one that was there."""
        await self._pool.execute(_queries["change_password"], user_id, password_hash)

    async def session_lasts(self, session_id: UUID, user_id: UUID) -> bool:
        """Whether this user's session is neither ended nor over."""
        return await self._pool.fetchval(_queries["session_user"], session_id, user_id) is not None

    async def lasting(self, credentials: Collection[UUID]) -> set[UUID]:
        """Of some sessions and API keys, by id, those that are neither ended nor deleted."""
        return {row[0] for row in await self._pool.fetch(_queries["lasting"], list(credentials))}

    async def add_api_key(
        self, key_id: UUID, user_id: UUID, *, name: str, prefix: str, key_hash: bytes, scopes: tuple[Scope, ...]
    ) -> ApiKey | None:
        """Add a key; None where the user has MAX_API_KEYS already."""
        created_at: datetime | None = await self._pool.fetchval(
            _queries["add_api_key"], key_id, user_id, name, prefix, key_hash, MAX_API_KEYS, scopes
        )
        return ApiKey(key_id, name, prefix, scopes, created_at) if created_at else None

    async def api_keys(self, user_id: UUID, before: UUID | None, limit: int) -> list[ApiKey]:
        """The user's keys, newest first."""
        rows = await self._pool.fetch(_queries["api_keys"], user_id, before, limit)
        return [ApiKey(row[0], row[1], row[2], _scopes(row[3]), row[4]) for row in rows]

    async def delete_api_key(self, user_id: UUID, key_id: UUID) -> bool:
        """Delete a key; False where the user has no such key."""
        return await self._pool.fetchval(_queries["delete_api_key"], user_id, key_id) is not None

    async def api_key_owner(self, key_hash: bytes) -> ApiKeyOwner | None:
        """The owner of the key with this SHA-256."""
        row = await self._pool.fetchrow(_queries["api_key_owner"], key_hash)
        return ApiKeyOwner(row[0], row[1], _scopes(row[2]), row[3]) if row else None

    async def guesses_closed_for(self, keys: Sequence[bytes]) -> float | None:
        """For how many seconds no password may be tried under any of these keys; None when one may be tried now."""
        seconds: float | None = await self._pool.fetchval(_queries["guesses_closed_for"], list(keys))
        return seconds

    async def guess_failed(self, limits: Sequence[GuessLimit]) -> None:
        """Count a failure."""
        columns = zip(*((limit.key, limit.free, limit.longest_s) for limit in limits), strict=True)
        await self._pool.execute(_queries["guess_failed"], *map(list, columns))

    async def guess_worked(self, key: bytes) -> None:
        """Forget the failures under this key."""
        await self._pool.execute(_queries["guess_worked"], key)


def _scopes(column: Sequence[str]) -> tuple[Scope, ...]:
    return cast(tuple[Scope, ...], tuple(column))
