"""The runner and the scheduler, over a real log, a real broker and a real target."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from consumers.outbound.circuit import FAILURES
from consumers.scheduler.timers import Scheduler
from domain.flow.retry import DEFAULT, JITTER, FixedRetry
from domain.flow.steps import ActionStep
from domain.log.event import Appended, StoredEvent, StreamKind
from domain.run.events import (
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunResumed,
    StepAttemptFailed,
    StepFailed,
    StepSucceeded,
)
from domain.zap.settings import Concurrency, ZapSettings
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries
from sql.process.clock import new_id, now
from tests.support.bench import PARTITIONS, Bench, at_work
from tests.support.broker import Broker
from tests.support.builders import TENANT, an_append
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.projected import tamper
from tests.support.sink import Sink, running_sink


async def test_steps_run_in_order_and_later_ones_see_earlier_outputs(bench: Bench, sink: Sink) -> None:
    zap = await bench.zap(
        {"url": sink.url, "body": {"name": "{{ trigger.body.name }}"}},
        {"url": sink.url, "body": {"status": "{{ steps.step1.output.status }}"}},
    )
    run_id = await bench.request(zap, '{"name": "Ada"}')
    await bench.has(run_id, StepSucceeded, StepSucceeded, RunCompleted)
    assert dict(sink.deliveries) == {f"{run_id}.step1": [b'{"name":"Ada"}'], f"{run_id}.step2": [b'{"status":200}']}


async def test_a_zap_without_steps_completes_at_once(bench: Bench) -> None:
    await bench.has(await bench.request(await bench.zap()), RunCompleted)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_failure_that_may_heal_is_tried_again_when_its_timer_fires(
    bench: Bench, sink: Sink, status: int
) -> None:
    sink.status = status
    run_id = await bench.request(await bench.zap({"url": sink.url}))
    (failed,) = await bench.has(run_id, StepAttemptFailed)
    assert isinstance(failed, StepAttemptFailed)
    delay = (failed.retry_at - failed.started_at).total_seconds() - failed.duration_ms / 1000
    assert DEFAULT.first_s * (1 - JITTER) - 0.1 <= delay <= DEFAULT.first_s * (1 + JITTER) + 0.1
    sink.status = 200
    await bench.scheduler.fire_due(failed.retry_at - timedelta(milliseconds=1))
    assert len(await bench.events(run_id)) == 2
    await bench.fire_timer(run_id)
    await bench.has(run_id, StepAttemptFailed, RunResumed, StepSucceeded, RunCompleted)
    assert len(sink.deliveries[f"{run_id}.step1"]) == 2


async def test_a_run_fails_for_good_when_the_schedule_ends(bench: Bench, sink: Sink) -> None:
    sink.status = 500
    retry = FixedRetry(delays_s=(5.0, 30.0, 120.0))
    step = ActionStep("step1", "http.request", {"url": sink.url}, retry=retry)
    run_id = await bench.request(await bench.publish(step))
    history: list[type[RunEvent]] = []
    for _ in retry.delays_s:
        history.append(StepAttemptFailed)
        await bench.has(run_id, *history)
        await bench.fire_timer(run_id)
        history.append(RunResumed)
    events = await bench.has(run_id, *history, StepFailed, RunFailed)
    attempts = [event.attempt for event in events if isinstance(event, StepAttemptFailed | StepFailed)]
    assert attempts == list(range(1, len(retry.delays_s) + 2))


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
async def test_other_answers_fail_the_run_at_once(bench: Bench, sink: Sink, status: int) -> None:
    sink.status = status
    run_id = await bench.request(await bench.zap({"url": sink.url}))
    events = await bench.has(run_id, StepFailed, RunFailed)
    assert isinstance(events[1], RunFailed)
    assert events[1].code == f"http_{status}"


async def test_a_refused_connection_is_tried_again(bench: Bench) -> None:
    run_id = await bench.request(await bench.zap({"url": "http://127.0.0.1:9/"}))
    (failed,) = await bench.has(run_id, StepAttemptFailed)
    assert isinstance(failed, StepAttemptFailed)
    assert failed.failure.code == "connect"


async def test_a_target_that_hangs_is_given_up_at_the_time_limit(bench: Bench, sink: Sink) -> None:
    sink.delay_s = 30
    run_id = await bench.request(await bench.zap({"url": sink.url, "timeout_s": 0.3}))
    (failed,) = await bench.has(run_id, StepAttemptFailed)
    assert isinstance(failed, StepAttemptFailed)
    assert failed.failure.code == "timeout"


async def test_an_internal_address_is_refused_for_good(bench: Bench) -> None:
    run_id = await bench.request(await bench.zap({"url": "http://169.254.169.254/latest/meta-data"}))
    events = await bench.has(run_id, StepFailed, RunFailed)
    assert isinstance(events[1], RunFailed)
    assert events[1].code == "address_refused"


async def test_a_missing_path_fails_the_run_and_is_named(bench: Bench, sink: Sink) -> None:
    run_id = await bench.request(await bench.zap({"url": sink.url, "body": {"x": "{{ trigger.body.nope }}"}}))
    events = await bench.has(run_id, StepFailed, RunFailed)
    assert isinstance(events[1], RunFailed)
    assert "trigger.body.nope" in events[1].message
    assert sink.count == 0


async def test_a_run_that_is_being_read_holds_up_no_other(
    dsn: str, broker: Broker, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands wake at once where delays end together; a webhook that comes then does not wait for them."""
    sink.status = 500
    reading, go_on = asyncio.Event(), asyncio.Event()
    read = PgEventStore.read_streams

    async def slowly(
        store: PgEventStore, kind: StreamKind, stream_ids: Sequence[UUID]
    ) -> dict[UUID, list[StoredEvent]]:
        reading.set()
        await go_on.wait()
        return await read(store, kind, stream_ids)

    async with at_work(dsn, broker) as bench:
        zap = await bench.zap({"url": sink.url})
        slow = await bench.request(zap)
        await bench.has(slow, StepAttemptFailed)
        sink.status = 200
        monkeypatch.setattr(PgEventStore, "read_streams", slowly)
        await bench.fire_timer(slow)
        try:
            await asyncio.wait_for(reading.wait(), PATIENCE_S)
            await bench.has(await bench.request(zap), StepSucceeded, RunCompleted)
        finally:
            go_on.set()
        await bench.has(slow, StepAttemptFailed, RunResumed, StepSucceeded, RunCompleted)


