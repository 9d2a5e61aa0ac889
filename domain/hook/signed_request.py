"""One request as it came off the wire, and strict access to its headers."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

RefusalCode: TypeAlias = Literal[
    "unknown_preset",
    "no_secret",
    "missing_header",
    "repeated_header",
    "malformed_header",
    "outside_window",
    "bad_signature",
    "bad_credentials",
    "address_not_allowed",
    "malformed_delivery_id",
    "malformed_event",
    "unverifiable",
]

MAX_DELIVERY_ID = 255
"""Characters of a delivery id."""

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]


def is_printable(text: str) -> bool:
    """Whether a header can carry the text: printable ASCII, and not empty."""
    return text != "" and text.isascii() and text.isprintable()


class Refusal(Exception):
    """Why a request is not taken; `verify` makes a value of it."""

    def __init__(self, code: RefusalCode, reason: str) -> None:
        super().__init__(reason)
        self.code: RefusalCode = code
        self.reason = reason


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is verified. `url` is the public one that the sender called, `body` the bytes before any parsing."""

    method: str
    url: str
    headers: RawHeaders
    body: bytes
    client_ip: str = ""

    def header(self, name: str) -> str:
        """The one value of a header. Raises Refusal where it is missing, doubled, empty or not plain ASCII."""
        value = self.optional_header(name)
        if value is None:
            raise Refusal("missing_header", f"{name} is missing")
        return value

    def optional_header(self, name: str) -> str | None:
        """Like `header`, with None for one that is not there at all."""
        wanted = name.lower().encode()
        values = [value for key, value in self.headers if key.lower() == wanted]
        if not values:
            return None
        if len(values) > 1:
            raise Refusal("repeated_header", f"{name} came {len(values)} times")
        value = values[0].strip(b" \t").decode("latin-1")
        if not is_printable(value):
            raise Refusal("malformed_header", f"{name} is not printable ASCII")
        return value
