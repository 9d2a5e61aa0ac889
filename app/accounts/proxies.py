"""Who really sent a request that came through proxies: a header says so, and only the operator's own are believed.

Each proxy appends the address it was called from to X-Forwarded-For. Read from the right, the first address that is no
trusted proxy is the client; what stands before it is whatever the client wrote.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from app.config.parsers import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HEADER = b"x-forwarded-for"
MAX_HOPS = 20
"""Proxies in a chain, and so addresses that are looked at."""


def client_of(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> str:
    """The client's address, where `peer` is who holds the connection to us; `peer` itself unless it is trusted."""
    if not is_trusted(peer, trusted):
        return peer
    client = peer
    given = ",".join(value.decode("latin-1") for name, value in headers if name == _HEADER)
    for text in reversed(given.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if given else []):
        address = _address(text)
        if address is None:
            break  # nothing before it can be told from what the client wrote
        client = str(address)
        if not is_trusted(client, trusted):
            break
    return client


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Whether an address is one of the operator's proxies."""
    if not trusted:
        return False
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _address(text: str) -> Address | None:
    """An address as proxies write it, with or without a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
