"""HTTP connections within bounds: what a client may make the server hold, or wait for, before there is a request.

uvicorn bounds none of this. Counted are connections, in all and per address; the bytes and the time of a head; the
requests that wait behind others; the rates at which a body comes, and at which answers are read. Who is past a bound
loses the connection. Where there are too many, those without a request make room for new ones.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import httptools
import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.accounts.proxies import is_trusted
from app.config.parsers import Network

log = structlog.get_logger()

MAX_CONNECTIONS = 4_096
"""Of one API process."""
MAX_PER_ADDRESS = 2_048
"""Trusted proxies may have more: each of their connections is somebody else's."""
MAX_HEAD = 64 * 1024
"""Bytes of a request's first line and headers."""
MAX_HEADERS = 256
MAX_WAITING = 64
"""Requests of one connection that wait for the answers to earlier ones."""
MAX_FRAMING = 16
"""Bytes that chunks may need for a byte of content; what they may need in any case is MAX_HEAD."""
HEAD_S = 10.0
"""How long a connection may be without a whole head."""
BODY_BYTES_PER_S = 1_000
"""The least rate at which a body comes, while it is read."""
BODY_S = 10.0
"""The time in which that is measured."""
ANSWER_S = 20.0
"""How long a client may read nothing of its answers."""
MAX_UNREAD = 128 * 2**20
"""Bytes of answers that all clients together may leave unread."""
SWEEP_S = 1.0

_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})
_WATCHED = _ONCE | {b"te", b"expect"}


