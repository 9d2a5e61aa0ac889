"""20 MB pass from a webhook through uploads and downloads, in little memory, also where the runner dies on the way."""

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest

from sql.files.store import LEFT_S, FileStore
from sql.process.clock import new_id, now
from tests.support.deployment import one_of_each
from tests.support.file_journey import digest, file_target, forget_peak, journey, peak, post_file
from tests.support.object_store import object_store
from tests.support.stores import patient_store
from tests.support.system import System

SIZE = 20 * 2**20
MOST = 16 * 2**20
"""Bytes that a process may need for it at its highest: less than the file."""
pytestmark = [pytest.mark.slow]


async def swept(system: System) -> list[tuple[str, int]]:
    """Name and size of what is left once everything without a name in the log is gone."""
    async with patient_store(system.dsn) as store:
        later = now() + timedelta(seconds=LEFT_S + 1)
        await FileStore(store.pool, lambda: later, new_id).sweep()
        rows = await store.pool.fetch("select filename, size from proj.files order by filename")
        assert await store.pool.fetchval("select count(*) from proj.file_chunks") == sum(
            -(-r["size"] // 2**20) for r in rows
        )
        return [(row["filename"], row["size"]) for row in rows]


async def test_a_file_arrives_whole_in_little_memory_and_once_whoever_dies(dsn: str) -> None:
    async with one_of_each(dsn) as system, file_target(SIZE) as target, object_store() as (store, objects):
        await system.sign_up()
        hook = (await journey(system, target.address, store))["hook_url"]
        await system.settled([await post_file(system, hook, 2 * 2**20)])  # what is loaded at the first use is there
        pids = system.pids()
        names = {role: next(name for name in pids if name.startswith(role)) for role in ("api", "runner")}
        before = {name: forget_peak(pids[name]) for name in names.values()}
        run_id = await post_file(system, hook, SIZE)
        await system.settled([run_id])
        more = {name: peak(pids[name]) - size for name, size in before.items()}
        assert max(more.values()) < MOST, more
        wanted = {"title None", "photo photo.png", "fetched source.zip"}
        assert set(target.uploads[-1]) == wanted
        assert target.uploads[-1]["photo photo.png"] == target.uploads[-1]["fetched source.zip"] == digest(SIZE)
        assert sha256(objects["/bucket/a.zip"]).hexdigest() == digest(SIZE)

        objects.clear()
        target.hold = "source"
        run_id = await post_file(system, hook, SIZE)
        for following in ("upload", ""):
            await asyncio.wait_for(target.held.wait(), 60)
            target.hold = following
            target.held.clear()
            await system.kill(names["runner"])
        await system.settled([run_id])
        assert target.uploads[-1]["photo photo.png"] == target.uploads[-1]["fetched source.zip"] == digest(SIZE)
        assert sha256(objects["/bucket/a.zip"]).hexdigest() == digest(SIZE)
        run = await system.call("GET", f"/api/v1/runs/{run_id}")
        assert run["status"] == "completed", run
        assert target.calls == {"source": 4, "upload": 4}
        left = [("photo.png", 2 * 2**20), *[("photo.png", SIZE)] * 2, *[("source.zip", SIZE)] * 3]
        assert sorted(await swept(system)) == sorted(left)
