"""Collects what the checker of invariants looks at, from outside: the log, the topic, the journals, the API."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import psutil
from yarl import URL

from domain.log.event import StoredEvent
from tests.support.broker import topic_messages
from tests.support.eventually import pause
from tests.support.invariants import Evidence, Vitals
from tests.support.system import PARTITIONS, System

# Not the product's query: what is checked must not decide what is looked at.
_WHOLE_LOG = """
    select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
           meta, data
    from es.events order by position
"""
_PAGE = 100
_LOOP_STARTED = "zap.run.loop_started"
_LAG_S = 60.0
_AGAIN_S = 0.5


async def read_log(dsn: str) -> list[StoredEvent]:
    """The whole log, as it is stored."""
    connection = await asyncpg.connect(dsn)
    try:
        return [StoredEvent(*row) for row in await connection.fetch(_WHOLE_LOG)]
    finally:
        await connection.close()


async def collect(system: System, *, servers: str = "", **facts: Any) -> Evidence:
    """All there is to look at; `facts` are fields of Evidence that only the scenario knows.

    `servers`: where the topic can be read without a password, when that is not where the processes read it.
    """
    own_servers, topic = system.topic
    verified = await _verified(system)  # it waits for the read models, so that what follows is complete
    log = await read_log(system.dsn)
    return Evidence(
        log,
        dict(system.acknowledged),
        {key: bodies for sink in system.sinks for key, bodies in sink.deliveries.items()},
        answers=list(system.answers),
        topic=await topic_messages(servers or own_servers, topic, PARTITIONS),
        partitions=PARTITIONS,
        shown={tenant: await _listed(system, token, _parents(log, tenant)) for tenant, token in system.tokens.items()},
        verified=verified,
        after=vitals(system),
        **facts,
    )


async def _verified(system: System) -> tuple[int, str]:
    """Read models that lag get more time: where processes died, the broker may be slow to give partitions away."""
    deadline = time.monotonic() + _LAG_S
    while True:
        code, output = await system.command("verify")
        if "lagging" not in output or time.monotonic() > deadline:
            return code, output
        await pause(_AGAIN_S)


def _parents(log: Iterable[StoredEvent], tenant: UUID) -> list[UUID]:
    """The runs of a tenant that have items, which are listed apart from other runs."""
    return [event.stream_id for event in log if event.type == _LOOP_STARTED and event.tenant_id == tenant]


async def _listed(system: System, token: str, parents: Sequence[UUID]) -> dict[UUID, str]:
    """Every run that the API lists to the owner of a token, with the items of loops."""
    listed: dict[UUID, str] = {}
    for wanted in ("", *(f"&parent={parent}" for parent in parents)):
        cursor = ""
        while True:
            path = f"/api/v1/runs?limit={_PAGE}{wanted}{cursor}"
            page = await system.call("GET", path, Authorization=f"Bearer {token}")
            listed |= {UUID(run["id"]): run["status"] for run in page["items"]}
            if not page["next_cursor"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
    return listed


def vitals(system: System) -> Mapping[str, Vitals]:
    """How the processes are at this moment. Connections to targets, kept for the next action, do not count."""
    targets = {URL(sink.url).port for sink in system.sinks}
    found = {}
    for name, pid in system.pids().items():
        process = psutil.Process(pid)
        # A socket that listens has an empty remote address.
        ports = [c.raddr[1] for c in process.net_connections(kind="tcp") if len(c.raddr)]
        found[name] = Vitals(pid, process.memory_info().rss, sum(port not in targets for port in ports))
    return found
