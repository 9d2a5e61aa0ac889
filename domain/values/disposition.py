"""The name of a file in a Content-Disposition header (RFC 6266): `filename*` in its charset, else `filename`."""

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from multipart import content_disposition_unquote

from domain.values.charset import charset_of, text_of

_ENCODED = re.compile(r";\s?filename\*\s?=\s?([\w.:-]{1,40})'[\w-]{0,40}'([^;\s]+)", re.IGNORECASE)
_PLAIN = re.compile(r';\s?filename\s?=\s?("(?:[^"\\]|\\.)*"|[^;\s]+)', re.IGNORECASE)


def filename_of(disposition: str, read: Callable[[str], str] = str) -> str | None:
    """The name, None where there is none; an empty one is one. `read` makes text of what stands there as it is."""
    encoded = _ENCODED.search(disposition)
    if encoded:
        return text_of(unquote_to_bytes(encoded[2]), charset_of(encoded[1]))
    plain = _PLAIN.search(disposition)
    return content_disposition_unquote(read(plain[1]), filename=True) if plain else None
