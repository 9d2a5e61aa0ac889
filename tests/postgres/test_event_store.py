"""What only Postgres can promise: a log that refuses change, a chain that proves it, batches that share no fate."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs

from domain.log.event import Append, Appended, AppendResult, Conflict, StreamKind
from domain.log.ports import AppendRefused, StoreUnavailable
from sql.log.append_queue import AppendQueue
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.builders import a_run_requested, a_zap_created, an_append
from tests.support.chain import assert_log_is_whole
from tests.support.clock import START
from tests.support.eventually import eventually
from tests.support.stores import patient_store

CORE, RUN = StreamKind.CORE, StreamKind.RUN
APPEND = Queries("queries/events.sql")["append"]


async def leaves(connection: Connection) -> list[str]:
    rows = await connection.fetch("select relid::regclass::text from pg_partition_tree('es.events') where isleaf")
    return sorted(row[0] for row in rows)


async def fill(store: PgEventStore) -> None:
    """An event in the core leaf, the month's leaf, and the rest leaf (an id that is older than all leaves)."""
    old = new_id()
    for command in (
        an_append(a_zap_created(), kind=CORE),
        an_append(),
        an_append(stream_id=type(old)(int=old.int & (2**80 - 1) | 1 << 80)),
    ):
        assert isinstance(await store.append(command), Appended)


@pytest.mark.parametrize("action", ["update {} set data = '{{}}'", "delete from {}", "truncate {}"])
async def test_the_log_refuses_change_everywhere(
    store: PgEventStore, connection: Connection, dsn: str, action: str
) -> None:
    await fill(store)
    tables = ["es.events", "es.events_run", "es.commits", *await leaves(connection)]
    assert len(tables) >= 8
    for table in tables:
        statement = action.format(table)
        if table == "es.commits":
            statement = statement.replace("set data = '{}'", "set hash = ''")
        rows = await connection.fetchval(f"select count(*) from {table}")
        if rows or "truncate" in action:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(statement)
    assert len(await assert_log_is_whole(dsn)) == 3


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_caller_with_an_old_snapshot_is_refused(connection: Connection, isolation: Any) -> None:
    with pytest.raises(asyncpg.RaiseError, match="read committed"):
        async with connection.transaction(isolation=isolation):
            await connection.fetch(APPEND, *([] for _ in range(17)))


async def test_run_streams_go_to_the_leaf_of_their_month(store: PgEventStore, connection: Connection) -> None:
    await fill(store)
    counts = {leaf: await connection.fetchval(f"select count(*) from {leaf}") for leaf in await leaves(connection)}
    month = await connection.fetchval("select to_char(now() at time zone 'UTC', 'YYYYMM')")
    assert {leaf: n for leaf, n in counts.items() if n} == {
        "es.events_core": 1,
        f"es.events_run_{month}": 1,
        "es.events_run_rest": 1,
    }
    assert sum(leaf.startswith("es.events_run_2") for leaf in counts) == 4


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe"])
async def test_months_are_utc_and_leave_no_gap(connection: Connection, zone: str) -> None:
    """In local time, a month from 30 April 20:00 is 30 May 20:00, which is still May in UTC."""
    await connection.execute(f"set timezone = '{zone}'")
    assert await connection.fetchval("select es.ensure_run_months(30)") == 27
    assert await connection.fetchval("select es.ensure_run_months(30)") == 0
    bounds = await connection.fetch(
        r"""
        select (regexp_match(b, 'FROM \(''([^'']*)''\) TO \(''([^'']*)''\)'))[1]::uuid as low,
               (regexp_match(b, 'FROM \(''([^'']*)''\) TO \(''([^'']*)''\)'))[2]::uuid as high
        from (select pg_get_expr(c.relpartbound, c.oid) b from pg_class c
              where c.relname ~ '^events_run_\d{6}$' and c.relkind = 'r') x order by 1"""
    )
    assert len(bounds) == 31
    assert all(one["high"] == other["low"] for one, other in pairwise(bounds))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"truncate {(await leaves(connection))[-2]}")