class Connections:
    """The connections of one server. Run `sweep` beside it."""

    def __init__(
        self, limit: int = MAX_CONNECTIONS, per_address: int = MAX_PER_ADDRESS, proxies: Sequence[Network] = ()
    ) -> None:
        self.limit = limit
        self.proxies = proxies
        self.per_address = min(per_address, limit)
        self.closing = False
        self._open: dict[BoundedProtocol, str] = {}
        self._addresses: Counter[str] = Counter()
        self._slow: dict[BoundedProtocol, None] = {}

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def idle_count(self) -> int:
        """How many of them have no request under way."""
        return sum(connection.is_idle for connection in self._open)

    def add(self, connection: "BoundedProtocol", address: str) -> bool:
        """Whether there is room for one more, if need be that of one without a request."""
        if self._addresses[address] >= self.per_address and not is_trusted(address, self.proxies):
            room = self._close_idle(address)
        else:
            room = len(self._open) < self.limit or self._close_idle(None)
        if room:
            self._open[connection] = address
            self._addresses[address] += 1
        return room

    def remove(self, connection: "BoundedProtocol") -> None:
        """It is closed, or as good as that."""
        self._slow.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def hold(self, connection: "BoundedProtocol", *, unread: bool) -> None:
        """Whether it has answers that its client has not read. Where all have too many, the oldest such ones go."""
        if not unread:
            self._slow.pop(connection, None)
            return
        self._slow[connection] = None
        sizes = {slow: slow.transport.get_write_buffer_size() for slow in self._slow}
        excess = sum(sizes.values()) - MAX_UNREAD
        for slow, size in sizes.items():
            if excess <= 0:
                break
            slow.drop("too_much_unread")
            excess -= size

    def close(self) -> None:
        """From now on each connection ends with its answer: also one that was accepted while the server stopped."""
        self.closing = True

    def _close_idle(self, address: str | None) -> bool:
        for connection, its_address in self._open.items():  # the oldest first
            if connection.is_idle and address in {None, its_address}:
                connection.drop("made_room")
                return True
        return False

    async def sweep(self) -> None:
        """Close what is past its time, for as long as the task runs."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for connection in list(self._open):
                connection.check(now)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Each server has a subclass with its own `bounds`."""

    bounds: ClassVar[Connections]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._began = 0  # heads and bodies so far
        self._fed = 0  # bytes of the head or the body that is coming in, but for those that it began with
        self._content = 0  # of them, those that are content of the body
        self._measured = 0  # content when the rate was last looked at
        self._unread = 0  # bytes of answers when that was last looked at
        self._since: float | None = None  # the present wait began, as far as `check` knows
        self._trailers = 0
        self._once: dict[bytes, bytes] = {}
        self._refused: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self.bounds.add(self, self.client[0] if self.client else ""):
            self._refuse(503, "Too many connections. Try again later.")

    def connection_lost(self, exc: Exception | None) -> None:
        self.bounds.remove(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.bounds.hold(self, unread=True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.bounds.hold(self, unread=False)

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        began = self._began
        if self.timeout_keep_alive_task is not None and (self._in_head or not self.cycle.response_complete):
            # The rest of a body that is answered already may come for as long as an idle connection is kept.
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(*self._reason())
        except httptools.HttpParserUpgrade:
            pass  # no other protocol is spoken here
        if self._began == began:
            self._count(len(data))

    def _count(self, size: int) -> None:
        if self._refused is not None:
            return
        self._fed += size
        if self._in_head:
            if self._fed > MAX_HEAD:
                self._refuse(431, f"The head of a request has at most {MAX_HEAD} bytes.")
        elif self._fed > MAX_HEAD + MAX_FRAMING * self._content:
            self._refuse(400, "There is too little in the chunks of this body.")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if not self._in_head:  # a trailer: nobody here reads them
            self._trailers += 1
            if self._trailers > MAX_HEADERS:
                raise self._refusal(400, "There are too many trailers.")
            return
        if name in _WATCHED:
            self._watch(name, value)
        self.headers.append((name, value))

    def _watch(self, name: bytes, value: bytes) -> None:
        """Framing that servers may read in different ways is refused (RFC 9112 §3.2, §6.1, §11.2)."""
        if name in _ONCE:
            if name in self._once:
                raise self._refusal(400, f"The header {name.decode()} may come once.")
            self._once[name] = value
        elif name == b"te":
            if b"chunked" in value.lower():
                raise self._refusal(400, "TE may not name chunked.")
        elif value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS:
            raise self._refusal(431, f"A request has at most {MAX_HEADERS} headers.")
        coding = self._once.get(b"transfer-encoding")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise self._refusal(400, "Transfer-Encoding may be chunked, and nothing else.")
        if b"host" not in self._once and self.parser.get_http_version() != "1.0":
            raise self._refusal(400, "The header host is missing.")
        if len(self.pipeline) >= MAX_WAITING:
            raise self._refusal(503, "Too many requests wait on this connection.")
        self._once.clear()
        self._in_head, self._since = False, None
        self._began += 1
        self._fed = self._content = self._trailers = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._content += len(body)
        if not self.cycle.response_complete:
            self.cycle.body += body
            if len(self.cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._in_head, self._since = True, None
        self._began += 1
        self._fed = 0
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def check(self, now: float) -> None:
        """Close the connection if it has been waited for too long, or if the server stops."""
        if self.bounds.closing:
            self.shutdown()
        unread = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        moved = unread != self._unread
        self._unread = unread
        if self._since is None or moved or (not unread and not self._awaits_client()):
            self._since, self._measured = now, self._content
        elif unread:
            if now - self._since > ANSWER_S:
                self.drop("answers_not_read")
        elif self._in_head:
            if now - self._since > HEAD_S:
                self.drop("no_request")
        elif now - self._since > BODY_S:
            if self._content - self._measured < BODY_BYTES_PER_S * (now - self._since):
                self.drop("slow_body")
            self._since, self._measured = now, self._content

    def drop(self, reason: str) -> None:
        """Close it at once, whatever is under way."""
        log.debug("api.connection_dropped", reason=reason)
        self.bounds.remove(self)
        self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether it has no request under way."""
        return self._in_head and not self._is_busy()

    def _is_busy(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _is_body_awaited(self) -> bool:
        """Whether nothing is answered yet on this connection, and the request is not here as a whole."""
        return not (self._in_head or self.pipeline or self.cycle.response_started)

    def _awaits_client(self) -> bool:
        """Whether nothing goes on until the client sends more."""
        return not self._is_busy() if self._in_head else not self.flow.read_paused

    def _refusal(self, status: int, reason: str) -> ValueError:
        """To be raised in a callback: the parser stops at it, and `data_received` refuses."""
        self._refused = (status, reason)
        return ValueError(reason)

    def _reason(self) -> tuple[int, str]:
        broken = "This is not an HTTP request." if self._in_head else "The chunks of this body are broken."
        return self._refused or (400, broken)

    def _refuse(self, status: int, reason: str) -> None:
        """Nothing more is read. Where no other answer is due, the client is told why."""
        self._refused = (status, reason)
        if not self._is_busy() or self._is_body_awaited():
            text = reason.encode()
            head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
            self.transport.write(STATUS_LINE[status] + head + text)
        self.transport.close()
