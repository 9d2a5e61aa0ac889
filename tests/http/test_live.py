"""The live stream, over real connections: every event once and in order, for its tenant only, from any position."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import httpx
import pytest

from app.accounts import tokens
from app.live import listeners, live, reader
from app.live.news import ClosedBecause
from app.roles import connections
from app.roles.server import DRAIN_S
from domain.log.event import Event
from domain.run.events import RunCompleted
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from sql.process.clock import new_id
from tests.support.api import Person, sign_up
from tests.support.event_stream import Reading, Stream, Told, follow, heard_more, reading, writing
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.postgres import cloned_database
from tests.support.projected import append, attempt_failed, failed, requested, resumed, succeeded
from tests.support.served_api import served_log
from tests.support.stores import patient_store

RESTARTS = int(os.environ.get("TRIGGERHUB_TEST_RESTARTS", "3"))
ZAP = {"name": "A", "trigger": {"type": "webhook.catch", "config": {}}, "steps": []}
LIFE = (attempt_failed(), resumed(), succeeded(2))
BACKENDS = (
    "select count(*) from pg_stat_activity where application_name = 'triggerhub live' and datname = current_database()"
)


class House:
    """A served API on a log of its own, which runs are written to."""

    def __init__(self, url: str, dsn: str, http: httpx.AsyncClient, store: PgEventStore) -> None:
        self.url, self.dsn, self.http, self.store = url, dsn, http, store

    async def person(self, name: str = "Ada") -> Person:
        return await sign_up(self.http, name=name)

    async def run(self, person: Person, zap_id: UUID, *after: Event, run_id: UUID | None = None) -> UUID:
        """A run's events, one append each."""
        run_id = run_id or new_id()
        for event in (requested(zap_id), *after):
            await append(self.store, run_id, event, tenant_id=UUID(person.id), key=run_id)
        return run_id

    async def told_until_now(self, stream: Stream, person: Person) -> list[Told]:
        """What a stream tells up to a run that is requested now."""
        mark = await self.run(person, new_id())
        found: list[Told] = []
        async with asyncio.timeout(PATIENCE_S):
            async for told in stream:
                if told.data.get("run_id") == str(mark):
                    return found
                found.append(told)
        raise AssertionError("the stream ended")


@asynccontextmanager
async def running_house(dsn: str) -> AsyncIterator[House]:
    async with (
        served_log(dsn) as url,
        httpx.AsyncClient(base_url=url) as http,
        patient_store(dsn, "writer") as store,
    ):
        yield House(url, dsn, http, store)


@pytest.fixture
async def house(dsn: str) -> AsyncIterator[House]:
    """One whose log and listeners a test counts or disturbs."""
    async with running_house(dsn) as house:
        yield house


@pytest.fixture(scope="session")
async def shared_house(postgres_server: str) -> AsyncIterator[House]:
    """One for all who look only at what their own people are told."""
    async with cloned_database(postgres_server) as dsn, running_house(dsn) as house:
        yield house


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    opened = await connect(dsn, "test")
    yield opened
    await opened.close()


def names(told: Sequence[Told]) -> list[str]:
    return [one.event for one in told]


def positions(told: Sequence[Told]) -> list[int]:
    return [int(one.id) for one in told]


async def test_a_run_is_told_step_by_step_without_its_payloads(shared_house: House) -> None:
    ada = await shared_house.person()
    zap_id = new_id()
    async with follow(shared_house.url, ada.access_token) as stream:
        run_id = await shared_house.run(ada, zap_id, *LIFE, *failed(3))
        told = await stream.take(5)
    assert stream.answer.headers["content-type"] == "text/event-stream"
    assert stream.answer.headers["cache-control"] == "no-store"
    assert stream.answer.headers["x-accel-buffering"] == "no"
    assert 1_000 <= stream.retry_ms <= 3_000
    assert [(one.event, one.data["status"]) for one in told] == [
        ("run.requested", "queued"),
        ("run.step", "waiting"),
        ("run.step", "succeeded"),
        ("run.step", "failed"),
        ("run.ended", "failed"),
    ]
    for one in told:
        assert one.data["type"] == one.event
        assert one.data["position"] == int(one.id)
        assert (one.data["run_id"], one.data["zap_id"]) == (str(run_id), str(zap_id))
        assert not {"output", "input", "request", "body"} & one.data.keys()
    assert told[-1].data["error_code"] == "http_503"
    assert told[1].data["step_id"] == "send"
    assert told[1].data["duration_ms"] == 2.5


