"""The one HTTP client of all actions: no redirects, no proxies, bounded in time and size, guarded by address."""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from consumers.outbound.addresses import Network, is_allowed
from consumers.outbound.answers import Unreadable
from consumers.outbound.connection import BoundedHandler
from consumers.outbound.exchange import Exchanges
from consumers.outbound.names import AddressRefused, GuardedResolver, resolver
from domain.connector.headers import problem
from domain.connector.http_client import HttpReply, HttpRequest, Unreachable
from domain.connector.url import BadUrl, exact

CONNECTIONS = 200
"""Of one tenant."""
TENANTS = 500
"""Tenants whose connections are kept; beyond that, those of the tenant that was idle for longest are closed."""
KEEP_ALIVE_S = 30
CACHED_URL = 512
"""Characters of a URL that is remembered, as checked: most steps call the same one again and again."""
KNOWN_URLS = 4_096
NOBODY = UUID(int=0)
"""The tenant of requests that belong to none."""


class Outbound:
    """domain.connector.http_client.HttpClient over aiohttp. Open it with `async with`.

    `allowed`: the networks that may be reached besides public ones.

    Each tenant has connections of its own, so nothing that one leaves on a connection meets another's request.
    """

    def __init__(self, allowed: Sequence[Network], names: Callable[[], AbstractResolver] = resolver) -> None:
        self.allowed = tuple(allowed)
        self._known = lru_cache(maxsize=KNOWN_URLS)(partial(checked, allowed=self.allowed))
        self._make_names = names
        self._names: AbstractResolver | None = None
        self._exits: OrderedDict[UUID, _Exit] = OrderedDict()

    async def __aenter__(self) -> Self:
        self._names = self._make_names()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for exit_ in self._exits.values():
            await exit_.exchanges.close()
        self._exits.clear()
        if self._names is not None:
            await self._names.close()

    async def request(self, request: HttpRequest, tenant_id: UUID = NOBODY) -> HttpReply:
        """See domain.connector.http_client.HttpClient. `tenant_id` says on whose connections."""
        url, headers = request.url, request.headers
        target = self._known(url) if len(url) <= CACHED_URL else checked(url, self.allowed)
        given = list(headers.items()) if not isinstance(headers, Sequence) else list(headers)
        wrong = problem(given)
        if wrong:
            raise Unreachable("bad_request", wrong, permanent=True)
        exit_ = await self._exit(tenant_id)
        exit_.users += 1
        try:
            async with asyncio.timeout(request.timeout_s):
                return await exit_.exchanges.request(request, target, given)
        except TimeoutError:
            raise Unreachable("timeout", f"no complete answer within {request.timeout_s:g} s") from None
        except Unreadable as error:
            raise Unreachable("unreadable", f"the answer can't be read: {error}", permanent=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(error) from error
        finally:
            exit_.users -= 1

    async def _exit(self, tenant_id: UUID) -> "_Exit":
        found = self._exits.get(tenant_id)
        if found is not None:
            self._exits.move_to_end(tenant_id)
            return found
        if self._names is None:
            raise RuntimeError("Outbound is used outside its `async with`")
        self._exits[tenant_id] = found = _Exit(_connector(GuardedResolver(self._names, self.allowed), self.allowed))
        idle = [known for known, exit_ in self._exits.items() if not exit_.users and known != tenant_id]
        if len(self._exits) > TENANTS and idle:
            await self._exits.pop(idle[0]).exchanges.close()
        return found


class _Exit:
    """One tenant's connections, and how many requests are under way on them."""

    def __init__(self, connector: aiohttp.TCPConnector) -> None:
        self.exchanges = Exchanges(connector)
        self.users = 0


class _Connector(aiohttp.TCPConnector):
    """Checks the address of each new connection before anything is sent, whatever name or spelling led there."""

    allowed: Sequence[Network] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        handler: Callable[..., ResponseHandler] = BoundedHandler
        self._factory = partial(handler, loop=self._loop)

    async def _create_connection(self, *args: object, **named: object) -> ResponseHandler:
        protocol = await super()._create_connection(*args, **named)  # type: ignore[arg-type]  # handed on as they came
        peer = protocol.transport.get_extra_info("peername") if protocol.transport else None
        if peer and not is_allowed(peer[0], self.allowed):
            protocol.close()
            raise AddressRefused(f"{peer[0]} is an internal address")
        return protocol


def _connector(names: AbstractResolver, allowed: Sequence[Network]) -> _Connector:
    connector = _Connector(resolver=names, limit=CONNECTIONS, ttl_dns_cache=10, keepalive_timeout=KEEP_ALIVE_S)
    connector.allowed = allowed
    return connector


def checked(url: str, allowed: Sequence[Network]) -> URL:
    """The URL as it goes out. Raises Unreachable for what is no URL or names an internal address."""
    try:
        scheme, authority, rest = exact(url)
        base = URL(f"{scheme}://{authority}")
        host, _port = base.raw_host, base.port
        if not host:
            raise BadUrl("the URL must name a host")
    except ValueError as error:
        raise Unreachable("bad_url", f"not a URL that can be called: {error}", permanent=True) from error
    if _is_literal(host.rstrip(".")) and not is_allowed(host.rstrip("."), allowed):
        raise refused(host)
    return URL(f"{scheme}://{base.raw_authority}{rest}", encoded=True)


def _is_literal(host: str) -> bool:
    """An address, or a spelling that inet_aton would take for one (`127.1`, `0x7f.1`, `2130706433`)."""
    try:
        ip_address(host)
    except ValueError:
        return host.replace(".", "").lower().removeprefix("0x").isalnum() and host[:1].isdigit() and _inet(host)
    return True


def _inet(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def refused(host: str) -> Unreachable:
    """The failure of what was to reach an internal address."""
    return Unreachable(
        "address_refused",
        f"{host} is an internal address; name its network in TRIGGERHUB_OUTBOUND_ALLOW to reach it",
        permanent=True,
    )


def _unreachable(error: Exception) -> Unreachable:
    """The class of failure. The texts stay general, because precise ones would make this a port scanner."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return refused(str(cause).split(" ", 1)[0])
        cause = cause.__cause__ or cause.__context__
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return Unreachable("tls", "the TLS handshake failed")
        case aiohttp.ClientConnectorDNSError():
            return Unreachable("dns", "the host name could not be resolved")
        case aiohttp.ClientConnectorError():
            return Unreachable("connect", "the connection could not be made")
        case aiohttp.InvalidURL() | ValueError():
            return Unreachable("bad_request", "the request can not be sent: bad URL, method or header", permanent=True)
        case _:
            return Unreachable("broken", "the connection broke before the answer was complete")
