"""What a runner has to do changes under its hands: runs are cancelled, and partitions go to others."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from consumers.runner.runner import Runner
from domain.flow.steps import ActionStep
from domain.log.event import Appended
from domain.log.partitioning import partition_of
from domain.run.events import RunCancelled, RunCompleted, StepSucceeded
from domain.zap.settings import Concurrency, ZapSettings
from tests.support.bench import PARTITIONS, Bench, at_work
from tests.support.broker import Broker
from tests.support.builders import an_append
from tests.support.eventually import eventually
from tests.support.postgres import cloned_database
from tests.support.sink import Sink


@pytest.fixture
async def own_bench(postgres_server: str, broker: Broker) -> AsyncIterator[Bench]:
    """One whose runner's group others may join."""
    async with cloned_database(postgres_server) as dsn, at_work(dsn, broker) as bench:
        yield bench


def _is_handing_over(runner: Runner) -> bool:
    consumer = runner._subscription._consumer
    return bool(consumer._subscription.reassignment_in_progress)


def _is_under_way(bench: Bench, run_id: UUID) -> bool:
    """Whether the owner of a run's partition is carrying it out."""
    partition = partition_of(run_id, PARTITIONS)
    owners = [runner for runner in bench.runners if partition in runner._marks.by_partition]
    return any(run_id in owner._executor._attempts._timers for owner in owners)


async def test_a_run_that_is_cancelled_while_it_waits_for_its_turn_calls_nobody(bench: Bench, sink: Sink) -> None:
    settings = ZapSettings(concurrency=Concurrency(limit=1))
    zap = await bench.publish(ActionStep("step1", "http.request", {"url": sink.url}), settings=settings)
    runner = bench.runners[0]
    release = sink.hold()
    first = await bench.request(zap)
    await eventually(lambda: sink.count == 1)
    second = await bench.request(zap)
    await eventually(lambda: runner._executor._tries._slots._waiting == 1)
    cancelled = await bench.store.append(an_append(RunCancelled(), stream_id=second, expected=1, ordering_key=second))
    assert isinstance(cancelled, Appended)
    mark = runner._marks.by_partition[partition_of(second, PARTITIONS)]
    await eventually(lambda: mark.seen >= cancelled.position)
    release.set()
    await bench.has(first, StepSucceeded, RunCompleted)
    await eventually(lambda: not runner._lanes.is_busy(second))
    assert f"{second}.step1" not in sink.deliveries
    await bench.has(second, RunCancelled)


async def test_whoever_hands_partitions_over_begins_no_other_run_there(own_bench: Bench, sink: Sink) -> None:
    """An action that was begun meanwhile would not be over in time, so that its next owner would repeat it."""
    bench, runner = own_bench, own_bench.runners[0]
    zap = await bench.zap({"url": sink.url})
    await eventually(lambda: runner._tail.leads)
    release = sink.hold()
    early = await bench.request(zap)
    await eventually(lambda: sink.count == 1)
    async with bench.another_runner():
        await eventually(lambda: _is_handing_over(runner))
        runs: list[UUID] = await asyncio.gather(*(bench.request(zap) for _ in range(16)))
        await eventually(lambda: bench.runners[1]._marks.by_partition and not _is_handing_over(runner))
        await eventually(lambda: all(_is_under_way(bench, run_id) for run_id in runs))
        release.set()
        for run_id in [early, *runs]:
            await bench.has(run_id, StepSucceeded, RunCompleted)
    assert {run_id for run_id in runs if len(sink.deliveries[f"{run_id}.step1"]) != 1} == set()


async def test_a_batch_that_was_held_up_takes_no_partition_that_went_meanwhile(
    postgres_server: str, broker: Broker, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever held its mark would never lead again, and have the relay go back to it once the partition returns."""
    monkeypatch.setattr("consumers.runner.runner.MAX_OPEN", 20)
    async with cloned_database(postgres_server) as dsn, at_work(dsn, broker) as bench:
        runner, zap = bench.runners[0], await bench.zap({"url": sink.url})
        await eventually(lambda: runner._tail.leads)
        release = sink.hold()
        runs: list[UUID] = await asyncio.gather(*(bench.request(zap) for _ in range(25)))
        await eventually(lambda: sink.count == len(runs))
        runs += await asyncio.gather(*(bench.request(zap) for _ in range(25)))
        await eventually(lambda: runner._taking._waiters)  # the topic's messages, behind the tail's events
        async with bench.another_runner():
            await eventually(lambda: _is_handing_over(runner))
            await eventually(lambda: bench.runners[1]._marks.by_partition and not _is_handing_over(runner))
            release.set()
            for run_id in runs:
                await bench.has(run_id, StepSucceeded, RunCompleted)
            assert set(runner._marks.by_partition) == runner._subscription.owned()
            await eventually(lambda: runner._tail.leads and bench.runners[1]._tail.leads)
