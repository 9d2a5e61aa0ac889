"""Retention: what is over goes from log, lists and index; chain, tree and statistics hold, and it is on record."""

import asyncio
import gzip
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest

from consumers.indexing.following import catch_up
from consumers.jobs.erasures import Erasures
from consumers.jobs.payloads import Payloads
from consumers.scheduler import retention
from consumers.scheduler.archives import archive
from consumers.scheduler.archives.lines import FORMAT, Header, NotAnArchive
from consumers.scheduler.due import Expired, ended, expired
from consumers.scheduler.retention import NOT_YET, SUMS, drop, drop_all, keep, write_down
from domain.erasure.dropping import RunsDropped
from domain.hook.request import json_request
from domain.log.event import StreamKind
from domain.registry import decode
from domain.run import events as run
from domain.search.query import search
from domain.zap.events import ZapEnabled, ZapPublished
from domain.zap.settings import Retention, SearchKey, ZapSettings
from projections.engine.engine import Engine
from projections.engine.freshness import wait_until
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from projections.engine.verify import verify_read_models
from projections.run_filter import RunFilter
from projections.run_found import find_runs
from projections.stats_query import Asked, Bucket, read_stats
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from sql.process.clock import new_id, now
from sql.proof.tree import Tree, recomputed
from sql.proof.verify import verify_chain
from tests.support.builders import a_definition, a_zap_created
from tests.support.eventually import eventually
from tests.support.meanwhile import until_stopped
from tests.support.object_store import object_store
from tests.support.projected import PARTITIONS, append, failed, following, rows_of, succeeded, tamper

pytestmark = pytest.mark.usefixtures("read_models")

TENANT, OTHER = new_id(), new_id()
SHORT, LONG, ALWAYS = new_id(), new_id(), new_id()
MONTH, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)
RULES = {
    SHORT: Retention(completed_days=30, failed_days=30),
    LONG: Retention(completed_days=30, failed_days=400),
    ALWAYS: Retention(),
}
CANARY = "canary-of-retention"


def id_in(month: datetime, dice: random.Random) -> UUID:
    at = month + timedelta(seconds=dice.randrange(27 * 86_400))
    return UUID(int=int(at.timestamp() * 1_000) << 80 | new_id().int & (1 << 80) - 1)


async def zaps(store: PgEventStore, rules: dict[UUID, Retention], tenant_id: UUID = TENANT) -> None:
    for zap_id, rule in rules.items():
        keys = (SearchKey("n", "trigger.body.n", "number"),)
        definition = msgspec.structs.replace(
            a_definition("send"), settings=ZapSettings(retention=rule, search_keys=keys)
        )
        published = ZapPublished(number=1, name="Orders", definition=definition)
        events = a_zap_created(definition=definition), published, ZapEnabled()
        await append(store, zap_id, *events, tenant_id=tenant_id, key=zap_id, kind=StreamKind.CORE)


async def runs(
    store: PgEventStore, zap_id: UUID, count: int, month: datetime = MONTH, tenant_id: UUID = TENANT
) -> list[UUID]:
    """Runs that were requested in a month: two thirds completed, others failed."""
    dice = random.Random(4)
    ids = []
    for n in range(count):
        run_id = id_in(month, dice)
        request = json_request({"n": n, "word": CANARY})
        started = run.RunRequested(zap_id=zap_id, zap_version=1, source="webhook", request=request)
        rest = failed() if n % 3 == 0 else (succeeded(), run.RunCompleted())
        ended = [msgspec.structs.replace(e, zap_id=zap_id) if isinstance(e, run.RunEnd) else e for e in rest]
        await append(store, run_id, started, *ended, tenant_id=tenant_id, key=run_id)
        ids.append(run_id)
    return ids


async def _content() -> AsyncIterator[bytes]:
    yield b"a file"


async def statistics(store: PgEventStore, tenant_id: UUID = TENANT) -> list[list[Bucket]]:
    found = []
    for zap_id in (None, SHORT, LONG, ALWAYS):
        for by_step in (False, True):
            since, until = MONTH - timedelta(days=40), END + timedelta(days=1)
            asked = Asked(zap_id=zap_id, width="day", since=since, until=until, by_step=by_step)
            found.append(await read_stats(store.pool, tenant_id, asked))
    return found


