"""Takes secrets out of what others said, by their values: as they are, and as JSON, URLs and base64 would spell them.

A part of base64 depends on what stands before it, so a secret has three spellings there (RFC 4648 §4).
"""

import base64
import binascii
from collections.abc import AsyncIterator, Iterable, Iterator
from urllib.parse import quote, quote_plus

import msgspec

from domain.values.json import Json
from domain.values.redaction import REDACTED

LEAST = 6
"""Characters of a secret. A shorter one is found everywhere, and whoever looks for it needs no log."""


class Blot:
    """Knows some secrets by their values, and takes them out."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spelt = {form for secret in secrets if len(secret) >= LEAST for form in _spellings(secret)}
        self._forms = sorted(spelt, key=lambda form: (-len(form), form))  # the whole before its parts
        self._raw = [(form.encode("utf-8", "surrogatepass"), REDACTED.encode()) for form in self._forms]

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, REDACTED)
        return text

    def raw(self, content: bytes) -> bytes:
        """The bytes without them."""
        for form, instead in self._raw:
            if form in content:
                content = content.replace(form, instead)
        return content

    async def stream(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Content without them, as it comes: what may be the beginning of one is held until more is known."""
        most, held = max((len(form) for form, _instead in self._raw), default=1) - 1, b""
        async for piece in content:
            held = self.raw(held + piece)
            ready = max(0, len(held) - most)
            if ready:
                yield held[:ready]
                held = held[ready:]
        if held:
            yield held

    def json(self, value: Json) -> Json:
        """The value without them, in texts and names, however deep."""
        match value:
            case str():
                return self.text(value)
            case dict():
                content = value.get("content")
                cleaned = self._exact(content) if isinstance(content, str) and "content_type" in value else {}
                return {self.text(name): self.json(inner) for name, inner in value.items()} | cleaned
            case list():
                return [self.json(inner) for inner in value]
            case _:
                return value

    def _exact(self, content: str) -> dict[str, Json]:
        """What changes about bytes that are kept as base64, in which a secret may be spelt in any way."""
        try:
            raw = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            return {}
        cleaned = self.raw(raw)
        return {} if cleaned == raw else {"content": base64.b64encode(cleaned).decode(), "size": len(cleaned)}


NOTHING = Blot(())


def _spellings(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    in_json = msgspec.json.encode(secret).decode()[1:-1]
    yield from (secret, in_json, in_json.replace("/", "\\/"), raw.hex())
    for quoted in (quote(raw, safe=""), quote_plus(raw), quote(raw)):
        yield from (quoted, _lower_escapes(quoted))
    for before in range(3):
        yield from _in_base64(raw, before)


def _lower_escapes(quoted: str) -> str:
    first, *parts = quoted.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts)


def _in_base64(raw: bytes, before: int) -> Iterator[str]:
    """Both alphabets' spelling of the bytes behind so many others: the characters that only these bytes decide."""
    skipped, known = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(b"\0" * before + raw).decode()[skipped:known]