async def test_racing_housekeepers_make_each_month_once(dsn: str) -> None:
    connections = [await connect(dsn, "test") for _ in range(4)]
    racing = (c.fetchval("select es.ensure_run_months(12)") for c in connections)
    made = await asyncio.gather(*racing, return_exceptions=True)
    numbers = [one for one in made if isinstance(one, int)]
    waited = [one for one in made if isinstance(one, asyncpg.LockNotAvailableError)]  # too long; it comes again later
    assert (sum(numbers), max(numbers), len(numbers) + len(waited)) == (9, 9, 4), made
    for opened in connections:
        await opened.close()


async def test_a_month_whose_runs_are_in_the_rest_leaf_does_not_block_the_next(
    store: PgEventStore, connection: Connection
) -> None:
    """As after months without housekeeping."""
    far = await connection.fetchval(
        "select es.first_uuid_at(date_trunc('month', now(), 'UTC') + interval '4 months 5 days')"
    )
    assert isinstance(await store.append(an_append(stream_id=far)), Appended)
    warnings: list[str] = []
    connection.add_log_listener(lambda _connection, message: warnings.append(str(message)))
    assert await connection.fetchval("select es.ensure_run_months(6)") == 2
    assert len(warnings) == 1
    assert "events_run_rest" in warnings[0]


async def test_the_chain_over_the_log_is_what_python_computes(store: PgEventStore, dsn: str) -> None:
    streams = [new_id() for _ in range(5)]
    for burst in range(10):
        await asyncio.gather(
            *(
                store.append(an_append(*[a_run_requested("ü" * n) for n in range(burst % 3 + 1)], stream_id=stream))
                for stream in streams
            ),
            store.append(an_append(expected=9)),
            store.append(an_append(a_zap_created(), kind=CORE)),
        )
    rows = await assert_log_is_whole(dsn)
    assert len(rows) > 100


async def test_stores_of_several_processes_wait_for_each_other(store: PgEventStore, dsn: str) -> None:
    async with patient_store(dsn, "second") as second, patient_store(dsn, "third") as third:

        async def write(to: PgEventStore) -> list[AppendResult]:
            return [await to.append(an_append()) for _ in range(30)]

        results = await asyncio.gather(*(write(to) for to in (store, second, third) for _ in range(5)))
    assert all(isinstance(result, Appended) for told in results for result in told)
    assert len(await assert_log_is_whole(dsn)) == 3 * 5 * 30


async def test_a_changed_row_breaks_the_chain(store: PgEventStore, connection: Connection, dsn: str) -> None:
    await fill(store)
    await assert_log_is_whole(dsn)
    await connection.execute("set session_replication_role = replica")  # what only a superuser can do
    await connection.execute("update es.events set data = '{}' where position = 2")
    with pytest.raises(AssertionError):
        await assert_log_is_whole(dsn)


async def test_recorded_times_never_go_back(store: PgEventStore, connection: Connection) -> None:
    for _ in range(20):
        await store.append(an_append())
    times = [row[0] for row in await connection.fetch("select recorded_at from es.events order by position")]
    assert times == sorted(times)


async def test_one_notification_tells_of_a_whole_batch(store: PgEventStore, connection: Connection) -> None:
    heard: list[str] = []
    await connection.add_listener("es", lambda *arguments: heard.append(str(arguments[-1])))
    await store.append(an_append())
    await asyncio.gather(*(store.append(an_append(a_run_requested(), a_run_requested())) for _ in range(50)))
    await eventually(lambda: heard and heard[-1] == "101")
    assert heard[0] == "1"
    assert len(heard) < 20
    await store.append(an_append(expected=5))
    await connection.execute("select 1")
    assert heard[-1] == "101", "a batch of refusals is no news"


async def test_commands_that_wait_share_a_commit(store: PgEventStore, connection: Connection) -> None:
    await asyncio.gather(*(store.append(an_append()) for _ in range(400)))
    assert await connection.fetchval("select count(*) - 1 from es.commits") < 20


async def the_timer_that_exists_twice(store: PgEventStore) -> Append:
    """The id of its event already names a timer of another stream: the database refuses the whole call."""
    taken = new_id()
    await store.append(an_append(ids=[taken], due_at=START))
    return an_append(ids=[taken], due_at=START)


