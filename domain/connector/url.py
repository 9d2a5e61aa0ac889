"""A target's URL: sent byte for byte as it is written where it is valid, as signed links need it."""

import re
from collections.abc import Iterable
from urllib.parse import quote, urlencode

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:[^@/?#\\]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^@:\[\]/?#\\%\s\"<>^`{|}\x00-\x20\x7f]+)(?::\d{0,5})?")
_NOT_ALLOWED = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:/?@!$&'()*+,;=\[\]%]")
"""What RFC 3986 allows nowhere in a path or query. Brackets stay: everybody sends them as they are."""


_NAMES_HOST = re.compile(r"https?://[^/?#]*[/?#]", re.IGNORECASE)
"""The beginning of a URL whose host is known, whatever follows."""
_TWICE = re.compile(r"(https?://)https?:/", re.IGNORECASE)
MAX_URL = 64 * 1024
"""Characters of a URL, its query included; servers take far less, and longer ones hold up others here."""
MAX_PORT = 65_535
MAX_LABEL = 63
"""Characters between the dots of a name (RFC 1035 §2.3.4); of other alphabets, name servers see more than there are."""
MAX_HOST = 300
"""Characters of a host and its port; a name in DNS has 253 (RFC 1035 §2.3.4)."""


class BadUrl(ValueError):
    """No URL that can be called; the message says what would be one."""


def exact(url: str) -> tuple[str, str, str]:
    """Scheme, authority, and the rest without its fragment, in which only what no URL may hold is escaped.

    Raises BadUrl.
    """
    if len(url) > MAX_URL:
        raise BadUrl(f"it has {len(url):,} characters; at most {MAX_URL:,} can be sent")
    url = url.strip()
    found = _URL.match(url)
    if found is None:
        raise BadUrl(_advice(url))
    scheme, authority, rest = found.groups()
    host = authority.rpartition("@")[2]  # without the password that may stand before it
    if len(host) > MAX_HOST or not _AUTHORITY.fullmatch(authority) or not _is_host(host):
        hint = "; an @ in a password is written %40" if authority.count("@") > 1 else ""
        raise BadUrl(f"{host[:100]!r} is not a host name, or an address, with an optional port{hint}")
    return scheme.lower(), authority, _NOT_ALLOWED.sub(_escaped, rest)


def _is_host(host: str) -> bool:
    """Whether no part of a name is empty or too long, and a port is one."""
    name, _, port = host.rpartition(":")
    named = name if port.isdecimal() else host
    too_long = any(label.isascii() and len(label) > MAX_LABEL for label in named.split("."))
    is_port = not port.isdecimal() or 0 < int(port) <= MAX_PORT
    return is_port and not (too_long or named.startswith(".") or ".." in named)


def check(url: str) -> str | None:
    """What is wrong with a URL as it stands in a definition, with its templates; None where nothing is."""
    fixed, template, _ = url.strip().partition("{")
    twice = _TWICE.match(fixed)
    if twice:
        return f"the address begins twice; did you mean {url.strip()[twice.end(1) :][:200]}?"
    try:
        if not template or _NAMES_HOST.match(fixed):
            exact(fixed)
        elif fixed and not re.match(r"https?://", fixed, re.IGNORECASE) and not _could_begin(fixed):
            return _advice(url.strip())
    except BadUrl as error:
        return str(error)
    return None


def with_path(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The URL with texts of its path replaced, each by a value that stays within its segment."""
    for name, value in pairs:
        head, slashes, rest = url.partition("://")
        authority, slash, below = rest.partition("/")
        path, mark, query = below.partition("?")
        url = f"{head}{slashes}{authority}{slash}{path.replace(name, quote(value, safe=':@'))}{mark}{query}"
    return url


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The URL with more parameters, before its fragment."""
    more = urlencode(list(pairs), quote_via=quote, safe="", errors="replace")
    if not more:
        return url
    before, mark, fragment = url.partition("#")
    separator = "" if before[-1:] in {"?", "&"} else "&" if "?" in before else "?"
    return f"{before}{separator}{more}{mark}{fragment}"


def _could_begin(fixed: str) -> bool:
    """Whether `https://` may still come of it once the template that follows is replaced, as in `http{{ s }}://…`."""
    return any(scheme.startswith(fixed.lower()) for scheme in ("http://", "https://"))


def _advice(url: str) -> str:
    shown = url[:200]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", shown):
        return f"only http:// and https:// can be called, not {shown.partition('://')[0]}://"
    if re.match(r"[\w-]+(?:\.[\w-]+)+(?:[:/?#]|\Z)", shown):
        return f"must begin with http:// or https://; did you mean https://{shown}?"
    return "must begin with http:// or https:// and name a host"


def _escaped(found: re.Match[str]) -> str:
    return quote(found[0].encode("utf-8", "replace"), safe="")
