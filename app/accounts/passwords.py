"""Password hashing off the event loop: Argon2id with OWASP's floor of memory, in a few threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.log.ports import StoreUnavailable

THREADS = 2
MAX_WAITING = 64
"""Hashes at work or waiting; a flood of sign-ins beyond that is told to come back later."""

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords; 19 MiB, two passes, one lane (OWASP Password Storage, Argon2id)."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to store. Raises StoreUnavailable when too many are waiting."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether the password is right. Without a hash the work is done all the same, so that time tells nothing."""
        if hashed is None:
            await self.hash(password)
            return False
        return await self._run(lambda: self._verify(hashed, password))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailable("too many sign-ins at once")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
