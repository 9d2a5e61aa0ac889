"""What a runner has to do changes under its hands: runs are cancelled before their turn."""

from domain.flow.steps import ActionStep
from domain.log.event import Appended
from domain.log.partitioning import partition_of
from domain.run.events import RunCancelled, RunCompleted, StepSucceeded
from domain.zap.settings import Concurrency, ZapSettings
from tests.support.bench import PARTITIONS, Bench
from tests.support.builders import an_append
from tests.support.eventually import eventually
from tests.support.sink import Sink


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
