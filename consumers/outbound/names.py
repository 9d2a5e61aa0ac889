"""Which addresses a host name leads to. Look-ups need no thread, take limited time, and give allowed addresses only."""

import asyncio
import socket
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from consumers.outbound.addresses import Network, is_allowed

LOOK_UP_S = 8.0
"""For one name, with all tries."""
TRY_S = 2.0
TRIES = 3
LOOK_UPS = 16
"""Under way at once for one tenant. Further ones wait for these, and delay no other tenant."""


class AddressRefused(OSError):
    """The name leads to an internal address that OUTBOUND_ALLOW does not name."""


def resolver() -> AbstractResolver:
    """The machine's name servers and its hosts file, asked without threads."""
    return aiohttp.AsyncResolver(timeout=TRY_S, tries=TRIES)


class GuardedResolver(AbstractResolver):
    """One tenant's look-ups. Resolves once and hands on only allowed addresses, which are then connected to."""

    def __init__(self, names: AbstractResolver, allowed: Sequence[Network]) -> None:
        self._names = names
        self._allowed = allowed
        self._room = asyncio.Semaphore(LOOK_UPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._look_up(host, port, family)
        allowed = [answer for answer in found if is_allowed(answer["host"], self._allowed)]
        if not allowed:
            raise AddressRefused(f"{host} leads to an internal address")
        return allowed

    async def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        async with self._room:
            try:
                async with asyncio.timeout(LOOK_UP_S):
                    return await self._names.resolve(host, port, family)
            except TimeoutError:
                raise OSError(None, "the name servers do not answer") from None

    async def close(self) -> None:
        """Nothing to close: the name servers' client is shared by all tenants."""