async def test_what_is_done_to_a_zap_is_told(shared_house: House) -> None:
    ada = await shared_house.person()
    async with follow(shared_house.url, ada.access_token, "?types=zap.changed") as stream:
        zap = (await ada("POST", "/zaps", json=ZAP)).json()
        await ada("POST", f"/zaps/{zap['id']}/publish")
        paused = (await ada("POST", f"/zaps/{zap['id']}/pause")).json()
        told = await stream.take(4)
    assert {one.data["zap_id"] for one in told} == {zap["id"]}
    assert [one.data["change"] for one in told] == ["created", "published", "enabled", "paused"]
    assert told[-1].data["position"] == paused["position"]


async def test_each_filter_leaves_out_the_rest(shared_house: House) -> None:
    ada = await shared_house.person()
    zap_id, other = new_id(), new_id()
    wanted = new_id()
    async with AsyncExitStack() as stack:

        async def opened(query: str) -> Stream:
            return await stack.enter_async_context(follow(shared_house.url, ada.access_token, query))

        of_zap = await opened(f"?zap_id={zap_id}")
        of_run = await opened(f"?run_id={wanted}")
        ends = await opened("?types=run.ended&types=zap.changed")
        await shared_house.run(ada, other, succeeded(), RunCompleted(zap_id=other))
        await shared_house.run(ada, zap_id, succeeded())
        await shared_house.run(ada, zap_id, succeeded(), RunCompleted(zap_id=zap_id), run_id=wanted)
        assert names(await of_zap.take(5)) == ["run.requested", "run.step", "run.requested", "run.step", "run.ended"]
        assert names(await of_run.take(3)) == ["run.requested", "run.step", "run.ended"]
        assert [one.data["zap_id"] for one in await ends.take(2)] == [str(other), str(zap_id)]


async def test_a_step_is_told_with_its_zap_though_nobody_listened_when_the_run_began(house: House) -> None:
    ada = await house.person()
    zap_id = new_id()
    run_id = await house.run(ada, zap_id)
    async with follow(house.url, ada.access_token, f"?zap_id={zap_id}") as stream:
        await append(house.store, run_id, succeeded(), tenant_id=UUID(ada.id), key=run_id)
        (told,) = await stream.take(1)
    assert (told.event, told.data["run_id"]) == ("run.step", str(run_id))


async def test_another_tenant_sees_nothing(shared_house: House) -> None:
    ada, bob = await shared_house.person(), await shared_house.person("Bob")
    zap_id = new_id()
    head = await shared_house.store.head()
    async with (
        follow(shared_house.url, bob.access_token) as all_of_bob,
        follow(shared_house.url, bob.access_token, f"?zap_id={zap_id}") as of_her_zap,
        follow(shared_house.url, bob.access_token, f"?after={head}") as from_before,
    ):
        await shared_house.run(ada, zap_id, *LIFE, *failed(3))
        assert (await ada("POST", "/zaps", json=ZAP)).status_code == 201
        assert await shared_house.told_until_now(all_of_bob, bob) == []
        assert names(await from_before.take(1)) == ["run.requested"]
        mark = await shared_house.run(bob, zap_id)  # an id of hers that he made up is about what is his
        assert [one.data["run_id"] for one in await of_her_zap.take(1)] == [str(mark)]


async def test_whoever_comes_again_has_everything_once_and_in_order(shared_house: House) -> None:
    ada = await shared_house.person()
    begin = await shared_house.store.head()
    for _ in range(5):
        await shared_house.run(ada, new_id(), *LIFE)
    async with follow(shared_house.url, ada.access_token, last_event_id=str(begin)) as stream:
        everything = await shared_house.told_until_now(stream, ada)
    assert len(everything) == 5 * 3
    for one in everything:
        for options in ({"last_event_id": one.id}, {"query": f"?after={one.id}"}):
            async with follow(shared_house.url, ada.access_token, **options) as stream:
                behind = [told for told in everything if int(told.id) > int(one.id)]
                if behind:
                    assert await stream.take(len(behind)) == behind


