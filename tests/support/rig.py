"""A TriggerHub with a database and a broker of its own, in which tests break one thing after the other."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from app.config.data_dir import free_ports
from sql.postgres.migrate import migrate
from sql.process.crash_points import EXIT_CODE, POINTS
from tests.support.broker import APACHE, Broker, running_broker, topic_name
from tests.support.deployment import ROLES, Deployment, deployment
from tests.support.eventually import PATIENCE_S
from tests.support.load import proven
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.proxy import Proxy, running_proxy
from tests.support.sink import Sink, running_sink

_ELSEWHERE = ("_callback", "_token", ".archive_")
"""In crash points that have tests of their own, as it takes more than webhooks to pass them."""


class Rig:
    """One process of each role. `names`: the process of a role."""

    def __init__(self, postgres: PostgresServer, broker: Broker, system: Deployment, names: dict[str, str]) -> None:
        self.postgres = postgres
        self.broker = broker
        self.system = system
        self.names = names
        self.topic_lost = False

    async def crash(self, *specs: str) -> None:
        """Have the process of a role die at each of these points, one after the other, and then live."""
        name = self.names[specs[0].partition(".")[0]]
        for spec in specs:
            await self.system.restart(name, TRIGGERHUB_CRASH_AT=spec)
            assert await self.system.ended(name) == EXIT_CODE, spec
        await self.system.restart(name)

    async def restart_database(self, how: int) -> None:
        """End PostgreSQL by a signal (SIGINT: fast, SIGQUIT: immediate, SIGKILL) and start it again."""
        await self.postgres.kill(how)
        await self.postgres.start()

    async def freeze(self, role: str, seconds: float) -> None:
        """A process stands still, as a paused machine does, and goes on as if nothing had happened."""
        pid = self.system.pids()[self.names[role]]
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def database_through_a_proxy(self) -> AsyncIterator[Proxy]:
        """Every role talks to the database through a proxy; what the checker reads does not go there."""
        url = urlsplit(self.system.dsn)
        port = next(free_ports())
        through = {
            "TRIGGERHUB_DATABASE_URL": url._replace(netloc=url.netloc.replace(str(url.port), str(port))).geturl()
        }
        async with running_proxy(port, url.port or 5432) as proxy:
            await asyncio.gather(*(self.system.restart(name, **through) for name in self.names.values()))
            await self.system.ready()
            yield proxy
            await asyncio.gather(*(self.system.restart(name) for name in self.names.values()))
            await self.system.ready()

    async def start_broker(self) -> None:
        """After a kill; the embedded broker comes back empty."""
        await self.broker.start()
        self.topic_lost = self.topic_lost or not APACHE

    @asynccontextmanager
    async def sink(self) -> AsyncIterator[Sink]:
        """A target whose journal is part of the evidence."""
        async with running_sink() as sink:
            self.system.sinks.append(sink)
            yield sink

    async def proven(self, within_s: float = PATIENCE_S, **facts: Any) -> None:
        """All runs so far have ended, and all invariants hold: of this scenario and of those before it."""
        try:
            await proven(self.system, within_s, topic_lost=self.topic_lost, **facts)
        except AssertionError:
            sys.stderr.write("\n".join(self.system.lines[-300:]) + "\n")
            raise


def points_of(role: str) -> list[str]:
    """The crash points of a role that the load of these tests passes."""
    return [point for point in POINTS if point.startswith(f"{role}.") and not any(word in point for word in _ELSEWHERE)]


@asynccontextmanager
async def running_rig() -> AsyncIterator[Rig]:
    """Everything started, and a user signed up."""
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        broker = await stack.enter_async_context(running_broker())
        dsn = postgres.dsn.format("triggerhub")
        await migrate(dsn)
        system = await stack.enter_async_context(deployment(dsn, broker.servers, topic_name()))
        names = {role: await system.start(role) for role in ROLES}
        await system.ready()
        await system.says(names["runner"], "role.ready")
        await system.sign_up()
        yield Rig(postgres, broker, system, names)
