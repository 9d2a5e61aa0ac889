"""The one HTTP client of all actions: no redirects, no proxies, bounded in time and size, guarded by address."""

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from consumers.outbound.addresses import Network, is_allowed
from domain.connector.descriptor import HttpReply, Unreachable

MAX_REPLY_BYTES = 256 * 1024
"""Bytes of a reply that are kept; more is cut off and marked so."""
CONNECTIONS = 200
USER_AGENT = "TriggerHub"


class AddressRefused(OSError):
    """The name leads to an internal address that OUTBOUND_ALLOW does not name."""


class GuardedResolver(AbstractResolver):
    """Resolves once and hands on only allowed addresses, so that the checked address is the one connected to."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [answer for answer in found if is_allowed(answer["host"], self._allowed)]
        if not allowed:
            raise AddressRefused(f"{host} leads to an internal address")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class Outbound:
    """domain.connector.descriptor.HttpClient over aiohttp. Open it with `async with`."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._allowed), limit=CONNECTIONS, ttl_dns_cache=10, keepalive_timeout=30
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpReply:
        """See domain.connector.descriptor.HttpClient."""
        target = _checked(url, self._allowed)
        if self._session is None:
            raise RuntimeError("Outbound is used outside its `async with`")
        try:
            async with self._session.request(
                method,
                target,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return await _read(response)
        except TimeoutError:
            raise Unreachable("timeout", f"no complete answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(error) from error


async def _read(response: aiohttp.ClientResponse) -> HttpReply:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            response.close()
            break
    return HttpReply(
        status=response.status,
        headers={name.lower(): _clean(value) for name, value in response.headers.items()},
        body=b"".join(chunks)[:MAX_REPLY_BYTES],
        truncated=size > MAX_REPLY_BYTES,
    )


def _clean(value: str) -> str:
    """aiohttp hands on bytes that are not UTF-8 as lone surrogates, which no JSON text can hold."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checked(url: str, allowed: Sequence[Network]) -> URL:
    try:
        target = URL(url)
        host, _port = target.host, target.port
    except ValueError as error:
        raise Unreachable("bad_url", f"not a URL: {error}", permanent=True) from error
    if target.scheme not in ("http", "https") or not host:
        raise Unreachable("bad_url", "the URL must start with http:// or https:// and name a host", permanent=True)
    if _is_literal(host) and not is_allowed(host, allowed):
        raise _refused(host)
    return target


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


def _refused(host: str) -> Unreachable:
    return Unreachable(
        "address_refused",
        f"{host} is an internal address; name its network in TRIGGERHUB_OUTBOUND_ALLOW to reach it",
        permanent=True,
    )


def _unreachable(error: Exception) -> Unreachable:
    """The class of failure; texts stay general, as a precise one would make this a port scanner."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return _refused(str(cause).split(" ", 1)[0])
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
