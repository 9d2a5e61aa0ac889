"""Compressed request bodies, counted while they grow: 200 kB can hold 200 MB."""

import gzip
import io
import zlib

import msgspec

MAX_MEMBERS = 1_000
"""Of one body of gzip or zstd: empty ones take time and give nothing."""
_MEMBER = b"\x1f\x8b\x08"


class TooLarge(msgspec.Struct, frozen=True):
    """More than `limit` bytes come out."""

    limit: int


class Unsupported(msgspec.Struct, frozen=True):
    """A content coding that is not decoded here: the answer is 415."""

    encoding: str


class Corrupt(msgspec.Struct, frozen=True):
    """The bytes are not what the content coding says."""

    encoding: str


def inflate(encoding: str, body: bytes, limit: int) -> bytes | TooLarge | Unsupported | Corrupt:
    """The content behind a Content-Encoding header. Never raises."""
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body if len(body) <= limit else TooLarge(limit)
    match name:  # RFC 9110 §8.4.1
        case "gzip" | "x-gzip":
            content = _gunzip(body, limit)
        case "deflate":  # many senders leave the zlib wrapper out
            content = _inflate(body, zlib.MAX_WBITS, limit)
            content = _inflate(body, -zlib.MAX_WBITS, limit) if content is None else content
        case _:
            return Unsupported(name[:50])
    if content is None:
        return Corrupt(name)
    return content if len(content) <= limit else TooLarge(limit)


def _gunzip(body: bytes, limit: int) -> bytes | None:
    """As `_inflate`; there may be several members, one after the other, and zeros behind them (RFC 1952 §2.2)."""
    if not body or body.count(_MEMBER) > MAX_MEMBERS:
        return None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as members:
            return members.read(limit + 1)
    except (OSError, EOFError, zlib.error):
        return None


def _inflate(body: bytes, bits: int, limit: int) -> bytes | None:
    """At most one byte past the limit; None for what is broken, cut off or followed by something else."""
    stream = zlib.decompressobj(bits)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        return None
    if len(content) > limit:
        return content
    return content if stream.eof and not stream.unused_data else None
