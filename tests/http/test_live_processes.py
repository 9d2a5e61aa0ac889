"""The live stream of API processes as they are deployed: restarted, killed, side by side, with a thousand listeners."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from app.config.data_dir import free_ports
from sql.process.clock import new_id
from tests.support.api import Person, sign_up
from tests.support.deployment import Deployment, deployment
from tests.support.event_stream import Reading, heard_more, reading, writing
from tests.support.projected import append, requested
from tests.support.stores import patient_store

pytestmark = [pytest.mark.slow]
RESTARTS = int(os.environ.get("TRIGGERHUB_TEST_RESTARTS", "20"))
LISTENERS = 1_000
PER_SECOND = 20
"""Runs of each person: enough of them for each process to be in the middle of one when it ends."""


@asynccontextmanager
async def api_only(dsn: str) -> AsyncIterator[Deployment]:
    """A deployment without a broker: the API needs none."""
    async with deployment(dsn, "127.0.0.1:1", "zap-events") as deployed:
        yield deployed


async def people_of(url: str) -> list[Person]:
    """Two people with access tokens; their client is closed: they read streams only."""
    async with httpx.AsyncClient(base_url=url) as http:
        return [await sign_up(http), await sign_up(http, name="Bob")]


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_through_restarts_and_kills_of_a_real_process_each_listener_has_everything_once(dsn: str) -> None:
    """Every second time it is killed, else asked to end. TRIGGERHUB_TEST_RESTARTS says how often."""
    async with api_only(dsn) as deployed, patient_store(dsn, "writer") as store:
        name = await deployed.start("api")
        await deployed.ready()
        people = await people_of(deployed.base)
        readers = [Reading(person, await store.head(), [deployed.base]) for person in people for _ in range(3)]
        async with reading(readers):
            async with writing(store, people, PER_SECOND) as written:
                await heard_more(readers)
                for turn in range(RESTARTS):
                    if turn % 2:
                        await deployed.kill(name)
                    else:
                        assert await deployed.restart(name) == 0
                    await heard_more(readers)
            await written.proven(readers)


async def test_whoever_loses_one_of_two_processes_goes_on_at_the_other(dsn: str) -> None:
    async with api_only(dsn) as deployed, patient_store(dsn, "writer") as store:
        other_port = next(free_ports())
        other = f"http://127.0.0.1:{other_port}"
        lost = await deployed.start("api")
        await deployed.start("api", TRIGGERHUB_PORT=str(other_port))
        await deployed.ready()
        people = await people_of(deployed.base)
        begin, urls = await store.head(), [deployed.base]
        readers = [Reading(person, begin, of) for person in people for of in (urls, [other])]
        async with reading(readers):
            async with writing(store, people, PER_SECOND) as written:
                await heard_more(readers)
                await deployed.lose(lost)
                urls.append(other)
                await heard_more(readers)
            await written.proven(readers)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def opened(url: str, person: Person) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream that has begun."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    lines = (f"Host: {where.netloc}", f"Authorization: Bearer {person.access_token}", "", "")
    writer.write("\r\n".join(("GET /api/v1/live HTTP/1.1", *lines)).encode())
    await reader.readuntil(b"retry: ")
    return reader, writer


@pytest.mark.soak
async def test_a_thousand_listeners_cost_less_than_100_megabytes(dsn: str) -> None:
    """Half of them sit at the workspace where something happens."""
    async with api_only(dsn) as deployed, patient_store(dsn, "writer") as store:
        name = await deployed.start("api")
        await deployed.ready()
        ada, bob = await people_of(deployed.base)
        before = resident(deployed.pids()[name])
        streams = []
        for _ in range(LISTENERS // 20):
            streams += await asyncio.gather(*(opened(deployed.base, one) for one in (ada, bob) for _ in range(10)))
        for _ in range(20):
            await append(store, new_id(), requested(new_id()), tenant_id=UUID(ada.id), key=new_id())
        for number, (reader, _) in enumerate(streams):
            if number % 20 < 10:
                for _ in range(20):
                    await reader.readuntil(b"event: run.requested")
        more = resident(deployed.pids()[name]) - before
        for _, writer in streams:
            writer.close()
        print(f"{LISTENERS} listeners: {more / 2**20:.0f} MiB")  # noqa: T201
        assert more < 100_000_000
