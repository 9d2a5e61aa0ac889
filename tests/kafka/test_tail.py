"""The log's tail: what it makes quick does not depend on it. What is lost on the way costs a moment, never a run."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from consumers.kafka.tail import PORTION
from domain.flow.steps import ActionStep
from domain.run.events import RunCompleted, StepSucceeded
from domain.zap.settings import Concurrency, ZapSettings
from tests.support.bench import Bench, at_work
from tests.support.broker import Broker, running_broker
from tests.support.eventually import eventually
from tests.support.postgres import cloned_database
from tests.support.sink import Sink

MOMENT_S = 20.0
"""A second, and the rest for a machine that does much else."""
LEADING = "select count(*) from pg_stat_activity where datname = current_database() and application_name = $1"
SILENCE = "create function es.pg_notify(text, text) returns void language sql as 'select'"


@pytest.fixture(scope="module")
async def own_broker() -> AsyncIterator[Broker]:
    """One that the tests here may kill."""
    async with running_broker() as broker:
        yield broker


@pytest.fixture
async def alone(postgres_server: str, own_broker: Broker) -> AsyncIterator[Bench]:
    """A relay, and one runner without a group, as `up` has them; the runner leads."""
    async with (
        cloned_database(postgres_server) as dsn,
        at_work(dsn, own_broker, runner=False) as bench,
        bench.another_runner(alone=True),
    ):
        await eventually(lambda: bench.runners[0]._tail.leads)
        yield bench


@pytest.fixture
def busy(alone: Bench) -> Bench:
    """The same, where the runner reads the topic only once there is much to do, as if it shared the partitions."""
    alone.runners[0]._tail._shares = lambda: True
    return alone


async def _completed(bench: Bench, run_id: UUID, within_s: float = MOMENT_S) -> None:
    await bench.has(run_id, StepSucceeded, RunCompleted, within_s=within_s)


async def test_a_lone_run_needs_no_topic(alone: Bench, own_broker: Broker, sink: Sink) -> None:
    zap = await alone.zap({"url": sink.url})
    await own_broker.kill()
    run_id = await alone.request(zap)
    await _completed(alone, run_id)
    await own_broker.start()


async def test_a_broker_that_loses_everything_meanwhile_delays_for_a_moment_only(
    alone: Bench, own_broker: Broker, sink: Sink
) -> None:
    zap = await alone.zap({"url": sink.url})
    runs = [await alone.request(zap) for _ in range(5)]
    wiping = asyncio.create_task(own_broker.wipe())
    while not wiping.done():
        runs.append(await alone.request(zap))
        await _completed(alone, runs[-1])
    await wiping
    for _ in range(3):
        runs.append(await alone.request(zap))
        await _completed(alone, runs[-1])
    await _each_arrived_once(sink, runs)


async def test_the_topic_is_read_again_after_it_was_made_anew(busy: Bench, own_broker: Broker, sink: Sink) -> None:
    """A consumer that stood at an offset beyond the new topic's end would wait there for ever."""
    zap = await busy.zap({"url": sink.url})
    for run_id in [await busy.request(zap) for _ in range(20)]:
        await _completed(busy, run_id, 20)
    await own_broker.wipe()
    runs = [await busy.request(zap) for _ in range(2 * PORTION)]  # too many for the tail
    for run_id in runs:
        await _completed(busy, run_id, 20)
    await _each_arrived_once(sink, runs)


async def test_a_broker_that_is_wiped_again_and_again_under_load_loses_no_run(
    alone: Bench, own_broker: Broker, sink: Sink
) -> None:
    """Wishes to go back meet a topic that is gone again, and it may be the last message of a partition that is lost."""
    zap = await alone.zap({"url": sink.url})
    runs: list[UUID] = []
    for _ in range(4):
        wiping = asyncio.create_task(own_broker.wipe())
        for _ in range(6):
            runs += await asyncio.gather(*(alone.request(zap) for _ in range(60)))
        await wiping
    for run_id in runs:
        await _completed(alone, run_id, 30)
    await _each_arrived_once(sink, runs)


