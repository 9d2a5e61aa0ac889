"""Limits on guessing passwords: after some failures, each further failure doubles the lock-out.

Failures count by account and client together, so that a stranger's guesses do not lock the owner out, and more
patiently by account and by client (OWASP Authentication Cheat Sheet, "Account Lockout"). API processes share them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from weakref import WeakValueDictionary

from domain.log.errors import DomainError
from sql.tables.identity import GuessLimit, Identity

FREE_PAIR, LONGEST_PAIR_S = 5, 900
FREE_ACCOUNT, LONGEST_ACCOUNT_S = 100, 60
FREE_CLIENT, LONGEST_CLIENT_S = 200, 60
PATIENCE_S = 30.0
"""How long a guess waits for earlier guesses at the same account."""


class TooManyGuesses(DomainError, code="rate_limited"):
    """Too many wrong passwords: wait `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = max(1, round(retry_after_s + 0.5))
        super().__init__(f"too many wrong passwords: try again in {self.retry_after_s} s")


class Guesses:
    """Counts failures. Guesses at one account take turns, so that a thousand at once are not a thousand free ones."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def check(self, address: str, client: str, is_right: Callable[[], Awaitable[bool]]) -> bool:
        """Whether a password for an account is right, asked from a client's network address. Raises TooManyGuesses."""
        turn = self._turns.setdefault(address, asyncio.Lock())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await turn.acquire()
        except TimeoutError:
            raise TooManyGuesses(1) from None
        try:
            return await self._check(_limits(address, client), is_right)
        finally:
            turn.release()

    async def _check(self, limits: tuple[GuessLimit, ...], is_right: Callable[[], Awaitable[bool]]) -> bool:
        closed_s = await self._identity.guesses_closed_for([limit.key for limit in limits])
        if closed_s is not None:
            raise TooManyGuesses(closed_s)
        if await is_right():
            await self._identity.guess_worked(limits[0].key)
            return True
        await self._identity.guess_failed(limits)
        return False


def _limits(address: str, client: str) -> tuple[GuessLimit, ...]:
    return (
        GuessLimit(_key("pair", f"{address}\0{client}"), FREE_PAIR, LONGEST_PAIR_S),
        GuessLimit(_key("account", address), FREE_ACCOUNT, LONGEST_ACCOUNT_S),
        GuessLimit(_key("client", client), FREE_CLIENT, LONGEST_CLIENT_S),
    )


def _key(kind: str, text: str) -> bytes:
    return sha256(f"{kind}\0{text}".encode()).digest()
