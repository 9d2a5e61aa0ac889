"""What headers say of content: its media type, and the name of its file.

The name is in Content-Disposition (RFC 6266): `filename*` in its charset, else `filename`.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from multipart import content_disposition_unquote

from domain.values.charset import charset_of, text_of

_ENCODED = re.compile(r";\s?filename\*\s?=\s?([\w.:-]{1,40})'[\w-]{0,40}'([^;\s]+)", re.IGNORECASE)
_PLAIN = re.compile(r';\s?filename\s?=\s?("(?:[^"\\]|\\.)*"|[^;\s]+)', re.IGNORECASE)
_END_OF_TYPE = re.compile(r"[,\s]")
"""Proxies join doubled headers with a comma, and some senders forget the semicolon before the charset."""
_JSON_TYPES = frozenset(
    {"application/json", "application/x-json", "text/json", "text/x-json", "application/csp-report"}
)
_BINARY = re.compile(
    r"(?:image|audio|video|font|model)/(?!svg\+xml).*"
    r"|application/(?:octet-stream|pdf|zip|gzip|x-gzip|x-tar|x-7z-compressed|x-bzip2?|wasm|vnd\.(?:ms-|openxml).*"
    r"|(?:x-)?protobuf|vnd\.google\.protobuf|(?:x-|vnd\.)?msgpack)"
)


def plain_type(media_type: str) -> str:
    """The first type of a header that names several, without what belongs behind a semicolon."""
    return _END_OF_TYPE.split(media_type.strip(), maxsplit=1)[0]


def is_json(media_type: str) -> bool:
    """Whether a media type, in lower case, promises JSON."""
    return media_type in _JSON_TYPES or media_type.endswith("+json")


def is_binary(media_type: str) -> bool:
    """Whether content of this type, in lower case, is bytes and nothing else, even where they look like text."""
    return _BINARY.fullmatch(media_type) is not None


def filename_of(disposition: str, read: Callable[[str], str] = str) -> str | None:
    """The name, None where there is none; an empty one is one. `read` makes text of what stands there as it is."""
    encoded = _ENCODED.search(disposition)
    if encoded:
        return text_of(unquote_to_bytes(encoded[2]), charset_of(encoded[1]))
    plain = _PLAIN.search(disposition)
    return content_disposition_unquote(read(plain[1]), filename=True) if plain else None