async def test_a_poisonous_command_harms_no_neighbour(store: PgEventStore, dsn: str) -> None:
    poison = await the_timer_that_exists_twice(store)
    commands = [an_append() for _ in range(300)]
    commands[123] = poison
    with capture_logs() as logs:
        results = await asyncio.gather(*(store.append(command) for command in commands), return_exceptions=True)
    assert [n for n, result in enumerate(results) if not isinstance(result, Appended)] == [123]
    assert isinstance(results[123], AppendRefused)
    refused = [line["stream"] for line in logs if line["event"] == "event_store.command_refused"]
    assert refused == [str(poison.stream_id)]
    assert len(await assert_log_is_whole(dsn)) == 300


async def test_a_command_that_can_not_be_sent_harms_no_neighbour(store: PgEventStore, dsn: str) -> None:
    commands = [an_append() for _ in range(50)]
    commands[7] = an_append(expected=2**40)  # no int of Postgres
    commands[8] = an_append(dedupe_key="text")  # type: ignore[arg-type]
    with capture_logs():
        results = await asyncio.gather(*(store.append(command) for command in commands), return_exceptions=True)
    assert [n for n, result in enumerate(results) if not isinstance(result, Appended)] == [7, 8]
    assert len(await assert_log_is_whole(dsn)) == 48


async def test_a_cancelled_caller_leaves_the_writer_at_work(store: PgEventStore, dsn: str) -> None:
    tasks = [asyncio.create_task(store.append(an_append())) for _ in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert isinstance(await store.append(an_append()), Appended)
    rows = await assert_log_is_whole(dsn)
    assert 51 <= len(rows) <= 101


async def test_a_store_that_is_not_open_says_so_at_once(dsn: str) -> None:
    store = patient_store(dsn)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.append(an_append())
    async with store:
        assert isinstance(await store.append(an_append()), Appended)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.append(an_append())


async def test_closing_answers_everyone_who_waits(dsn: str) -> None:
    waiting: list[asyncio.Task[AppendResult]] = []
    async with patient_store(dsn) as store:
        waiting = [asyncio.create_task(store.append(an_append())) for _ in range(1_500)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, Appended | StoreUnavailable) for result in results)
    acknowledged = sum(isinstance(result, Appended) for result in results)
    assert len(await assert_log_is_whole(dsn)) >= acknowledged