async def test_a_payload_that_travels_by_reference_is_run(bench: Bench, sink: Sink) -> None:
    text = "x" * 300_000
    run_id = await bench.request(
        await bench.zap({"url": sink.url, "body": {"t": "{{ trigger.body.t }}"}}), f'{{"t":"{text}"}}'
    )
    await bench.has(run_id, StepSucceeded, RunCompleted)
    assert len(sink.deliveries[f"{run_id}.step1"][0]) > 300_000


async def test_messages_that_come_again_do_nothing_again(bench: Bench, sink: Sink) -> None:
    zap = await bench.zap({"url": sink.url})
    runs = [await bench.request(zap) for _ in range(20)]
    for run_id in runs:
        await bench.has(run_id, StepSucceeded, RunCompleted)
    await bench.store.pool.execute(Queries("queries/relay.sql")["ask_rewind"], 0)
    last = await bench.request(zap)
    await bench.has(last, StepSucceeded, RunCompleted)
    await eventually(lambda: bench.store.pool.fetchval("select rewind_to is null from relay.checkpoint"))
    after = await bench.request(zap)
    await bench.has(after, StepSucceeded, RunCompleted)
    assert sink.count == 22


async def test_a_new_runner_folds_what_was_done_and_repeats_nothing(dsn: str, broker: Broker, sink: Sink) -> None:
    async with at_work(dsn, broker) as first:
        zap = await first.zap({"url": sink.url})
        runs = [await first.request(zap) for _ in range(10)]
        for run_id in runs:
            await first.has(run_id, StepSucceeded, RunCompleted)
    connection = await asyncpg.connect(dsn)
    await connection.execute("delete from proj.gates")
    await connection.execute("update relay.checkpoint set position = 0, offsets = '{}'")
    await connection.close()
    async with at_work(dsn, broker) as second:
        run_id = await second.request(zap)
        await second.has(run_id, StepSucceeded, RunCompleted)
    assert sink.count == 11