async def test_the_header_goes_before_the_query(shared_house: House) -> None:
    ada = await shared_house.person()
    head = await shared_house.store.head()
    await shared_house.run(ada, new_id())
    later = await shared_house.store.head()
    run_id = await shared_house.run(ada, new_id())
    async with follow(shared_house.url, ada.access_token, f"?after={head}", str(later)) as stream:
        assert [one.data["run_id"] for one in await stream.take(1)] == [str(run_id)]


@pytest.mark.parametrize("given", ["x", "-1", "1e3", "9" * 19, "1 2"])
async def test_a_position_that_is_none_is_refused(shared_house: House, given: str) -> None:
    ada = await shared_house.person()
    async with follow(shared_house.url, ada.access_token, last_event_id=given) as stream:
        assert stream.answer.status_code == 400
        assert stream.answer.json()["code"] == "malformed"


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", "?types=run.started", "?zap_id=1", "?since=1"])
async def test_a_query_that_is_wrong_is_refused(shared_house: House, query: str) -> None:
    ada = await shared_house.person()
    async with follow(shared_house.url, ada.access_token, query) as stream:
        assert stream.answer.status_code == 400
        assert stream.answer.json()["code"] == "bad_request"


async def test_a_position_that_the_log_has_not_come_to_resets_the_client(house: House) -> None:
    ada = await house.person()
    head = await house.store.head()
    async with follow(house.url, ada.access_token, last_event_id=str(head + 1_000)) as stream:
        (reset,) = await stream.take(1)
        assert (reset.event, reset.data["reason"]) == ("reset", "unknown")
        assert int(reset.id) == reset.data["position"] == head
        await house.run(ada, new_id())
        assert names(await stream.take(1)) == ["run.requested"]


async def test_a_position_too_far_back_resets_the_client(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_BEHIND", 10)
    ada = await house.person()
    before = await house.store.head()
    for _ in range(12):
        await house.run(ada, new_id())
    async with follow(house.url, ada.access_token, last_event_id=str(before)) as stream:
        (reset,) = await stream.take(1)
    assert (reset.event, reset.data["reason"]) == ("reset", "too_old")
    async with follow(house.url, ada.access_token, last_event_id=str(int(reset.id) - 10)) as stream:
        assert positions(await stream.take(10)) == list(range(int(reset.id) - 9, int(reset.id) + 1))


async def test_a_position_before_what_retention_has_dropped_resets_the_client(
    house: House, connection: Connection
) -> None:
    ada = await house.person()
    before = await house.store.head()
    await house.run(ada, new_id(), succeeded())
    await connection.execute(
        """insert into es.dropped_pages (last, positions, versions, hashes, times)
           select position, array[position], array[version], array[hash], array[recorded_at]
           from es.events where position = $1""",
        before + 1,
    )
    for given, kind in ((before, "reset"), (before + 1, "run.step")):
        async with follow(house.url, ada.access_token, last_event_id=str(given)) as stream:
            assert names(await stream.take(1)) == [kind]


async def test_pages_are_cut_anywhere_and_nothing_is_left_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGE", 3)
    monkeypatch.setattr(reader, "STRETCH", 7)
    monkeypatch.setattr(reader, "SLICE", 2)
    monkeypatch.setattr(listeners, "UNREAD_BYTES", 2_000)
    ada, bob = await house.person(), await house.person("Bob")
    begin = await house.store.head()
    everything = []
    for turn in range(20):
        who = ada if turn % 3 else bob
        everything += [(who, await house.run(who, new_id(), *LIFE[:-1]))]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(follow(house.url, ada.access_token, last_event_id=str(begin + behind)))
            for behind in (0, 1, 5, 13, 30, 31)
        ]
        found = [await house.told_until_now(stream, ada) for stream in streams]
    of_ada = [str(run_id) for who, run_id in everything if who is ada]
    assert [one.data["run_id"] for one in found[0] if one.event == "run.requested"][: len(of_ada)] == of_ada
    for one in found:
        assert all(earlier < later for earlier, later in pairwise(positions(one)))
        shared = [told for told in found[0] if one and int(told.id) >= int(one[0].id)]
        assert [told.id for told in one][: len(shared)] == [told.id for told in shared]