@asynccontextmanager
async def indexed(dsn: str) -> AsyncIterator[None]:
    """A search index that has come to the head of the log."""
    reader = await connect(dsn, "test")
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        await catch_up(reader, engine)
        yield
    await reader.close()


@pytest.fixture
async def months(dsn: str) -> None:
    await tamper(dsn, "select es.make_month('events_run', m) from unnest('{2025-02-01,2025-03-01}'::timestamp[]) m")


async def due(dsn: str, at: datetime) -> list[Expired]:
    return [gone async for gone in expired(dsn, at)]


async def test_what_is_over_goes_and_everything_still_verifies(
    dsn: str, store: PgEventStore, connection: Connection, months: None
) -> None:
    await zaps(store, RULES)
    short, long, always = [await runs(store, zap_id, 12) for zap_id in (SHORT, LONG, ALWAYS)]
    files = FileStore(store.pool, now, new_id)
    goes, stays = [await files.keep(TENANT, run_id, _content()) for run_id in (short[0], always[0])]
    under_way = id_in(MONTH, random.Random(9))
    started = run.RunRequested(zap_id=SHORT, zap_version=1, source="webhook", request=json_request({"n": 1}))
    await append(store, under_way, started, tenant_id=TENANT, key=under_way)
    before_head = await store.head()
    root = (await recomputed(connection, [before_head]))[before_head]
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", before_head, 60)
        stats = await statistics(store)
        assert await due(dsn, END + timedelta(days=29)) == []
        (gone,) = await due(dsn, END + timedelta(days=30))
        expected = {*short, *(run_id for n, run_id in enumerate(long) if n % 3)}
        assert gone.runs == len(expected)
        assert gone.counts == {TENANT: {SHORT: {"completed": 8, "failed": 4}, LONG: {"completed": 8}}}
        assert await drop(dsn, gone, new_id) == ""
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
    assert await statistics(store) == stats
    chunks = await connection.fetch("select file_id, content from proj.file_chunks")
    assert [(row["file_id"], row["content"]) for row in chunks] == [(stays.id, b"a file")]
    assert await files.find(TENANT, goes.id) is None
    left = await connection.fetch("select distinct stream_id from es.events where kind = 1")
    assert {row[0] for row in left} == {*long, *always, under_way} - expected
    for table in ("rm.run_list", "rm.run_keys"):
        assert expected.isdisjoint({row[0] for row in await connection.fetch(f"select run_id from {table}")})
    report = await verify_chain(dsn)
    assert (report.broken_at, report.events) == (None, await store.head()), report.reason
    assert (await recomputed(connection, [before_head]))[before_head] == root
    told = (await store.read_log(before_head, 10))[0]
    event = decode(told.type, told.schema_version, told.data)
    assert isinstance(event, RunsDropped)
    assert (event.month, event.events, sum(sum(zap.runs.values()) for zap in event.zaps)) == ("2025-03", 60, 20)
    assert await due(dsn, END + timedelta(days=30)) == []
    # What it says is held against what is on record.
    first = "(select min(last) from es.dropped_pages)"
    await tamper(dsn, f"update es.dropped_pages set drop_id = gen_random_uuid() where last = {first}")
    assert (await verify_chain(dsn)).reason == "the event was dropped, and no event says so"


async def test_a_month_of_which_nothing_is_kept_goes_as_its_leaf(
    dsn: str, store: PgEventStore, connection: Connection, months: None
) -> None:
    await zaps(store, {SHORT: RULES[SHORT]})
    other_zap = new_id()
    await zaps(store, {other_zap: RULES[SHORT]}, OTHER)
    await runs(store, SHORT, 9)
    kept = await runs(store, SHORT, 3, END - timedelta(days=59))
    await runs(store, other_zap, 6, MONTH, OTHER)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        segments = await connection.fetchval("select count(*) from rm.run_search")
        stats = await statistics(store), await statistics(store, OTHER)
        late = [gone for gone in await due(dsn, END + timedelta(days=30)) if gone.month == MONTH.date()]
        assert await drop(dsn, late[0], new_id) == ""
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
    assert segments
    assert await connection.fetchval("select to_regclass('es.events_run_202503')") is None
    assert {row[0] for row in await connection.fetch("select run_id from rm.run_list")} == set(kept)
    assert (await statistics(store), await statistics(store, OTHER)) == stats
    told = await connection.fetch("select tenant_id from es.events where type = 'runs.dropped' order by 1")
    assert [row[0] for row in told] == sorted([TENANT, OTHER])
    report = await verify_chain(dsn)
    assert (report.broken_at, report.events) == (None, await store.head()), report.reason
    assert await Tree(store.pool).inclusion(1, await store.head()) is not None


