"""One request and its answer, over aiohttp's connections but without its session.

aiohttp connects, speaks TLS, keeps connections and parses answers. Its session would also make a request, a timer, a
writer and a response of each exchange, and look for cookies, proxies and redirects: that took more CPU than anything
else a runner does for a run.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from consumers.outbound.answers import Answer, Unreadable, read
from consumers.outbound.connection import MAX_HEADS, BoundedHandler
from domain.connector.http_client import HttpReply, HttpRequest, Upload

MAX_HEADER_LINE = 64 * 1024
READ_BYTES = 64 * 1024
"""Of an answer that may wait to be taken before reading pauses."""
TARGETS = 1_000
"""Addresses whose heads are kept ready."""
USER_AGENT = "TriggerHub"
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent again where a kept connection turns out to be closed (RFC 9110 §9.2.2)."""
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_LIMIT = aiohttp.ClientTimeout(total=None)
_OURS = (("Accept", "*/*"), ("User-Agent", USER_AGENT), ("Accept-Encoding", "identity"))
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
)

_Answered: TypeAlias = tuple[RawResponseMessage, aiohttp.StreamReader]


class Exchanges:
    """What goes out over the connections of one connector. Time limits are the caller's."""

    def __init__(self, connector: aiohttp.TCPConnector) -> None:
        self._connector = connector
        self._targets: dict[tuple[str, str], aiohttp.ClientRequest] = {}

    async def request(self, request: HttpRequest, url: URL, headers: Sequence[tuple[str, str]]) -> HttpReply:
        """The answer to a request, to this URL and with these headers. Raises Unreadable, and what aiohttp raises."""
        target = self._target(url)
        head = _head(request, url, headers, target)
        try:
            return await self._exchange(target, request, head)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if isinstance(error, _NOT_CONNECTED) or request.method not in _REPEATABLE:
                raise
        return await self._exchange(target, request, head)

    async def close(self) -> None:
        """Close all connections."""
        await self._connector.close()

    def _target(self, url: URL) -> aiohttp.ClientRequest:
        """What the connector needs to know of an address. It is never sent."""
        key = url.scheme, url.raw_authority
        target = self._targets.get(key)
        if target is None:
            if len(self._targets) >= TARGETS:
                self._targets.clear()
            named = url if "@" in url.raw_authority else url.origin()
            self._targets[key] = target = aiohttp.ClientRequest("GET", named)
        return target

    async def _exchange(self, target: aiohttp.ClientRequest, request: HttpRequest, head: bytes) -> HttpReply:
        connection = await self._connector.connect(target, [], _NO_LIMIT)
        protocol, transport = connection.protocol, connection.transport
        try:
            if protocol is None or transport is None:
                raise aiohttp.ServerDisconnectedError
            if isinstance(protocol, BoundedHandler):
                protocol.begin()
            protocol.set_response_params(
                skip_payload=request.method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_BYTES,
                max_line_size=MAX_HEADER_LINE,
                max_field_size=MAX_HEADER_LINE,
            )
            if isinstance(request.body, Upload):
                whole, answer = await _sent(protocol, transport, head, request.body)
            else:
                transport.writelines((head, request.body or b""))
                whole, answer = True, await _final(protocol)
            message, content = answer
            found = Answer(request.method, message.code, message.headers, content)
            reply = await read(found, request.max_bytes, request.keep)
            if not whole or transport.get_write_buffer_size():
                protocol.force_close()
                transport.abort()  # it answered before it had read the request
        except BaseException as error:
            if transport is not None:
                transport.abort()  # closing would first wait for what it does not read
            connection.close()
            if isinstance(error, HttpProcessingError):
                raise Unreadable(_first_line(error.message)) from error
            raise
        connection.release()  # which closes it where the answer was not read to its end
        return reply


async def _final(protocol: ResponseHandler) -> _Answered:
    """The head of the answer, after those that only say that there will be one."""
    for _ in range(MAX_HEADS):
        message, content = await protocol.read()
        if not 100 <= message.code < 200 or message.code == 101:
            return message, content
    raise Unreadable("too many heads only say that there will be an answer")


async def _sent(
    protocol: ResponseHandler, transport: asyncio.Transport, head: bytes, body: Upload
) -> tuple[bool, _Answered]:
    """Send a body as fast as it is taken, until there is an answer. Gives whether it went out whole, and the answer."""
    answering = asyncio.create_task(_final(protocol))
    try:
        transport.write(head)
        left = body.size
        async for piece in body.read():
            if answering.done() or transport.is_closing():
                break
            transport.write(piece)
            left -= len(piece)
            with suppress(aiohttp.ClientError, OSError):  # the answer, or its absence, says more
                await protocol._drain_helper()  # noqa: SLF001 - aiohttp's own writer waits so, too
        return left == 0, await answering
    finally:
        answering.cancel()


def _head(request: HttpRequest, url: URL, headers: Sequence[tuple[str, str]], target: aiohttp.ClientRequest) -> bytes:
    if not request.method.isalpha():
        raise ValueError("a method is a word")
    names = {name.lower() for name, _ in headers}
    lines = [f"{request.method} {url.raw_path_qs} HTTP/1.1", f"Host: {target.headers['Host']}"]
    lines += [f"{name}: {value}" for name, value in _OURS if name.lower() not in names]
    lines += [f"{name}: {value}" for name, value in headers]
    if "Authorization" in target.headers:
        if "authorization" in names:
            raise ValueError("the URL and a header both say who is calling")
        lines.append(f"Authorization: {target.headers['Authorization']}")
    if request.body or request.method not in _WITHOUT_BODY:
        size = request.body.size if isinstance(request.body, Upload) else len(request.body or b"")
        lines.append(f"Content-Length: {size}")
    return "\r\n".join([*lines, "", ""]).encode()


def _first_line(message: str) -> str:
    lines = message.strip().splitlines() or ["it is not HTTP"]
    return lines[0][:200].rstrip(": ").encode("utf-8", "replace").decode()