async def test_a_zap_whose_target_hangs_does_not_delay_another(bench: Bench, sink: Sink) -> None:
    async with running_sink() as hanging:
        release = hanging.hold()
        stuck = await bench.zap({"url": hanging.url, "timeout_s": 100})
        for _ in range(300):
            await bench.request(stuck)
        await eventually(lambda: hanging.count >= 100)
        healthy = await bench.zap({"url": sink.url})
        run_id = await bench.request(healthy)
        await bench.has(run_id, StepSucceeded, RunCompleted)
        release.set()


async def test_payloads_of_one_tenant_leave_room_for_those_of_another(bench: Bench, sink: Sink) -> None:
    body = '{"text": "%s"}' % ("x" * 250_000)
    async with running_sink() as hanging:
        release = hanging.hold()
        stuck = [await bench.zap({"url": hanging.url, "timeout_s": 100}) for _ in range(3)]
        for number in range(210):  # 52 MB, for which there is no room
            await bench.request(stuck[number % 3], body)
        await eventually(lambda: hanging.count >= 60)
        healthy = await bench.zap({"url": sink.url})
        run_id = await bench.request(healthy, body, new_id())
        await bench.has(run_id, StepSucceeded, RunCompleted)
        release.set()


async def test_timers_that_several_schedulers_see_fire_once(bench: Bench, sink: Sink) -> None:
    sink.status = 500
    zap = await bench.zap({"url": sink.url})
    runs = [await bench.request(zap) for _ in range(FAILURES - 1)]  # one more would open the target's circuit
    for run_id in runs:
        await bench.has(run_id, StepAttemptFailed)
    sink.status = 200
    later = now() + timedelta(minutes=1)
    schedulers = [Scheduler(bench.store) for _ in range(4)]
    waiting = "select count(*) from es.timers where stream_id = any($1::uuid[])"
    while await bench.store.pool.fetchval(waiting, runs):
        await asyncio.gather(*(scheduler.fire_due(later) for scheduler in schedulers))
    for run_id in runs:
        await bench.has(run_id, StepAttemptFailed, RunResumed, StepSucceeded, RunCompleted)


async def test_two_runners_share_the_work_and_survive_each_other(dsn: str, broker: Broker, sink: Sink) -> None:
    async with at_work(dsn, broker) as bench:
        zap = await bench.zap({"url": sink.url})
        runs: list[UUID] = [await bench.request(zap) for _ in range(20)]
        async with bench.another_runner():
            for _ in range(10):
                runs += await asyncio.gather(*(bench.request(zap) for _ in range(20)))
        runs += await asyncio.gather(*(bench.request(zap) for _ in range(20)))
        await _all_completed(bench, runs)
    assert all(len(set(bodies)) == 1 for bodies in sink.deliveries.values())


async def _all_completed(bench: Bench, runs: Sequence[UUID]) -> None:
    async def so() -> bool:
        streams = await bench.store.read_streams(StreamKind.RUN, list(runs))
        return all(events[-1].type == "zap.run.completed" for events in streams.values())

    await eventually(so, interval_s=0.1)
    for run_id in runs:
        assert [type(event) for event in (await bench.events(run_id))[1:]] == [StepSucceeded, RunCompleted]


async def test_foreign_bytes_in_the_topic_are_passed_over(bench: Bench, broker: Broker, sink: Sink) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.servers)
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            for garbage in (b"", b"{", b"\xff\xfe", b'{"type":1}', b'{"type":"x","position":"y","previous":"0"}'):
                await producer.send_and_wait(bench.topic, garbage, partition=partition)
    finally:
        await producer.stop()
    zap = await bench.zap({"url": sink.url})
    for run_id in [await bench.request(zap) for _ in range(20)]:
        await bench.has(run_id, StepSucceeded, RunCompleted)
    assert sink.count == 20


