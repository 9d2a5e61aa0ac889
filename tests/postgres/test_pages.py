"""Whoever reads many events holds no more than a page of bytes, and misses none by that."""

import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from domain.envelope import MAX_INLINE_DATA, decode, encode
from domain.log.event import StoredEvent, StreamKind
from projections.engine.engine import Engine, NotBuilt
from projections.engine.rebuild import pages
from projections.engine.registry import PROJECTIONS
from projections.run_list import RUN_LIST
from relay.leader import Checkpoint, Leader
from sql.log.event_store import PgEventStore
from sql.log.pages import PAGE_BYTES
from sql.postgres.pool import Connection, connect
from sql.process.clock import new_id
from tests.support.builders import a_run_requested, an_append
from tests.support.projected import PARTITIONS, batch_of, tamper
from tests.support.stores import patient_store

KB, MB = 1_024, 1_024 * 1_024
LOGS = {
    "small": [100] * 200,
    "one larger than a page": [100, PAGE_BYTES + MB, 100],
    "many that fill pages": [3 * MB] * 9,
    "a page exactly, and one byte more": [PAGE_BYTES // 4] * 8,
    "mixed": [random.Random(seed).choice([10, 30 * KB, 260 * KB, 2 * MB]) for seed in range(60)],
}


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as opened:
        yield opened


async def filled(store: PgEventStore, sizes: list[int]) -> None:
    for size in sizes:
        await store.append(an_append(a_run_requested("x" * size)))


async def of_store(store: PgEventStore, _connection: Connection) -> AsyncIterator[list[StoredEvent]]:
    after = 0
    while page := await store.read_log(after, 1_000):
        yield page
        after = page[-1].position


async def of_rebuild(store: PgEventStore, connection: Connection) -> AsyncIterator[list[StoredEvent]]:
    async for page in pages(connection, RUN_LIST, 0, await store.head()):
        yield page


READERS = {"read_log": of_store, "rebuild and verify": of_rebuild}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("log", LOGS)
async def test_a_page_holds_so_many_bytes_or_one_event_and_no_event_is_missed(
    store: PgEventStore, connection: Connection, log: str, reader: str
) -> None:
    await filled(store, LOGS[log])
    read = [page async for page in READERS[reader](store, connection)]
    assert [event.position for page in read for event in page] == list(range(1, len(LOGS[log]) + 1))
    for page in read:
        assert len(page) == 1 or sum(len(event.data) for event in page) <= PAGE_BYTES
    for page, following in pairwise(read):
        assert sum(len(event.data) for event in page) + len(following[0].data) > PAGE_BYTES, (
            "pages are as full as may be"
        )


async def test_the_relay_reads_no_payload_that_will_travel_by_reference(
    store: PgEventStore, connection: Connection
) -> None:
    await filled(store, [100, 3 * MB, MAX_INLINE_DATA + 1, 200, *[300 * KB] * 50, 300])
    leader = Leader(connection, 1, Checkpoint(0, {}))
    page = await leader.read(0, 1_000)
    assert len(page) == 55, "what is left out takes no room from others"
    assert sum(len(event.data) for event in page) < 3 * KB
    assert [decode(encode(event, 0)).stored() is None for event in page[:4]] == [False, True, True, False]


async def test_parked_events_are_taken_again_page_by_page(dsn: str, store: PgEventStore) -> None:
    """What retention has dropped meanwhile is forgotten, and does not end the search."""
    sizes = [4 * MB, 100, 5 * MB, 100, 100]
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        await engine.start()
        await filled(store, sizes)
        log = [event for position in range(5) for event in await store.read_log(position, 1)]
        await engine.apply(batch_of(log))
        await tamper(
            dsn,
            "insert into proj.parked (consumer, version, stream_id, position, type, error) "
            "select 'run_list', 1, stream_id, position, type, 'x' from es.events",
        )
        await tamper(dsn, "delete from rm.run_list")
        await tamper(dsn, "delete from es.events where position in (2, 4)")
        assert await engine.retry_parked("run_list") == 0
    connection = await connect(dsn, "test")
    assert await connection.fetchval("select count(*) from rm.run_list") == 3
    await connection.close()


async def test_a_read_model_that_was_never_built_has_nothing_to_take_again(dsn: str) -> None:
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        with pytest.raises(NotBuilt, match="was never built"):
            await engine.retry_parked("run_list")


@pytest.mark.parametrize("sizes", LOGS.values(), ids=list(LOGS))
async def test_a_stream_is_read_in_pages_of_so_many_bytes(store: PgEventStore, sizes: list[int]) -> None:
    run_id = new_id()
    for size in sizes:
        await store.append(an_append(a_run_requested("x" * size), stream_id=run_id))
    versions, more = list[int](), True
    while more:
        page, more = await store.stream_page(StreamKind.RUN, run_id, versions[-1] if versions else 0, 150)
        assert len(page) == 1 or sum(len(event.data) for event in page) <= PAGE_BYTES
        assert 0 < len(page) <= 150
        versions += [event.version for event in page]
    assert versions == list(range(1, len(sizes) + 1))
    assert await store.stream_page(StreamKind.RUN, run_id, len(sizes), 10) == ([], False)