async def test_appends_go_on_while_a_month_is_dropped_behind_a_reader(
    dsn: str, store: PgEventStore, months: None
) -> None:
    """Who reads the month holds the drop up, and nobody else; a run that is under way is never dropped."""
    await zaps(store, {SHORT: RULES[SHORT]})
    mine = await runs(store, SHORT, 6)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        (gone,) = await due(dsn, END + timedelta(days=30))
        reader = await connect(dsn, "backup")
        async with reader.transaction():
            await reader.execute("select * from es.events_run_202503 limit 1")
            dropping = asyncio.create_task(drop(dsn, gone, new_id))
            waits: list[float] = []
            while len(waits) < 200:
                began = asyncio.get_running_loop().time()
                await append(store, new_id(), run.RunRequested(
                    zap_id=SHORT, zap_version=1, source="webhook", request=json_request({})
                ), tenant_id=TENANT, key=SHORT)  # fmt: skip
                waits.append(asyncio.get_running_loop().time() - began)
            assert not dropping.done()
        await reader.close()
        assert await dropping == ""
        assert sorted(waits)[-5] < 1.0, "it is waited for 100 ms at a time"
        assert await store.read_stream(StreamKind.RUN, mine[0]) == []
    open_run = id_in(MONTH, random.Random(2))
    await tamper(dsn, "select es.make_month('events_run', '2025-03-01')")
    started = run.RunRequested(zap_id=SHORT, zap_version=1, source="webhook", request=json_request({}))
    await append(store, open_run, started, tenant_id=TENANT, key=SHORT)
    async with store.pool.acquire() as connection, connection.transaction():
        noted = "insert into kept.expired (tenant_id, run_id, zap_id, status, part) values ($1, $2, $2, 'completed', 1)"
        await connection.execute(noted, TENANT, open_run)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="under way"):
            await connection.fetch("select * from es.set_runs_aside('2025-03-01', array[$1::uuid])", open_run)


