"""Two of every role on one broker and database, through rebalances, kills and cut networks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from consumers.kafka.subscription import SESSION_MS
from tests.support.broker import APACHE, Broker, topic_name
from tests.support.deployment import ROLES, Deployment, deployment
from tests.support.eventually import eventually
from tests.support.kafka_server import KafkaServer
from tests.support.load import send, under_load
from tests.support.proxy import running_proxy
from tests.support.sink import running_sink

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not APACHE, reason="the embedded broker serves one process per role and keeps nothing"),
]


@asynccontextmanager
async def two_of_each(dsn: str, broker: Broker) -> AsyncIterator[Deployment]:
    async with deployment(dsn, broker.servers, topic_name()) as deployed:
        for role in ROLES:
            await deployed.start(role)
            await deployed.start(role)
        await deployed.ready()
        yield deployed


async def test_consumers_that_come_and_go_lose_and_double_nothing(dsn: str, broker: Broker) -> None:
    async with two_of_each(dsn, broker) as deployed, running_sink() as sink:
        async with under_load(deployed, sink) as load:
            for role in ("runner", "projector", "runner", "projector"):
                extra = await deployed.start(role)
                await deployed.says(extra, f"{role}.assigned")
                await load.more()
                assert await deployed.stop(extra) == 0
                await load.more(100)
        await load.proven()


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_runner_that_dies_without_a_word_holds_up_its_runs_for_its_session(
    dsn: str, broker: Broker, comes_back: bool
) -> None:
    """The broker gives a consumer up six seconds after its last word; one that takes its place waits for that, too."""
    async with two_of_each(dsn, broker) as deployed, running_sink() as sink:
        async with under_load(deployed, sink, senders=2) as load:
            await load.more(100)
            await load.arrived(50)
        runner = next(name for name in deployed.pids() if name.startswith("runner"))
        await (deployed.kill(runner) if comes_back else deployed.lose(runner))
        loop, killed_at = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        enough = sink.count + 60
        await send(deployed, [load.zap], 60)
        await eventually(lambda: sink.count >= enough)
        assert loop.time() - killed_at < 3 * SESSION_MS / 1000
        await load.proven()


async def test_a_standby_relay_takes_over(dsn: str, broker: Broker) -> None:
    async with two_of_each(dsn, broker) as deployed, running_sink() as sink:
        async with under_load(deployed, sink, senders=2) as load:
            await load.more(20)
            await eventually(lambda: sink.count)
            leader = next(name for line in deployed.lines if "relay.leading" in line for name in [line.split()[0]])
            await deployed.stop(leader)
            seen = sink.count
            await eventually(lambda: sink.count > seen + 20)
        await load.proven()


async def test_a_topic_deleted_under_load_is_made_anew_and_consumed_from_its_start(dsn: str, broker: Broker) -> None:
    async with two_of_each(dsn, broker) as deployed, running_sink() as sink:
        async with under_load(deployed, sink, senders=4) as load:
            for _ in range(2):
                await load.more()
                admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
                await admin.start()
                await admin.delete_topics([deployed.environment["TRIGGERHUB_KAFKA_TOPIC"]])
                await admin.close()
                await load.arrived(400)
        await load.proven(topic_lost=True)


async def test_a_killed_broker_comes_back_with_what_it_had(dsn: str, broker: Broker) -> None:
    async with two_of_each(dsn, broker) as deployed, running_sink() as sink:
        async with under_load(deployed, sink) as load:
            await load.more()
            for _ in range(2):
                await broker.kill()
                await load.more(50)
                await broker.start()
                await load.more()
        await load.proven()


@pytest.mark.parametrize("role", ["relay", "runner", "projector"])
async def test_a_role_cut_off_from_the_broker_only_delays(dsn: str, broker: Broker, role: str) -> None:
    """Frozen, not refused: nobody tells either side. Then all its connections break at once."""
    assert isinstance(broker, KafkaServer)
    async with (
        running_proxy(broker.proxy_port, broker.port("PROXIED")) as proxy,
        deployment(dsn, broker.servers, topic_name()) as deployed,
        running_sink() as sink,
    ):
        for name in ROLES:
            through = {"TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": proxy.address} if name == role else {}
            await deployed.start(name, **through)
        await deployed.ready()
        async with under_load(deployed, sink, senders=4) as load:
            await load.more()
            proxy.cut()
            await load.more(400)
            proxy.heal()
            await load.more()
            proxy.reset()
            await load.more()
        await load.proven()
