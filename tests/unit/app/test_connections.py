"""Connections within bounds, over real sockets: what hostile clients lose, and that others notice nothing."""

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.roles import connections
from app.roles.connections import MAX_HEAD, MAX_WAITING, BoundedProtocol, Connections
from tests.support.eventually import eventually, pause

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST_CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Client]]


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        size, more = size + len(message["body"]), message["more_body"]
    answer = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


async def large(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers with ten megabytes."""
    body = b"x" * 10_000_000
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def early(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers without reading the body."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def served(app: Any = echo, bounds: Connections | None = None) -> AsyncIterator[tuple[Connections, Connect]]:
    """A server of this application, and how to connect to it."""
    kept = bounds or Connections()

    class Protocol(BoundedProtocol):
        bounds = kept

    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0, backlog=2_048
    )
    sweep = asyncio.create_task(kept.sweep())
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Client:
        client = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writers.append(client[1])
        return client

    try:
        yield kept, connect
    finally:
        sweep.cancel()
        for writer in writers:
            writer.transport.abort()
        server.close()
        for task in state.tasks:
            task.cancel()


async def answer(client: Client, request: bytes = GET) -> int:
    """The status of the answer, 0 for a connection that is closed without one."""
    reader, writer = client
    try:
        writer.write(request)
        line = await reader.readline()
        if not line:
            return 0
        length = 0
        while (header := await reader.readline()).strip():
            if header.lower().startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
        await reader.readexactly(length)
        return int(line.split()[1])
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def closed(client: Client, within_s: float = 60) -> bool:
    """Whether the server closes the connection."""
    try:
        async with asyncio.timeout(within_s):
            while await client[0].read(65_536):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        b"\r\n" + GET,
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
    ],
)
async def test_ordinary_requests_are_answered_and_the_connection_is_kept(request_: bytes) -> None:
    async with served() as (_, connect):
        client = await connect()
        assert await answer(client, request_) == 200
        if b"1.0" not in request_:
            assert await answer(client) == 200


async def test_a_connection_that_was_accepted_while_the_server_stops_is_not_kept() -> None:
    """uvicorn tells those to close that it knows then. A later one would be used until requests on it are cut off."""
    async with served() as (connections, connect):
        client = await connect()
        connections.close()
        async with asyncio.timeout(60):
            while await answer(client) == 200:
                pass
        assert await closed(client)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(300)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * (MAX_HEAD * 20), 431),
        (b"GET /" + b"y" * (MAX_HEAD * 20), 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * (MAX_HEAD * 4), 431),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_what_servers_could_read_in_two_ways_or_without_end_is_refused(request_: bytes, status: int) -> None:
    async with served() as (_, connect):
        client = await connect()
        # Where the rest of what was sent is thrown away, the answer may be lost with it.
        assert await answer(client, request_) in ({status, 0} if len(request_) > MAX_HEAD else {status})
        assert await closed(client)


async def test_large_and_pipelined_requests_are_no_endless_heads() -> None:
    async with served() as (_, connect):
        client = await connect()
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
        for _ in range(3):
            assert await answer(client, post) == 200
        client[1].write(GET * 40)
        assert [await answer(client, b"") for _ in range(40)] == [200] * 40


async def test_requests_that_wait_for_answers_nobody_reads_are_bounded() -> None:
    async with served() as (kept, connect):
        client = await connect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                client[1].write(GET * 4_000)
                await asyncio.wait_for(client[1].drain(), 60)
        assert await eventually(lambda: not kept.count or None) is True
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
        assert await answer(await connect()) == 200


def test_bound_of_waiting_requests_leaves_room_for_who_pipelines() -> None:
    assert MAX_WAITING >= 50


async def test_answers_that_are_not_read_cost_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", 0.3)
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    async with served(large) as (kept, connect):
        _reader, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET * 3)
        assert await eventually(lambda: kept.count or None) == 1
        assert await eventually(lambda: not kept.count or None) is True


async def test_all_that_is_not_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_UNREAD", 25_000_000)
    async with served(large) as (kept, connect):
        for _ in range(8):
            _reader, writer = await connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GET)
        await pause(0.3)
        assert 1 <= kept.count <= 5
        reader, writer = await connect()
        writer.write(GET)
        assert len(await reader.readexactly(10_000_000)) == 10_000_000


async def test_an_answer_that_is_read_slowly_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", 0.5)
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    async with served(large) as (_, connect):
        reader, writer = await connect()
        writer.write(GET)
        size, began = 0, time.monotonic()
        while size < 10_000_000:
            size += len(await reader.read(400_000))
            await pause(0.03)
        assert time.monotonic() - began > 0.5


@pytest.mark.parametrize(
    "begun", [b"", b"\r\n", b"G", b"GET / HTTP/1.1\r\nhost: a\r\nx: ", GET + b"GET / HT", b"\r\n\r\n"]
)
async def test_a_head_that_never_ends_costs_the_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    async with served() as (kept, connect):
        client = await connect()
        client[1].write(begun)
        assert await closed(client)
        assert not kept.count


@pytest.mark.parametrize("framing", [b"content-length: 5000000", b"transfer-encoding: chunked"])
async def test_a_body_that_never_comes_costs_the_connection(framing: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_S", 0.3)
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    async with served() as (_, connect):
        client = await connect()
        client[1].write(b"POST / HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n" % framing)
        assert await closed(client)


@pytest.mark.parametrize(
    "flood", [b"1;" + b"x" * 400_000, b"0\r\nx: " + b"y" * 400_000, b"0\r\n" + b"x: y\r\n" * 100_000, b"1" * 400_000]
)
async def test_chunks_without_content_cost_the_connection(flood: bytes) -> None:
    async with served() as (_, connect):
        client = await connect()
        client[1].write(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + flood)
        assert await closed(client)


@pytest.mark.parametrize("broken", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}X0\r\n\r\n", b"2\r\n{}\r\n-1\r\n"])
async def test_a_body_that_is_broken_is_told_so(broken: bytes) -> None:
    async with served() as (_bounds, connect):
        reader, writer = await connect()
        writer.write(POST_CHUNKED + broken)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"The chunks of this body are broken.")
        assert answer.count(b"HTTP/1.1") == 1


async def test_small_chunks_are_taken() -> None:
    async with served() as (_, connect):
        client = await connect()
        body = b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
        assert await answer(client, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + body) == 200


async def test_the_rest_of_an_answered_body_comes_within_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(early) as (_, connect):
        client = await connect()
        assert await answer(client, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900000000\r\n\r\n") == 413
        ended = asyncio.create_task(closed(client))
        with contextlib.suppress(ConnectionError):
            while not ended.done():
                client[1].write(b"x" * 1_000)
                await pause(0.05)
        assert await ended


async def test_half_open_connections_make_room_for_requests() -> None:
    async with served(bounds=Connections(limit=50)) as (kept, connect):
        working = await connect()
        assert await answer(working) == 200
        half_open = [await connect() for _ in range(200)]
        for _, writer in half_open:
            writer.write(b"POST / HTTP/1.1\r\nhost: a\r\n")
        for _ in range(20):
            assert await answer(await connect()) == 200
        assert kept.count <= 50


async def test_where_all_are_busy_further_connections_hear_that() -> None:
    async with served(bounds=Connections(limit=3)) as (kept, connect):
        busy = [await connect() for _ in range(3)]
        for client in busy:
            client[1].write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n")
        await eventually(lambda: not kept.idle_count)
        assert await answer(await connect(), b"") == 503
        assert [await answer(client, b"abc") for client in busy] == [200] * 3


async def test_an_address_has_a_share() -> None:
    async with served(bounds=Connections(limit=10, per_address=2)) as (kept, connect):
        clients = [await connect() for _ in range(5)]
        assert await answer(clients[-1]) == 200
        assert kept.count <= 2