async def test_an_unreadable_run_does_not_hold_up_others(bench: Bench, sink: Sink) -> None:
    zap = await bench.zap({"url": sink.url})
    unreadable = await bench.request(zap)
    await bench.has(unreadable, StepSucceeded, RunCompleted)
    async with bench.store.pool.acquire() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("update es.events set schema_version = 99 where stream_id = $1", unreadable)
        await connection.execute("set session_replication_role = origin")
    await bench.store.pool.execute(Queries("queries/relay.sql")["ask_rewind"], 0)
    for run_id in [await bench.request(zap) for _ in range(5)]:
        await bench.has(run_id, StepSucceeded, RunCompleted)


async def test_an_unreadable_end_does_not_hold_up_others(bench: Bench, sink: Sink) -> None:
    zap = await bench.zap({"url": sink.url})
    ended = await bench.request(zap)
    await bench.has(ended, StepSucceeded, RunCompleted)
    at = [int(StreamKind.RUN)], [ended], [3], [TENANT], [ended], [None], [None], [None]
    event = [1], [new_id()], ["zap.run.cancelled"], [1], [b"{}"], [b'{"code":1'], [bytes(32)], [None]
    (row,) = await bench.store.pool.fetch(Queries("queries/events.sql")["append"], *at, *event, [None])
    assert row["outcome"] == 0
    for run_id in [await bench.request(zap) for _ in range(5)]:
        await bench.has(run_id, StepSucceeded, RunCompleted)


async def test_a_batch_that_fails_unexpectedly_comes_again(
    bench: Bench, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    zap = await bench.zap({"url": sink.url})
    failed = asyncio.Event()

    def fail(*_: object) -> None:
        failed.set()
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr("consumers.runner.wake_ups.fold", fail)
        run_id = await bench.request(zap)
        await asyncio.wait_for(failed.wait(), 60)
    await bench.has(run_id, StepSucceeded, RunCompleted)


async def test_an_answer_that_is_no_unicode_is_recorded_all_the_same(bench: Bench) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 3\r\n\r\n\xff\xfe\x00")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        run_id = await bench.request(await bench.zap({"url": f"http://127.0.0.1:{port}/"}))
        await bench.has(run_id, StepSucceeded, RunCompleted)


async def test_a_run_that_breaks_its_runner_is_tried_again(
    bench: Bench, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    def fail(*_: object) -> None:
        failed.set()
        raise RuntimeError("a bug")

    serial = ZapSettings(concurrency=Concurrency(mode="serial"))
    step = ActionStep("step1", "http.request", {"url": sink.url})
    for settings in (ZapSettings(), serial):
        zap = await bench.publish(step, settings=settings)
        with monkeypatch.context() as patched:
            patched.setattr("consumers.runner.serial_runs.STUCK_S", 0.2)
            patched.setattr("consumers.runner.executor.stands", fail)
            failed.clear()
            run_id = await bench.request(zap)
            await asyncio.wait_for(failed.wait(), 60)
        await bench.has(run_id, StepSucceeded, RunCompleted)


PUBLISHED = "select position >= $1 from relay.checkpoint"
PASSED = "select count(*) = $2 from proj.gates where consumer = 'runner' and position > $1"


async def test_a_run_that_has_left_the_log_keeps_no_message_open(dsn: str, broker: Broker, sink: Sink) -> None:
    """It was cancelled while no runner lived, and its time was over before one came."""
    async with at_work(dsn, broker, runner=False) as bench:
        serial = ZapSettings(concurrency=Concurrency(mode="serial"))
        step = ActionStep("send", "http.request", {"url": sink.url})
        zaps = [await bench.publish(step), await bench.publish(step, settings=serial)]
        for zap in zaps:
            run_id = await bench.request(zap)
            stream = await bench.store.read_stream(StreamKind.RUN, run_id)
            end = RunCancelled(parent=new_id())
            cancelled = an_append(end, stream_id=run_id, expected=1, ordering_key=stream[0].ordering_key)
            assert isinstance(await bench.store.append(cancelled), Appended)
            await eventually(partial(bench.store.pool.fetchval, PUBLISHED, await bench.store.head()))
            await tamper(dsn, f"delete from es.events where stream_id = '{run_id}'")
        head = await bench.store.head()
        async with bench.another_runner():
            for zap in zaps:
                await bench.has(await bench.request(zap), StepSucceeded, RunCompleted)
            await eventually(partial(bench.store.pool.fetchval, PASSED, head, PARTITIONS), 20.0)
