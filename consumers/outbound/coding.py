"""Undoes the content coding of an answer and stops at a limit: 10 kB can hold 10 GB."""

import io
import sys

import brotli

from domain.values.inflate import MAX_MEMBERS, Corrupt, TooLarge, inflate

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_CODINGS = 3
"""On top of each other."""
_ZSTD_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}
"""8 MiB, which all senders keep to (RFC 9659)."""
_ZSTD_FRAMES = (b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18")
"""What frames begin with, and nearly begin where they are to be skipped (RFC 8878 §3.1)."""
_KNOWN = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd"})


def codings_of(header: str) -> list[str]:
    """The codings that are undone here, outermost first. Others are ignored: most are charsets in the wrong place."""
    names = [name.strip().lower() for name in header.split(",")]
    return [name for name in reversed(names) if name in _KNOWN]


def undone(content: bytes, codings: list[str], limit: int) -> bytes | TooLarge | Corrupt:
    """The content behind the codings. Never raises."""
    if len(codings) > MAX_CODINGS:
        return Corrupt(", ".join(codings)[:50])
    for name in codings:
        found = _undone(content, name, limit)
        if not isinstance(found, bytes):
            return found
        content = found
    return content


def _undone(content: bytes, name: str, limit: int) -> bytes | TooLarge | Corrupt:
    match name:
        case "br":
            found = _brotli(content, limit)
        case "zstd":
            found = _zstd(content, limit)
        case _:
            inflated = inflate(name, content, limit)
            return inflated if isinstance(inflated, bytes | TooLarge) else Corrupt(name)
    if found is None:
        return Corrupt(name)
    return found if len(found) <= limit else TooLarge(limit)


def _brotli(content: bytes, limit: int) -> bytes | None:
    """At most about the limit; None for content that is broken or cut off."""
    stream, size = brotli.Decompressor(), 0
    found: list[bytes] = []
    try:
        while size <= limit and not stream.is_finished():
            piece = stream.process(content if not found else b"", output_buffer_limit=limit + 1)
            if not piece and found:
                return None
            found.append(piece)
            size += len(piece)
    except brotli.error:
        return None
    return b"".join(found)


def _zstd(content: bytes, limit: int) -> bytes | None:
    """At most one byte past the limit; None for content that is broken or cut off. Frames may follow each other."""
    if sum(content.count(frame) for frame in _ZSTD_FRAMES) > MAX_MEMBERS:
        return None
    try:
        with zstd.ZstdFile(io.BytesIO(content), options=_ZSTD_WINDOW) as frames:
            return frames.read(limit + 1)
    except (EOFError, zstd.ZstdError):
        return None