async def test_a_crash_between_a_drop_and_the_rebuilds_of_sums_mends_itself(
    dsn: str, store: PgEventStore, months: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await zaps(store, {SHORT: RULES[SHORT]})
    await runs(store, SHORT, 6)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        (gone,) = await due(dsn, END + timedelta(days=30))

        async def crash(*_: object) -> int:
            raise ConnectionError("killed")

        with monkeypatch.context() as broken:
            broken.setattr(retention, "rebuild", crash)
            with pytest.raises(ConnectionError):
                await drop(dsn, gone, new_id)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert await verify_read_models(dsn, SUMS, PARTITIONS) != []
        await drop_all(dsn, "", END, new_id)
        assert await verify_read_models(dsn, SUMS, PARTITIONS) == []
    assert await store.pool.fetch("select from proj.stale union all select from kept.expired") == []


async def archived(dsn: str, store: PgEventStore, folder: Path) -> tuple[str, set[UUID]]:
    """All runs of the month, dropped behind a file that has them. Gives its name, and their ids."""
    gone = await ended(dsn, MONTH.date())
    before = {row[0] for row in await store.pool.fetch("select run_id from rm.run_list")}
    name = await drop(dsn, gone, new_id, archive.place(str(folder)))
    assert name
    left = {row[0] for row in await store.pool.fetch("select run_id from rm.run_list")}
    return name, before - left


async def test_what_was_archived_and_dropped_comes_back_and_verifies(
    dsn: str, store: PgEventStore, connection: Connection, months: None, tmp_path: Path
) -> None:
    await zaps(store, RULES)
    for zap_id in RULES:
        await runs(store, zap_id, 12)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        before, stats = await rows_of(connection), await statistics(store)
        log = await connection.fetch("select * from es.events where kind = 1 order by position")
        name, ids = await archived(dsn, store, tmp_path)
        assert len(ids) == 36
        assert await connection.fetchval("select to_regclass('es.events_run_202503')") is None
        assert (await verify_chain(dsn)).broken_at is None
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert await archive.bring_back(dsn, archive.place(str(tmp_path)), name) == len(log)
        assert await connection.fetch("select * from es.events where kind = 1 order by position") == log
        report = await verify_chain(dsn)
        assert (report.broken_at, report.events) == (None, await store.head()), report.reason
        assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
        assert await statistics(store) == stats
        now = await rows_of(connection)
        assert {name: rows for name, rows in now.items() if name != "audit"} == {
            name: rows for name, rows in before.items() if name != "audit"
        }
        found = await find_runs(store, TENANT, RunFilter(limit=50), search(f"{CANARY}", []))
        assert {item.id for item in found.items} == ids
        # It is there again, so it can be dropped again, and cannot come back twice.
        with pytest.raises(NotAnArchive):
            await archive.bring_back(dsn, archive.place(str(tmp_path)), name)
        await archived(dsn, store, tmp_path)
        assert await archive.bring_back(dsn, archive.place(str(tmp_path)), name) == len(log)


NOT_SEEN = ("a value", "the tenant", "a time", "twice", "a line less")
"""Changes of a file that a check lets pass: it holds a tenant's own events that are there against their hashes."""


async def test_a_file_that_was_changed_brings_nothing_back(  # noqa: PLR0917 - fixtures
    dsn: str, store: PgEventStore, connection: Connection, months: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await zaps(store, RULES)
    await runs(store, SHORT, 6)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        name, _ids = await archived(dsn, store, tmp_path)
    whole = (tmp_path / name).read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    place = archive.place(str(tmp_path))
    changed = {
        "a value": [*lines[:2], lines[2].replace(b'"version":2', b'"version":3'), *lines[3:]],
        "a payload": [line.replace(CANARY.encode(), b"another") for line in lines],
        "the tenant": [line.replace(str(TENANT).encode(), str(OTHER).encode()) for line in lines],
        "a time": [line.replace(b'"recorded_us":1', b'"recorded_us":2') for line in lines],
        "twice": lines + lines[-1:],
        "no header": lines[1:],
        "another format": [lines[0].replace(FORMAT.encode(), b"x"), *lines[1:]],
        "no JSON": [*lines, b"x\n"],
        "no UTF-8": [line.replace(CANARY.encode(), b"\xff") for line in lines],
        "a month that there is not": [lines[0].replace(b"-03", b"-13"), *lines[1:]],
        "a position beyond all": [*lines, lines[1].replace(b'"position":', b'"position":9999999999999999999')],
        "a version beyond all": [*lines, lines[1].replace(b'"schema_version":1', b'"schema_version":99999')],
        "a line less": lines[:-1],
    }
    files = {what: gzip.compress(b"".join(rows)) for what, rows in changed.items()}
    files |= {"cut": whole[: len(whole) // 2], "no gzip": b"x" * 100, "empty": b"", "more behind it": whole + whole}
    monkeypatch.setattr("consumers.scheduler.archives.lines.MOST_LINE", 2**20)
    files["a line without an end"] = gzip.compress(lines[0] + b" " * 2**22)
    for what, content in files.items():
        (tmp_path / "changed").write_bytes(content)
        with pytest.raises(NotAnArchive):
            await archive.bring_back(dsn, place, "changed")
        if what not in NOT_SEEN:
            with pytest.raises(NotAnArchive):
                await archive.check(dsn, place, "changed", TENANT)
        assert await connection.fetchval("select count(*) from es.events where kind = 1") == 0, what
    with pytest.raises(NotAnArchive):
        await archive.bring_back(dsn, place, "nothing")
    assert (await verify_chain(dsn)).broken_at is None


PHOTO = bytes(range(256)) * 6_000
"""More than one piece of a file."""


async def _photo() -> AsyncIterator[bytes]:
    yield PHOTO


async def test_files_come_back_with_their_runs_and_only_as_these_name_them(
    dsn: str, store: PgEventStore, connection: Connection, months: None, tmp_path: Path
) -> None:
    await zaps(store, {SHORT: RULES[SHORT]})
    files, run_id = FileStore(store.pool, now, new_id), id_in(MONTH, random.Random(5))
    photo = await files.keep(TENANT, run_id, _photo(), filename="a.png", content_type="image/png")
    request = msgspec.structs.replace(json_request({}), kept={"photo": photo.value()})
    started = run.RunRequested(zap_id=SHORT, zap_version=1, source="webhook", request=request)
    await append(store, run_id, started, run.RunCompleted(zap_id=SHORT), tenant_id=TENANT, key=run_id)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        name, ids = await archived(dsn, store, tmp_path)
    assert (ids, await files.find(TENANT, photo.id)) == ({run_id}, None)
    lines = gzip.decompress((tmp_path / name).read_bytes()).splitlines(keepends=True)
    header = msgspec.json.decode(lines[0], type=Header)
    assert (header.files, header.file_bytes, header.files_elsewhere) == (1, len(PHOTO), 0)
    at = next(number for number, line in enumerate(lines) if line.startswith(b'{"file":'))
    other = photo.sha256[::-1].encode()
    changed = {
        "its content": [*lines[:-1], lines[-1].replace(b"AAEC", b"AAED", 1)],
        "its end": lines[:-1],
        "its beginning": [*lines[: at + 1], *lines[at + 2 :]],
        "its hash": [line.replace(photo.sha256.encode(), other) if line is lines[at] else line for line in lines],
        "its run": [
            line.replace(str(run_id).encode(), str(new_id()).encode()) if line is lines[at] else line for line in lines
        ],
        "pieces of none": [*lines[:at], *lines[at + 1 :]],
    }
    for what, rows in changed.items():
        (tmp_path / "changed").write_bytes(gzip.compress(b"".join(rows)))
        with pytest.raises(NotAnArchive):
            await archive.bring_back(dsn, archive.place(str(tmp_path)), "changed")
        assert await files.find(TENANT, photo.id) is None, what
        if what != "its run":  # which only the log can tell
            with pytest.raises(NotAnArchive):
                await archive.check(dsn, archive.place(str(tmp_path)), "changed", TENANT)
    assert await archive.check(dsn, archive.place(str(tmp_path)), name, TENANT) == 2
    assert await archive.bring_back(dsn, archive.place(str(tmp_path)), name) == 2
    back = await files.find(TENANT, photo.id)
    assert back is not None
    assert (back.file, back.owner_id) == (photo, run_id)
    assert b"".join([piece async for piece in files.read(TENANT, back)]) == PHOTO
    assert await connection.fetchval("select bytes from proj.file_rooms where tenant_id = $1", TENANT) == len(PHOTO)


async def test_an_object_store_holds_archives_as_a_directory_does(
    dsn: str, store: PgEventStore, months: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await zaps(store, RULES)
    mine = await runs(store, SHORT, 6)
    async with object_store() as (endpoint, objects), following(dsn, store), indexed(dsn):
        let_in(monkeypatch, endpoint)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        gone = await ended(dsn, MONTH.date())
        place = archive.place("s3://history/runs")
        name = await write_down(dsn, gone, place)
        assert list(objects) == [f"/history/runs/{name}"]
        assert await drop(dsn, gone, new_id, place) == name
        assert await archive.bring_back(dsn, place, name) == 18
        assert await store.read_stream(StreamKind.RUN, mine[0])
    assert (await verify_chain(dsn)).broken_at is None


def let_in(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Credentials for an object store, as an operator sets them."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-1",
        "AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


async def test_a_scheduler_archives_and_drops_what_is_over_by_a_child(
    dsn: str, store: PgEventStore, months: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await zaps(store, RULES)
    short, always = await runs(store, SHORT, 6), await runs(store, ALWAYS, 3)
    async with object_store() as (endpoint, objects), following(dsn, store), indexed(dsn):
        let_in(monkeypatch, endpoint)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)

        async def gone() -> bool:
            return await store.read_stream(StreamKind.RUN, short[0]) == []

        async with until_stopped(partial(keep, dsn, "s3://history/runs")):
            await eventually(gone)
        assert await store.read_stream(StreamKind.RUN, always[0])
        (name,) = [key.rpartition("/")[2] for key in objects]
        assert await archive.bring_back(dsn, archive.place("s3://history/runs"), name) == 18
    assert (await verify_chain(dsn)).broken_at is None


async def test_before_the_read_models_are_built_it_says_so_and_nothing_else(dsn: str, connection: Connection) -> None:
    await connection.execute("drop view rm.zap_list")
    assert await retaining(dsn) == (NOT_YET, b"")


@pytest.mark.parametrize("damage", ["schema_version = 99", "data = 'no json'"])
async def test_a_zap_that_cannot_be_read_keeps_its_runs_and_those_of_others_go(
    dsn: str, store: PgEventStore, months: None, damage: str
) -> None:
    await zaps(store, {SHORT: RULES[SHORT]})
    await zaps(store, {LONG: RULES[SHORT]}, OTHER)
    goes, stays = await runs(store, SHORT, 3), await runs(store, LONG, 3, tenant_id=OTHER)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        await tamper(dsn, f"update es.events set {damage} where stream_id = '{LONG}' and type = 'zap.published'")
        assert await drop_all(dsn, "", END + timedelta(days=30), new_id)
    assert await store.read_streams(StreamKind.RUN, goes) == {}
    assert (await store.read_streams(StreamKind.RUN, stays)).keys() == {*stays}


@pytest.mark.parametrize("damage", ["schema_version = 99", "data = 'no json'"])
async def test_payloads_go_though_a_run_and_a_zap_cannot_be_read(
    dsn: str, store: PgEventStore, months: None, damage: str
) -> None:
    rule = Retention(payload_days=1)
    await zaps(store, {SHORT: rule})
    await zaps(store, {LONG: rule}, OTHER)
    ours, theirs = await runs(store, SHORT, 3), await runs(store, LONG, 3, tenant_id=OTHER)
    payloads = Payloads(store, Erasures(store, new_id), now)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        await tamper(dsn, f"update es.events set {damage} where stream_id = '{LONG}' and type = 'zap.published'")
        await tamper(dsn, f"update es.events set {damage} where stream_id = '{min(ours)}' and version = 2")
        async with until_stopped(payloads.run):
            await eventually(partial(has_whole, store, ours, 1), 20.0)
    assert await has_whole(store, theirs, 3)


async def has_whole(store: PgEventStore, run_ids: list[UUID], count: int) -> bool:
    """Whether so many of these runs have their payloads."""
    streams = await store.read_streams(StreamKind.RUN, run_ids)
    return sum(CANARY.encode() in events[0].data for events in streams.values()) == count


async def retaining(dsn: str, archive: str = "") -> tuple[int | None, bytes]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consumers.scheduler.retaining", stdin=PIPE, stderr=PIPE
    )
    _out, said = await child.communicate(f"{dsn}\n{archive}\n".encode())
    return child.returncode, said


async def test_what_could_not_be_dropped_beside_a_rebuild_is_not_called_done(
    dsn: str, store: PgEventStore, connection: Connection, months: None, tmp_path: Path
) -> None:
    """And leaves no archive of runs that are in the log."""
    await zaps(store, RULES)
    (run_id, *_others) = await runs(store, SHORT, 3)
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        await connection.execute("select pg_advisory_lock(7302, hashtext('stats'))")
        assert (await retaining(dsn, str(tmp_path)))[0] == NOT_YET
        assert list(tmp_path.iterdir()) == []
        assert await store.read_stream(StreamKind.RUN, run_id)
        await connection.execute("select pg_advisory_unlock(7302, hashtext('stats'))")
        assert (await retaining(dsn, str(tmp_path)))[0] == 0
        assert len(list(tmp_path.iterdir())) == 1
        assert await store.read_stream(StreamKind.RUN, run_id) == []


async def test_what_is_brought_back_beside_runs_that_were_kept_is_found_with_them(
    dsn: str, store: PgEventStore, months: None, tmp_path: Path
) -> None:
    await zaps(store, RULES)
    mine = [*await runs(store, SHORT, 6), *await runs(store, LONG, 6)]
    async with following(dsn, store), indexed(dsn):
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        (gone,) = await due(dsn, END + timedelta(days=30))
        place = archive.place(str(tmp_path))
        name = await drop(dsn, gone, new_id, place)
        assert name
        assert await archive.bring_back(dsn, place, name) > 0
        found = await find_runs(store, TENANT, RunFilter(limit=50), search(CANARY, []))
        assert {item.id for item in found.items} == set(mine)
