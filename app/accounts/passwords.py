"""Password hashing off the event loop: Argon2id with OWASP's least memory, in a few threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.log.errors import DomainError

MAX_WAIT_S = 10.0
"""How long a hash may wait for a thread; beyond that the request is refused as busy."""

OWASP = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""19 MiB, two passes, one lane (OWASP Password Storage, Argon2id)."""

T = TypeVar("T")


class TooManySignIns(DomainError, code="busy"):
    """More passwords are waiting to be checked than there is time for."""

    retry_after_s = 1


class Passwords:
    """Hashes and checks passwords.

    People with an account have a thread of their own: a flood of sign-ups, or of sign-ins to accounts that do not
    exist, waits for itself.
    """

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._members = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._strangers = ThreadPoolExecutor(1, thread_name_prefix="passwords of strangers")

    async def hash(self, password: str) -> str:
        """The hash to store. Raises TooManySignIns."""
        return await _run(self._strangers, lambda: self._hasher.hash(password))

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether the password is right. Raises TooManySignIns.

        Without a hash the work is done all the same, so that time tells nothing.
        """
        if hashed is None:
            await self.hash(password)
            return False
        return await _run(self._members, lambda: self._verify(hashed, password))

    def close(self) -> None:
        """End the threads."""
        for threads in (self._members, self._strangers):
            threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


async def _run(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            return await asyncio.get_running_loop().run_in_executor(threads, work)
    except TimeoutError:
        raise TooManySignIns("too many people sign in at this moment: try again in a few seconds") from None
