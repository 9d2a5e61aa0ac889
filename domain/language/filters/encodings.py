"""Filters that write values in the alphabets of others, and read them again; and digests, which nobody reads again."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import quote_plus, unquote_plus

from domain.language.filters.filter import FilterError, Filters
from domain.language.spelling import as_json, spelled
from domain.values.json import MalformedJson, parse

ALL = Filters()
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DIGESTS = (("md5", "8c8d357b", "10bd8ad3"), ("sha1", "e4ea294c", "ebd050bd"), ("sha256", "fdee430d", "708a727d"),
            ("sha512", "86225ea7", "fa537525"))  # fmt: skip
"""How digests of `ada` begin, without a key and with the key `key`."""


@ALL.add("url_encode", "{{ 'a b&c' | url_encode }}", "a+b%26c")
def url_encode(value: object) -> str:
    """Escapes text so that it can stand in the query of a URL."""
    return quote_plus(spelled(value), errors="replace")


@ALL.add("url_decode", "{{ 'a+b%26c' | url_decode }}", "a b&c")
def url_decode(value: object) -> str:
    """Undoes the escapes of a URL's query."""
    return unquote_plus(spelled(value))


@ALL.add("base64_encode", "{{ 'ada:secret' | base64_encode }}", "YWRhOnNlY3JldA==")
def base64_encode(value: object) -> str:
    """Writes text in base64."""
    return base64.b64encode(_bytes(value)).decode()


@ALL.add("base64_url_safe_encode", "{{ 'a?>b' | base64_url_safe_encode }}", "YT8-Yg==")
def base64_url_safe_encode(value: object) -> str:
    """Writes text in the base64 that URLs can hold."""
    return base64.urlsafe_b64encode(_bytes(value)).decode()


@ALL.add("base64_decode", "{{ 'YWRh' | base64_decode }}", "ada")
def base64_decode(value: object) -> str:
    """Reads text that is written in base64, also in that of URLs, broken into lines, or without its = at the end."""
    written = "".join(spelled(value).split()).encode("ascii", "replace").translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(written + b"=" * (-len(written) % 4), validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise FilterError("this is not text in base64") from None


@ALL.add("base64_url_safe_decode", "{{ 'YT8-Yg' | base64_url_safe_decode }}", "a?>b")
def base64_url_safe_decode(value: object) -> str:
    """The same as `base64_decode`."""
    return base64_decode(value)


@ALL.add("hex_encode", "{{ 'ada' | hex_encode }}", "616461")
def hex_encode(value: object) -> str:
    """Writes the UTF-8 bytes of text as hexadecimal digits."""
    return _bytes(value).hex()


@ALL.add("hex_decode", "{{ '616461' | hex_decode }}", "ada")
def hex_decode(value: object) -> str:
    """Reads text that is written as hexadecimal digits."""
    try:
        return bytes.fromhex(spelled(value)).decode()
    except ValueError:
        raise FilterError("this is not text in hexadecimal digits") from None


@ALL.add("json", "{{ trigger.body.customer | json }}", '{"name":"Ada"}')
def json(value: object) -> str:
    """Writes any value as JSON: text gets its quotes."""
    return as_json(value)


@ALL.add("parse_json", """{% assign m = '{"id": 7}' | parse_json %}{{ m.id }}""", "7")
def parse_json(value: object) -> object:
    """Parses text as JSON, and lists a range; other values stay as they are. Alone in a field, it gives the value."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, range) else value
    try:
        return parse(value.encode("utf-8", "replace"))
    except MalformedJson as error:
        raise FilterError(f"this text is not JSON ({error})") from None


def _digest(name: str) -> Callable[..., str]:
    def digest(value: object, encoding: object = "hex") -> str:
        return _written(hashlib.new(name, _bytes(value), usedforsecurity=False).digest(), encoding)

    digest.__doc__ = f"The {name.upper()} of text, in hexadecimal digits, or as 'base64'."
    return digest


def _signature(name: str) -> Callable[..., str]:
    def signature(value: object, key: object, encoding: object = "hex") -> str:
        secret = _bytes(key)
        if not secret:
            raise FilterError("the key is empty")
        return _written(hmac.new(secret, _bytes(value), name).digest(), encoding)

    signature.__doc__ = f"The HMAC-{name.upper()} of text with a key, in hexadecimal digits, or as 'base64'."
    return signature


def _written(digest: bytes, encoding: object) -> str:
    if encoding not in ("hex", "base64"):
        raise FilterError("a digest is written in 'hex' or 'base64'")
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def _bytes(value: object) -> bytes:
    return spelled(value).encode("utf-8", "replace")


for _name, _plain, _keyed in _DIGESTS:
    ALL.add(_name, f"{{{{ 'ada' | {_name} | slice: 0, 8 }}}}", _plain)(_digest(_name))
    if _name != "md5":
        ALL.add(f"hmac_{_name}", f"{{{{ 'ada' | hmac_{_name}: 'key' | slice: 0, 8 }}}}", _keyed)(_signature(_name))
