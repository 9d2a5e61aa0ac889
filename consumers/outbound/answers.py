"""Reads an answer: bounded in bytes, with its content coding undone, off the event loop where that takes long."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy

from consumers.outbound.coding import codings_of, undone
from domain.connector.http_client import MAX_REPLY_BYTES, HttpReply, Keep
from domain.values.charset import unescaped
from domain.values.inflate import Corrupt, TooLarge

THREAD_BYTES = 64 * 1024
"""Compressed content above this is undone in a thread."""


class Unreadable(Exception):
    """The answer is not HTTP, or its content is not what its headers say."""


class Answer(msgspec.Struct, frozen=True):
    """An answer whose head was read, and the stream of its content."""

    method: str
    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader


async def read(response: Answer, max_bytes: int, keep: Keep | None = None) -> HttpReply:
    """The answer, of which at most `max_bytes` are kept, unless it is to be kept as a file.

    Raises Unreadable, FileError, and what aiohttp raises.
    """
    headers = _headers(response)
    given = response.headers
    codings = codings_of(",".join([*given.getall("Content-Encoding", []), *given.getall("Transfer-Encoding", [])]))
    limit = max_bytes if response.status < 300 else min(max_bytes, MAX_REPLY_BYTES)
    wants = keep is not None and response.status < 300 and response.method != "HEAD" and keep.wants(headers)
    try:
        if keep and wants and not codings:
            return await _streamed(response, headers, keep)
        content, size = await _content(response, limit)
    except aiohttp.ClientPayloadError as error:
        if _is_malformed(error):
            raise Unreadable("its content is not framed as HTTP asks") from error
        raise
    reply = HttpReply(status=response.status, headers=headers, body=content[:limit], size=size, truncated=size > limit)
    if size <= limit and codings and content:
        reply = await _decoded(response.status, headers, content, codings, limit)
    if not (keep and wants) or reply.truncated or len(reply.body) <= keep.above:
        return reply
    file = await keep.take(headers, _once(reply.body))
    return msgspec.structs.replace(reply, body=b"", file=file, size=file.size)


async def _streamed(response: Answer, headers: dict[str, str | list[str]], keep: Keep) -> HttpReply:
    """An answer that becomes a file as it comes, if it is large enough."""
    first: list[bytes] = []
    size, chunks = 0, response.content.iter_any()
    async for chunk in chunks:
        first.append(chunk)
        size += len(chunk)
        if size > keep.above:
            break
    else:
        return HttpReply(status=response.status, headers=headers, body=b"".join(first), size=size)
    file = await keep.take(headers, _chained(first, chunks))
    return HttpReply(status=response.status, headers=headers, body=b"", size=file.size, file=file)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _chained(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while first:
        yield first.pop(0)
    async for chunk in rest:
        yield chunk


async def _content(response: Answer, limit: int) -> tuple[bytes, int]:
    """What was read, and its size. Reading stops once the limit is passed."""
    promised = int(response.headers.get("Content-Length", 0))
    if promised > limit and response.status < 300 and response.method != "HEAD":
        return b"", promised
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(chunks), max(size, promised) if size > limit else size


async def _decoded(
    status: int, headers: dict[str, str | list[str]], content: bytes, codings: list[str], limit: int
) -> HttpReply:
    if len(content) > THREAD_BYTES:
        found = await asyncio.to_thread(undone, content, codings, limit)
    else:
        found = undone(content, codings, limit)
    match found:
        case TooLarge():
            return HttpReply(status=status, headers=headers, body=b"", size=limit + 1, truncated=True)
        case Corrupt(encoding):
            raise Unreadable(f"its content is not {encoding}")
        case _:
            return HttpReply(status=status, headers=headers, body=found, size=len(found))


def _headers(response: Answer) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for given_name, given_value in response.headers.items():
        # aiohttp gives bytes that are not UTF-8 as lone surrogates, which JSON text cannot hold.
        name, value = unescaped(given_name.lower()), unescaped(given_value)
        before = found.get(name)
        if before is None:
            found[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            found[name] = [before, value]
    return found


def _is_malformed(error: aiohttp.ClientPayloadError) -> bool:
    """Whether content breaks the rules of HTTP, and was not cut off by a broken connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HttpProcessingError) and "Not enough data" not in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
