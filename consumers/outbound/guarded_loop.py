"""An event loop that connects to allowed addresses only.

Clients of other protocols connect to whatever they like, a Kafka client to whatever addresses the brokers advertise. So
addresses are checked where no client can pass by: in the loop that makes its connections.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from consumers.outbound.addresses import Network
from consumers.outbound.names import AddressRefused, GuardedResolver, resolver


class GuardedLoop(asyncio.SelectorEventLoop):
    """`refused` names the last host that led to an internal address."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        super().__init__()
        self._allowed = allowed
        self.refused = ""

    async def create_connection(  # type: ignore[override]  # clients make all of their connections like this
        self, factory: Callable[[], Any], host: Any = None, port: Any = None, **named: Any
    ) -> Any:
        """Connect to the first address that answers, of those that the name leads to and that are allowed."""
        failure: OSError = OSError(f"{host} has no address")
        if named.get("ssl"):
            named.setdefault("server_hostname", str(host))
        for address in await self.addresses(str(host), int(port)):
            try:
                return await super().create_connection(lambda: self.wrapped(factory()), address, port, **named)
            except OSError as error:
                failure = error
        raise failure

    async def addresses(self, host: str, port: int) -> list[str]:
        """The allowed addresses of a name, which are then connected to. Raises AddressRefused, or another OSError."""
        names = resolver()
        try:
            found = await GuardedResolver(names, self._allowed).resolve(host.removeprefix("[").removesuffix("]"), port)
        except AddressRefused:
            self.refused = host
            raise
        finally:
            await names.close()
        return [answer["host"] for answer in found]

    def wrapped(self, protocol: Any) -> Any:
        """The protocol that a connection speaks; another loop may look at what comes in first."""
        return protocol

    async def create_unix_connection(self, *_given: Any, **_named: Any) -> Any:
        """There is no socket on this machine that a stranger may reach."""
        self.refused = "a local socket"
        raise AddressRefused("a local socket was to be connected to")

    async def getaddrinfo(self, host: Any, port: Any, **_named: Any) -> Any:
        """Names are looked up above, and nowhere else."""
        self.refused = f"{host}:{port}"
        raise AddressRefused(f"{host} was to be looked up past the guard")