async def test_too_many_waiting_commands_are_refused_at_once(
    store: PgEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant has half of the room."""
    monkeypatch.setattr(
        store._commits._small, "_queue", AppendQueue[Any](20, lambda waiting: waiting.command.tenant_id)
    )
    results = await asyncio.gather(*(store.append(an_append()) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(result, Appended) for result in results) == 10
    assert sum(isinstance(result, StoreUnavailable) for result in results) == 20


async def test_big_payloads_are_kept_and_batched_by_size(store: PgEventStore, dsn: str) -> None:
    commands = [an_append(a_run_requested("x" * 3_000_000)) for _ in range(6)]
    results = await asyncio.gather(*(store.append(command) for command in commands))
    assert all(isinstance(result, Appended) for result in results)
    assert len(await assert_log_is_whole(dsn)) == 6


@pytest.mark.parametrize("characters", [3_000_000, 40_000])
async def test_small_commands_do_not_wait_for_large_ones_of_their_process(
    store: PgEventStore, connection: Connection, dsn: str, characters: int
) -> None:
    """The large one is on its way, and gets no further."""
    gate = await connect(dsn, "gate")
    await gate.execute("begin; lock table es.packing in access exclusive mode")
    large = asyncio.create_task(store.append(an_append(a_run_requested("x" * characters))))
    await eventually(lambda: connection.fetchval("select exists (select from pg_locks where not granted)"))
    assert isinstance(await store.append(an_append()), Appended)
    assert not large.done()
    await gate.close()
    assert isinstance(await large, Appended)
    assert len(await assert_log_is_whole(dsn)) == 2


@pytest.mark.parametrize(("numbers", "least"), [(500_000, 100_000), (10_000, 20_000)])
async def test_a_large_payload_is_compressed_before_it_takes_the_lock(
    store: PgEventStore, connection: Connection, dsn: str, numbers: int, least: int
) -> None:
    """Compression of 48 KB takes a few times as long as all else that an append does under the lock."""
    await connection.execute("select pg_advisory_lock(7301, 1)")
    text = " ".join(str(n % 5_000) for n in range(numbers))
    large = asyncio.create_task(store.append(an_append(a_run_requested(text))))
    await eventually(lambda: connection.fetchval("select exists (select from pg_locks where not granted)"))
    packed = await connection.fetchval("select pg_table_size('es.packing')")
    assert least < packed < max(len(text), 150_000)
    await connection.execute("select pg_advisory_unlock(7301, 1)")
    assert isinstance(await large, Appended)
    assert await connection.fetchval("select count(*) from es.packing") == 0
    stored = "select octet_length(data) > $1, pg_column_compression(data) from es.events where position = 1"
    assert tuple(await connection.fetchrow(stored, len(text)) or ()) == (True, "pglz")
    assert len(await assert_log_is_whole(dsn)) == 1


async def test_a_large_command_that_is_refused_leaves_nothing_behind(
    store: PgEventStore, connection: Connection
) -> None:
    large = an_append(a_run_requested("x" * 3_000_000), expected=7)
    assert await store.append(large) == Conflict(0)
    assert await connection.fetchval("select count(*) from es.packing") == 0


async def test_a_conflict_in_a_long_stream_is_answered_by_index(store: PgEventStore, connection: Connection) -> None:
    stream = new_id()
    for _ in range(4):
        await store.append(an_append(*[a_run_requested() for _ in range(250)], stream_id=stream))
    assert await store.append(an_append(stream_id=stream, expected=10)) == Conflict(1_000)
    plan = await connection.fetchval(
        "explain (format json) select version from es.events where kind = 1 and stream_id = $1"
        " order by version desc limit 1",
        stream,
    )
    assert "Seq Scan" not in str(plan)


async def test_an_append_opens_the_leaf_of_its_streams_only(connection: Connection) -> None:
    opened = set()
    for _ in range(2):  # for the first call everything is planned, and looked at
        async with connection.transaction():
            event = [new_id()], ["a"], [1], [b""], [b""], [b""], [None], [None]
            await connection.fetch(
                APPEND, [1], [new_id()], [0], [new_id()], [new_id()], [None], [None], [0], [1], *event
            )
            rows = await connection.fetch(
                "select distinct i.indrelid::regclass::text from pg_locks l join pg_index i on indexrelid = relation"
                " where l.pid = pg_backend_pid() and i.indrelid::regclass::text like 'es.events%'"
            )
            opened = {row[0] for row in rows}
    assert len(opened) == 1
    assert opened < set(await leaves(connection))


async def test_a_dedupe_key_counts_to_the_microsecond_by_the_moment_of_the_commit(
    store: PgEventStore, connection: Connection, dsn: str
) -> None:
    """The clock of es.append is put where the test wants it: that schema comes first in its search path."""
    await connection.execute("create table es.stopped (at timestamptz)")
    await connection.execute(
        "create function es.clock_timestamp() returns timestamptz language sql as 'select at from es.stopped'"
    )
    begin = START + timedelta(days=3650)
    await connection.execute("insert into es.stopped values ($1)", begin)

    async def at(seconds: float, *keys: bytes) -> list[bool]:
        """Which of these keys are new then; they go into one call."""
        await connection.execute("update es.stopped set at = $1", begin + timedelta(seconds=seconds))
        commands = [msgspec.structs.replace(an_append(dedupe_key=key), dedupe_window_s=60) for key in keys]
        return [isinstance(result, Appended) for result in await store.append_each(commands)]

    assert await at(0, b"a") == [True]
    assert await at(30, b"a", b"b") == [False, True]
    assert await at(59.999999, b"b", b"a") == [False, False]
    assert await at(60, b"b", b"a", b"c") == [False, True, True]
    assert await at(-60, b"a", b"d", b"c") == [False, True, False]  # a clock that goes back: the last commit's counts
    assert await at(119.999999, b"a", b"d", b"b") == [False, False, True]
    assert await at(120, b"a", b"d", b"c") == [True, True, True]
    await assert_log_is_whole(dsn)
