"""Which hosts a credential may go to, and which host a URL names for certain."""

import re
from collections.abc import Iterable

_FIXED = re.compile(r"(https?)://(?:[^@/?#{]*@)?(\[[^\]{]*\]|[^:/?#{]*)(?::(\d*))?(?=[/?#]|\Z)", re.IGNORECASE)
_ENTRY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d+))?")
_PORTS = {"http": 80, "https": 443}


def fixed_host(url: str) -> str:
    """The host that a URL with templates names, whatever its data is; empty where only data can tell.

    With its port, unless that is the scheme's own.
    """
    found = _FIXED.match(url.strip())
    if found is None or not found[2]:
        return ""
    port = int(found[3]) if found[3] else None
    return found[2].lower().rstrip(".") + (f":{port}" if port and port != _PORTS[found[1].lower()] else "")


def may_go(host: str, port: int | None, hosts: Iterable[str]) -> bool:
    """Whether a host is one of these. An entry without a port is for all ports; `*.x` is for all names below x."""
    name = host.lower().rstrip(".")
    return any(
        (wanted is None or wanted == port) and (name.endswith(known[1:]) if known[0] == "*" else name == known)
        for known, wanted in map(_split, hosts)
    )


def is_named(host: str, hosts: Iterable[str]) -> bool:
    """The same for a host as `fixed_host` gives it."""
    return may_go(*_split(host), hosts)


def _split(entry: str) -> tuple[str, int | None]:
    """Name and port of an entry; an address of IPv6 without its brackets."""
    found = _ENTRY.fullmatch(entry)
    name, port = found.groups() if found else (entry, None)
    return name.lower().rstrip(".").removeprefix("[").removesuffix("]"), int(port) if port else None