async def test_through_restarts_of_the_process_each_listener_has_everything_once(dsn: str) -> None:
    """For longer: TRIGGERHUB_TEST_RESTARTS=20."""
    urls = ["http://127.0.0.1:1"]  # where nobody answers
    async with patient_store(dsn, "writer") as store:
        async with served_log(dsn) as url, httpx.AsyncClient(base_url=url) as http:
            people = [await sign_up(http), await sign_up(http, name="Bob")]
        readers = [Reading(person, await store.head(), urls) for person in people for _ in range(3)]
        async with reading(readers):
            async with writing(store, people, 50) as written:
                for _ in range(RESTARTS):
                    async with served_log(dsn) as url:
                        urls.append(url)
                        await heard_more(readers)
            async with served_log(dsn) as url:
                urls.append(url)
                await written.proven(readers)


async def test_the_streams_of_a_process_that_stops_end_at_once_and_say_so(dsn: str) -> None:
    async with AsyncExitStack() as stack, httpx.AsyncClient() as http:
        async with served_log(dsn) as url:
            http.base_url = httpx.URL(url)
            ada = await sign_up(http)
            stream = await stack.enter_async_context(follow(url, ada.access_token))
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < DRAIN_S, "or it waits for them in vain"
        (closed,) = await stream.rest()
    assert (closed.event, closed.data["reason"]) == ("closed", "stopping")


async def test_a_listener_that_does_not_read_is_dropped_while_others_have_everything(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "UNREAD_BYTES", 64_000)
    ada, zap_id = await house.person(), new_id()
    async with follow(house.url, ada.access_token) as good, _unread(house.url, ada) as slow:
        ends = _ends(monkeypatch)
        for _ in range(200):
            sent = await asyncio.gather(*(house.run(ada, zap_id) for _ in range(100)))
            told = await good.take(100)
            assert {one.data["run_id"] for one in told} == {str(run_id) for run_id in sent}
            if ends:
                break
        assert ends == ["too_slow"]
        read = b"".join([part async for part in _parts(slow)])
        found = [int(number) for number in re.findall(rb"id: (\d+)\nevent: run", read)]
        assert found == list(range(found[0], found[0] + len(found)))
        assert b'event: closed\ndata: {"type":"closed","reason":"too_slow"}' in read
        async with follow(house.url, ada.access_token, last_event_id=str(found[-1])) as again:
            assert positions(await again.take(1)) == [found[-1] + 1]


async def test_a_listener_that_comes_from_far_is_not_dropped_for_what_it_has_not_read_yet(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "UNREAD_BYTES", 2_000)
    ada = await house.person()
    before = await house.store.head()
    await asyncio.gather(*(house.run(ada, new_id()) for _ in range(300)))
    async with follow(house.url, ada.access_token, last_event_id=str(before)) as stream:
        assert positions(await stream.take(300)) == list(range(before + 1, before + 301))


@asynccontextmanager
async def _unread(url: str, person: Person) -> AsyncIterator[asyncio.StreamReader]:
    """A stream of whoever reads nothing, behind buffers that are small."""
    host, port = url.removeprefix("http://").split(":")
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connected.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connected, (host, int(port)))
    reading, writing = await asyncio.open_connection(sock=connected, limit=2_048)
    head = f"GET /api/v1/live HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {person.access_token}\r\n\r\n"
    writing.write(head.encode())
    assert b"200 OK" in await reading.readuntil(b"\r\n\r\n")
    try:
        yield reading
    finally:
        writing.close()


