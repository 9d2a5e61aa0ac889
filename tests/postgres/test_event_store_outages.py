"""A server that dies, hangs or is not there: nobody waits for ever, and nothing acknowledged is lost or doubled."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from domain.log.event import Append, Appended, AppendResult
from domain.log.ports import StoreUnavailable
from sql.log import writer
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from sql.process.clock import new_id
from tests.support.builders import an_append
from tests.support.chain import assert_log_is_whole
from tests.support.eventually import eventually
from tests.support.stores import patient_store

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
WRITERS = (
    "select pid from pg_stat_activity"
    " where application_name = 'triggerhub test writer' and datname = current_database()"
)
"""Of this test's own database: tests that run beside it have writers of the same name on the same server."""


async def append_until_stored(store: PgEventStore, command: Append) -> AppendResult:
    """As the runner does: the same command, until the log has answered."""
    while True:
        try:
            return await store.append(command)
        except StoreUnavailable:
            await asyncio.sleep(0)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_writer_whose_connection_is_cut_again_and_again_stores_each_event_once(
    dsn: str, connection: Connection
) -> None:
    commands: list[Append] = []
    results: list[AppendResult] = []
    cuts = 0
    done = asyncio.Event()

    async def append_on() -> None:
        stream = new_id()
        for version in range(200):
            command = an_append(stream_id=stream, expected=version)
            commands.append(command)
            result = await append_until_stored(store, command)
            results.append(result)

    def went_on(enough: int) -> bool:
        return len(results) >= enough or done.is_set()

    async def cut() -> None:
        nonlocal cuts
        while not done.is_set():
            # Only after progress: cut quicker than a connection warms up, nothing at all could be stored.
            enough = len(results) + 20
            cuts += len(await connection.fetch(f"select pg_terminate_backend(pid) from ({WRITERS}) w"))
            await eventually(partial(went_on, enough))

    async with PgEventStore(dsn, "test", patience_s=5) as store, asyncio.TaskGroup() as tasks:
        tasks.create_task(cut())
        async with asyncio.TaskGroup() as appenders:
            for _ in range(10):
                appenders.create_task(append_on())
        done.set()
    assert cuts > 5
    assert all(isinstance(result, Appended) for result in results), "a conflict would mean that an answer was lost"
    rows = await assert_log_is_whole(dsn)
    assert {row["event_id"] for row in rows} == {command.events[0].event_id for command in commands}
    by_position = {row["position"]: row["version"] for row in rows}
    assert all(by_position[r.position] == r.version for r in results if isinstance(r, Appended))


async def test_a_server_that_is_not_there_is_told_within_the_patience() -> None:
    async with PgEventStore(NOWHERE, "test", patience_s=0.5) as store:
        began = time.monotonic()
        results = await asyncio.gather(*(store.append(an_append()) for _ in range(50)), return_exceptions=True)
        assert time.monotonic() - began < 50 * 0.5, "all of them together"
        assert all(isinstance(result, StoreUnavailable) for result in results)
        with pytest.raises(StoreUnavailable):
            await store.head()


async def test_a_server_that_hangs_is_told_within_the_patience_and_loses_nothing(
    dsn: str, connection: Connection
) -> None:
    async with PgEventStore(dsn, "test", patience_s=0.5) as store:
        before = [await store.append(an_append()) for _ in range(5)]
        with frozen(await connection.fetchval(WRITERS)):
            began = time.monotonic()
            late = [an_append() for _ in range(20)]
            results = await asyncio.gather(*(store.append(command) for command in late), return_exceptions=True)
            assert time.monotonic() - began < 20 * 0.5, "all of them together"
            assert all(isinstance(result, StoreUnavailable) for result in results)
        after = await append_until_stored(store, an_append())
        assert isinstance(after, Appended)
        again = [await append_until_stored(store, command) for command in late]
    assert all(isinstance(result, Appended) for result in (*before, *again))
    assert len(await assert_log_is_whole(dsn)) == 5 + 20 + 1


async def test_a_call_that_never_returns_is_made_again_elsewhere(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's machine is gone without a word: no answer, no error."""
    monkeypatch.setattr(writer, "_CALL_TIMEOUT_S", 0.3)
    async with patient_store(dsn) as store:
        await store.append(an_append())
        pid = await connection.fetchval(WRITERS)
        with frozen(pid):
            assert isinstance(await store.append(an_append()), Appended)
    await eventually(lambda: gone(connection, pid))
    assert len(await assert_log_is_whole(dsn)) == 2


async def gone(connection: Connection, pid: int) -> bool:
    return not await connection.fetchval("select count(*) from pg_stat_activity where pid = $1", pid)


async def test_another_writer_that_holds_the_lock_too_long_is_told_as_unavailable(
    dsn: str, connection: Connection
) -> None:
    async with PgEventStore(dsn, "test", patience_s=0.5) as store:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(7301, 1)")
            with pytest.raises(StoreUnavailable, match="in time"):
                await store.append(an_append())
        assert isinstance(await append_until_stored(store, an_append()), Appended)


async def test_what_nobody_waits_for_any_more_is_not_sent(dsn: str, connection: Connection) -> None:
    """After an outage, the log must not fill with what all callers were told is not stored."""
    async with PgEventStore(dsn, "test", patience_s=0.3) as store:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(7301, 1)")
            first = asyncio.create_task(store.append(an_append()))
            await eventually(lambda: connection.fetchval("select count(*) from pg_locks where not granted"))
            rest = await asyncio.gather(*(store.append(an_append()) for _ in range(50)), return_exceptions=True)
            assert all(isinstance(result, StoreUnavailable) for result in rest)
        with pytest.raises(StoreUnavailable):
            await first
        assert isinstance(await append_until_stored(store, an_append()), Appended)
    assert len(await assert_log_is_whole(dsn)) == 2, "the one that was on its way, and the one after"