async def test_a_lost_connection_to_the_log_delays_for_a_moment_only(alone: Bench, sink: Sink) -> None:
    zap = await alone.zap({"url": sink.url})
    for _ in range(3):
        end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        await alone.store.pool.execute(f"{end} and application_name = 'triggerhub tail'")
        run_id = await alone.request(zap)
        await _completed(alone, run_id)


async def test_however_much_there_is_to_do_a_runner_that_has_all_partitions_needs_no_topic(
    alone: Bench, own_broker: Broker, sink: Sink
) -> None:
    """Another tenant's few runs do not wait for relay and broker, whatever others do meanwhile."""
    zap = await alone.zap({"url": sink.url})
    await own_broker.kill()
    runs: list[UUID] = []
    for _ in range(10):
        runs += await asyncio.gather(*(alone.request(zap) for _ in range(PORTION)))
    for run_id in runs:
        await _completed(alone, run_id)
    await own_broker.start()
    runs.append(await alone.request(zap))
    await _completed(alone, runs[-1])
    await _each_arrived_once(sink, runs)


async def test_without_any_notification_runs_are_a_moment_later(
    postgres_server: str, own_broker: Broker, sink: Sink
) -> None:
    async with cloned_database(postgres_server) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(SILENCE)  # es.append finds it before the real one
        await connection.close()
        async with at_work(dsn, own_broker, runner=False) as bench, bench.another_runner(alone=True):
            await eventually(lambda: bench.runners[0]._tail.leads)
            zap = await bench.zap({"url": sink.url})
            runs = [await bench.request(zap)]
            await _completed(bench, runs[0], 20)  # connections are made once
            for _ in range(4):
                runs.append(await bench.request(zap))
                await _completed(bench, runs[-1])
            await own_broker.kill()  # the topic is read slowly, and not what makes up for it
            runs.append(await bench.request(zap))
            await _completed(bench, runs[-1])
            await own_broker.start()
            await _each_arrived_once(sink, runs)


async def test_whoever_leaves_the_tail_has_the_relay_hurry(busy: Bench, sink: Sink) -> None:
    zap = await busy.zap({"url": sink.url})
    hurried = asyncio.Event()
    database = await asyncpg.connect(busy.store.dsn)
    await database.add_listener("relay", lambda *_said: hurried.set())
    await busy.request(zap)
    assert not hurried.is_set()
    await asyncio.gather(*(busy.request(zap) for _ in range(2 * PORTION)))
    await eventually(hurried.is_set)
    await database.close()


@pytest.mark.parametrize("bursts", [(1, 3, 1), (PORTION, 1, 1), (3 * PORTION, 1, 2 * PORTION, 1)])
async def test_what_comes_from_the_log_and_from_the_topic_is_done_once(
    busy: Bench, sink: Sink, bursts: tuple[int, ...]
) -> None:
    """Lone runs come from the tail, bursts from the topic, which also repeats what came from the tail."""
    zap = await busy.zap({"url": sink.url})
    runs: list[UUID] = []
    for size in bursts:
        burst: list[UUID] = []
        while len(burst) < size:
            burst += await asyncio.gather(*(busy.request(zap) for _ in range(min(50, size - len(burst)))))
        runs += burst
        for run_id in burst[:: max(1, size // 10)]:
            await _completed(busy, run_id, 20)
    for run_id in runs:
        await _completed(busy, run_id, 20)
    await _each_arrived_once(sink, runs)


async def test_a_serial_zap_keeps_its_order_between_tail_and_topic(busy: Bench, sink: Sink) -> None:
    settings = ZapSettings(concurrency=Concurrency(mode="serial"))
    zap = await busy.publish(ActionStep("step1", "http.request", {"url": sink.url}), settings=settings)
    runs = [await busy.request(zap)]
    await _completed(busy, runs[0])
    runs += [await busy.request(zap) for _ in range(PORTION)]
    runs.append(await busy.request(zap))
    await _completed(busy, runs[-1], 40)
    assert [UUID(key.partition(".")[0]) for key in sink.deliveries] == runs


async def _each_arrived_once(sink: Sink, runs: list[UUID]) -> None:
    arrived = {key: len(bodies) for key, bodies in sink.deliveries.items()}
    assert {key: count for key, count in arrived.items() if count != 1} == {}
    assert arrived.keys() >= {f"{run_id}.step1" for run_id in runs}
