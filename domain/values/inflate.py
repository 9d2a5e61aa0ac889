"""Compressed request bodies, counted while they grow: 200 kB can hold 200 MB."""

import zlib

import msgspec


class TooLarge(msgspec.Struct, frozen=True):
    """More than `limit` bytes come out."""

    limit: int


class Unsupported(msgspec.Struct, frozen=True):
    """A content coding that is not decoded here: the answer is 415."""

    encoding: str


class Corrupt(msgspec.Struct, frozen=True):
    """The bytes are not what the content coding says."""

    encoding: str


_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # RFC 9110 §8.4.1


def inflate(encoding: str, body: bytes, limit: int) -> bytes | TooLarge | Unsupported | Corrupt:
    """The content behind a Content-Encoding header. Never raises."""
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body if len(body) <= limit else TooLarge(limit)
    bits = _WINDOW_BITS.get(name)
    if bits is None:
        return Unsupported(name[:50])
    content = _inflate(body, bits, limit)
    if content is None and name == "deflate":
        content = _inflate(body, -15, limit)  # many senders leave the zlib wrapper out (RFC 9110 §8.4.1.2)
    if content is None:
        return Corrupt(name)
    return content if len(content) <= limit else TooLarge(limit)


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