async def _parts(reading: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What comes in chunks, until the last one."""
    async with asyncio.timeout(PATIENCE_S):
        while size := int(await reading.readline(), 16):
            yield await reading.readexactly(size)
            await reading.readexactly(2)


def _ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why streams were ended, from now on."""
    reasons: list[str] = []
    end = listeners.Listener.end

    def noted(listener: listeners.Listener, reason: ClosedBecause) -> None:
        reasons.append(reason)
        end(listener, reason)

    monkeypatch.setattr(listeners.Listener, "end", noted)
    return reasons


async def test_an_idle_stream_is_kept_and_learns_how_far_it_has_come(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the bounds on connections, whose times are shorter here."""
    ada, bob = await house.person(), await house.person("Bob")
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.3)
    for name in ("HEAD_S", "BODY_S", "ANSWER_S", "SWEEP_S"):
        monkeypatch.setattr(connections, name, 0.1)
    async with follow(house.url, ada.access_token) as stream:
        taking = asyncio.create_task(stream.take(1))
        await eventually(lambda: stream.comments.count("heartbeat") > 5)
        await house.run(bob, new_id())
        head = await house.store.head()
        await eventually(lambda: stream.id == str(head))
        await house.run(ada, new_id())
        assert names(await taking) == ["run.requested"]


async def test_a_stream_ends_with_its_access_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(tokens, "ACCESS_LIFETIME", timedelta(seconds=2))
    ada = await house.person()
    async with follow(house.url, ada.access_token) as stream:
        (closed,) = await stream.rest()
    assert (closed.event, closed.data["reason"]) == ("closed", "expired")


async def test_no_stream_is_open_for_more_than_an_hour(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(live, "LONGEST", timedelta(seconds=1))
    ada = await house.person()
    key = (await ada("POST", "/api-keys", json={"name": "x", "scopes": ["read"]})).json()["key"]
    async with follow(house.url, key) as stream:
        assert (await stream.rest())[-1].data["reason"] == "expired"


async def test_signing_out_and_deleting_a_key_end_its_streams_and_no_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.3)
    ada, bob = await house.person(), await house.person("Bob")
    key = (await ada("POST", "/api-keys", json={"name": "x", "scopes": ["read"]})).json()
    async with (
        follow(house.url, ada.access_token) as of_session,
        follow(house.url, key["key"]) as of_key,
        follow(house.url, bob.access_token) as of_bob,
    ):
        assert (await ada("DELETE", f"/api-keys/{key['id']}")).status_code == 204
        assert (await of_key.rest())[-1].data["reason"] == "revoked"
        await house.told_until_now(of_session, ada)
        signed_out = await ada("POST", "/auth/signout")
        assert signed_out.status_code < 300, signed_out.text
        assert (await of_session.rest())[-1].data["reason"] == "revoked"
        assert await house.told_until_now(of_bob, bob) == []
    async with follow(house.url, ada.access_token) as stream:
        assert stream.answer.status_code == 401


async def test_there_is_room_for_so_many_streams_and_the_rest_are_told_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob, eve = [await house.person(name) for name in ("Ada", "Bob", "Eve")]
    monkeypatch.setattr(listeners, "LISTENER_BYTES", listeners.TENANT_ROOM // 2 - 10_000)
    async with AsyncExitStack() as stack:

        async def status(person: Person) -> tuple[int, str]:
            stream = await stack.enter_async_context(follow(house.url, person.access_token))
            code = stream.answer.json()["code"] if stream.answer.status_code >= 400 else ""
            return stream.answer.status_code, code

        assert [await status(ada) for _ in range(3)] == [(200, ""), (200, ""), (429, "too_many_streams")]
        assert [await status(bob) for _ in range(2)] == [(200, ""), (200, "")]
        assert await status(eve) == (503, "busy")

    async def there_is_room_again() -> bool:
        async with follow(house.url, eve.access_token) as stream:
            return stream.answer.status_code == 200

    await eventually(there_is_room_again)


async def test_without_listeners_there_is_no_connection_and_no_query(house: House, connection: Connection) -> None:
    ada = await house.person()

    async def backends(count: int) -> bool:
        return bool(await connection.fetchval(BACKENDS) == count)

    assert await backends(0)
    for _ in range(2):
        async with follow(house.url, ada.access_token), follow(house.url, ada.access_token):
            assert await backends(1)
        await eventually(lambda: backends(0))


async def test_a_lost_connection_to_the_log_loses_no_event(house: House, connection: Connection) -> None:
    ada = await house.person()
    cut = BACKENDS.replace("count(*)", "count(pg_terminate_backend(pid))")
    async with follow(house.url, ada.access_token) as stream:
        for _ in range(3):
            run_id = await house.run(ada, new_id())
            assert await connection.fetchval(cut) == 1
            await house.run(ada, new_id(), run_id=run_id)
            assert len(await stream.take(2)) == 2
            await eventually(lambda: connection.fetchval(BACKENDS))


async def test_a_head_request_has_the_head_and_no_stream(shared_house: House) -> None:
    ada = await shared_house.person()
    answer = await ada("HEAD", "/live")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
