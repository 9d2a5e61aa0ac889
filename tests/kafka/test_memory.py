"""Memory stays bounded in bytes: large webhooks from while the relay was down are worked off by small processes."""

import os
from base64 import b64encode
from pathlib import Path

import pytest

from domain.hook.request import Request
from domain.log.event import Appended
from domain.run.events import RunRequested
from sql.postgres.pool import connect
from sql.process.clock import new_id, now
from tests.support.broker import Broker, topic_name
from tests.support.builders import ZAP, an_append
from tests.support.deployment import Deployment, deployment
from tests.support.eventually import eventually
from tests.support.stores import patient_store

BODY_BYTES = 5 * 2**20
MOST_MB = 400
"""What each process may take at its peak, however many bodies wait: hundreds would not fit."""


@pytest.mark.parametrize("bodies", [40, pytest.param(2_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(3_600)
async def test_a_backlog_of_large_bodies_does_not_grow_into_memory(dsn: str, broker: Broker, bodies: int) -> None:
    await _append(dsn, bodies)
    async with deployment(dsn, broker.servers, topic_name(), TRIGGERHUB_KAFKA_PARTITIONS="12") as system:
        for role in ("relay", "runner", "projector", "scheduler"):
            await system.start(role)
        await eventually(lambda: _ended(dsn, bodies), 60 + bodies, 0.5)
        peaks = _peaks(system)
        assert peaks.keys() == {"relay", "runner", "projector", "scheduler"}
        assert {role: mb for role, mb in peaks.items() if mb > MOST_MB} == {}
        print(peaks)  # noqa: T201 - for ARCHITECTURE.md


async def _append(dsn: str, bodies: int) -> None:
    """Half of the runs have a deadline that passes at once, so that the scheduler has to do with them, too."""
    async with patient_store(dsn) as store:
        for number in range(bodies):
            run_id, deadline = new_id(), now() if number % 2 else None
            body = b64encode(os.urandom(BODY_BYTES * 3 // 4)).decode()
            requested = RunRequested(
                zap_id=ZAP, zap_version=1, source="webhook", request=Request(body=body), deadline=deadline
            )
            command = an_append(requested, stream_id=run_id, expected=0, due_at=deadline, ordering_key=run_id)
            assert isinstance(await store.append(command), Appended)


async def _ended(dsn: str, wanted: int) -> bool:
    connection = await connect(dsn, "test")
    try:
        if not await connection.fetchval("select to_regclass('rm.run_list') is not null"):
            return False
        ended = "select count(*) from rm.run_list where status in ('failed', 'timed_out')"
        return await connection.fetchval(ended) == wanted  # type: ignore[no-any-return]  # a count
    finally:
        await connection.close()


def _peaks(system: Deployment) -> dict[str, int]:
    """The most memory that each process ever had, in MB."""
    peaks = {}
    for name, pid in system.pids().items():
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        peaks[name.partition("-")[0]] = int(status["VmHWM"].split()[0]) // 1024
    return peaks
