"""Minutes of load on two of every role while broker, database and roles are SIGKILLed at random.

`make soak` runs it; MINUTES and SEED say for how long, and which kills.
"""

import os
import random
import secrets
import time
from collections import Counter

import pytest

from sql.postgres.migrate import migrate
from tests.support.broker import topic_name
from tests.support.deployment import ROLES, Deployment, deployment
from tests.support.eventually import eventually
from tests.support.kafka_server import KafkaServer, running_kafka
from tests.support.load import Load, under_load
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.sink import running_sink

MINUTES = float(os.environ.get("TRIGGERHUB_SOAK_MINUTES") or 5)
SEED = int(os.environ.get("TRIGGERHUB_SOAK_SEED") or secrets.randbelow(10**9))
BETWEEN_KILLS = 300
"""Webhooks that have to be acknowledged after a kill before the next one."""


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 + 600)
async def test_nothing_is_lost_or_doubled_in_minutes_of_kills() -> None:
    print(f"\nseed {SEED}, {MINUTES} minutes")  # noqa: T201
    async with running_postgres() as postgres, running_kafka() as kafka, running_sink() as sink:
        dsn = postgres.dsn.format("triggerhub")
        await migrate(dsn)
        async with deployment(dsn, kafka.servers, topic_name()) as deployed:
            for role in ROLES * 2:
                await deployed.start(role)
            await deployed.ready()
            async with under_load(deployed, sink, pause_s=0.02) as load:
                kills = await _kill_at_random(deployed, kafka, postgres, load)
            await load.proven(180)
            print(f"{len(load.acknowledged)} runs, {sink.count} deliveries, kills: {dict(kills)}")  # noqa: T201


async def _kill_at_random(
    deployed: Deployment, kafka: KafkaServer, postgres: PostgresServer, load: Load
) -> Counter[str]:
    chance = random.Random(SEED)
    until = time.monotonic() + MINUTES * 60
    kills: Counter[str] = Counter()
    while time.monotonic() < until:
        victim = chance.choice(["broker", "postgres", *sorted(deployed.pids())])
        kills[victim.split("-")[0]] += 1
        if victim == "broker":
            await kafka.kill()
            await kafka.start()
        elif victim == "postgres":
            await postgres.kill()
            await postgres.start()
        else:
            await deployed.kill(victim)
        await load.more(BETWEEN_KILLS, 60)
        delivered = len(load.acknowledged) // 2
        await eventually(lambda: len(load.sink.deliveries) >= delivered, 60)  # noqa: B023 - awaited right here
    return kills
