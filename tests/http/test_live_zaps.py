"""The cache of live zaps: fresh in every process within a second, bounded, and honest when the log is lost."""

import asyncio
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.intake import live_zaps
from app.intake.live_zaps import LiveZaps
from domain.log.event import StoredEvent, StreamKind
from domain.log.ports import StoreUnavailable
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.api import Person, running_api
from tests.support.eventually import eventually
from tests.support.meanwhile import meanwhile
from tests.support.stores import patient_store


class CountingStore(PgEventStore):
    """Counts how often streams are read."""

    reads = 0

    async def read_stream(self, kind: StreamKind, stream_id: UUID, after: int = 0) -> list[StoredEvent]:
        self.reads += 1
        return await super().read_stream(kind, stream_id, after)


@pytest.fixture
def told_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen is seen because the log told of it at once."""
    for name in ("POLL_S", "MISSING_S"):
        monkeypatch.setattr(live_zaps, name, 3_600)


@pytest.mark.usefixtures("told_only")
async def test_other_processes_see_a_change_at_once(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    async with running_api(dsn) as other:
        for command, status in (("pause", 409), ("enable", 200), ("pause", 409)):
            await other.post(zap["hook_url"])
            await ada("POST", f"/zaps/{zap['id']}/{command}")

            async def seen(status: int = status) -> bool:
                return (await other.post(zap["hook_url"])).status_code == status

            await eventually(seen)


async def test_the_process_that_made_the_change_sees_it_at_once(ada: Person) -> None:
    zap = await ada.live_zap()
    for command, status in (("pause", 409), ("enable", 200)) * 3:
        await ada("POST", f"/zaps/{zap['id']}/{command}")
        assert (await ada.api.post(zap["hook_url"])).status_code == status


@pytest.mark.usefixtures("told_only")
async def test_a_zap_that_was_unknown_a_moment_ago_is_found_once_it_is_there(ada: Person, dsn: str) -> None:
    zap = await ada.create_zap()
    async with running_api(dsn) as other:
        assert (await other.post(zap["hook_url"])).status_code == 404
        await ada("POST", f"/zaps/{zap['id']}/publish")

        async def found() -> bool:
            return (await other.post(zap["hook_url"])).status_code == 200

        await eventually(found)


@pytest.mark.usefixtures("told_only")
async def test_known_zaps_and_garbage_are_answered_from_memory(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    async with CountingStore(dsn, "counting") as store:
        cache = LiveZaps(store, dsn)
        async with meanwhile(cache.follow()):
            await eventually(lambda: cache._following)
            for zap_id in (UUID(zap["id"]), new_id(), UUID(ada.id)):
                store.reads = 0
                found = {await cache.get(zap_id) for _ in range(20)}
                many = await asyncio.gather(*(cache.get(zap_id) for _ in range(20)))
                assert {*found, *many} == {(await cache.get(zap_id))}
                assert store.reads == 1


async def test_a_crowd_at_a_cold_zap_reads_it_once(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    async with CountingStore(dsn, "counting") as store:
        cache = LiveZaps(store, dsn)
        found = await asyncio.gather(*(cache.get(UUID(zap["id"])) for _ in range(50)))
        assert store.reads == 1
        assert {(one.owner, one.status, one.version) for one in found if one} == {(UUID(ada.id), "enabled", 1)}


async def test_a_load_that_was_overtaken_by_a_change_is_not_kept(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    async with CountingStore(dsn, "counting") as store:
        cache = LiveZaps(store, dsn)
        loading = asyncio.create_task(cache.get(UUID(zap["id"])))
        await asyncio.sleep(0)
        cache.invalidate(UUID(zap["id"]))
        await loading
        await cache.get(UUID(zap["id"]))
        assert store.reads == 2


async def test_the_cache_is_bounded(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_zaps, "CAPACITY", 10)
    async with CountingStore(dsn, "counting") as store:
        cache = LiveZaps(store, dsn)
        for _ in range(30):
            await cache.get(new_id())
        assert len(cache._entries) <= 10


async def test_it_follows_the_log_again_after_the_connection_was_cut(
    api: httpx.AsyncClient, ada: Person, dsn: str
) -> None:
    zap = await ada.live_zap()
    connection = await asyncpg.connect(dsn)
    cut = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        "where application_name = 'triggerhub live zaps' and datname = current_database()"
    )
    alive = (
        "select count(*) from pg_stat_activity "
        "where application_name = 'triggerhub live zaps' and datname = current_database()"
    )
    async with running_api(dsn) as other:
        await eventually(lambda: connection.fetchval(alive))
        assert (await other.post(zap["hook_url"])).status_code == 200
        await connection.execute(cut)
        await ada("POST", f"/zaps/{zap['id']}/pause")

        async def seen() -> bool:
            return (await other.post(zap["hook_url"])).status_code == 409

        await eventually(seen)

        async def both_are_back() -> bool:
            return bool(await connection.fetchval(alive) == 2)

        await eventually(both_are_back)
        await ada("POST", f"/zaps/{zap['id']}/enable")

        async def seen_again() -> bool:
            return (await other.post(zap["hook_url"])).status_code == 200

        await eventually(seen_again)
    await connection.close()


async def test_without_the_database_nothing_is_pretended(dsn: str) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    async with patient_store(dsn, "reader") as store:
        store.pool.terminate()
        cache = LiveZaps(store, nowhere)
        with pytest.raises(StoreUnavailable):
            await cache.get(new_id())
