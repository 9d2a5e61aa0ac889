"""Loops in real runs: each item is a run of its own, and the run that waits for them goes on once all have ended."""

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from consumers.runner.shares import room
from domain.aggregates import RUN, ZAP
from domain.flow.retry import FixedRetry
from domain.flow.steps import (
    ActionStep,
    Branch,
    FilterStep,
    ForEachStep,
    PathsStep,
    ReturnStep,
    SetStep,
    Step,
    StopStep,
    Tolerate,
)
from domain.log.event import Appended, Metadata, StreamKind
from domain.log.stream import handle, load
from domain.run.children import ChildIds, LoopFinished, LoopStarted
from domain.run.decide import stop
from domain.run.events import (
    RunCancelled,
    RunCompleted,
    RunFailed,
    StepAttemptFailed,
    StepFailed,
    StepSucceeded,
)
from domain.run.replay import Replay, replay_append
from domain.values.json import Json, JsonObject
from domain.zap.settings import Concurrency, ZapSettings
from sql.process.clock import new_id
from tests.support.bench import Bench, at_work
from tests.support.broker import Broker
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.sink import Sink, fail, held


async def missing(_request: web.Request) -> web.StreamResponse:
    """An answer for which nothing is tried again."""
    return web.Response(status=404)


def call(sink: Sink, step_id: str, body: str = "x") -> ActionStep:
    return ActionStep(step_id, "http.request", {"url": sink.url, "body": body}, retry=FixedRetry())


def each(*steps: Step, items: Json = "{{ trigger.body.list }}", **fields: object) -> ForEachStep:
    return ForEachStep("each", items, steps, **fields)  # type: ignore[arg-type]


def body(*items: Json) -> str:
    return msgspec.json.encode({"list": items}).decode()


async def outcome(bench: Bench, run: UUID, within_s: float = PATIENCE_S) -> StepSucceeded | StepFailed:
    """What comes of the loop, once the run has ended."""
    found: list[StepSucceeded | StepFailed] = []

    async def so() -> bool:
        events = await bench.events(run)
        found[:] = [e for e in events if isinstance(e, StepSucceeded | StepFailed) and e.step_id == "each"]
        return isinstance(events[-1], RunCompleted | RunFailed | RunCancelled)

    await eventually(so, within_s)
    return found[0]


def output_of(event: StepSucceeded | StepFailed) -> JsonObject:
    output = event.output if isinstance(event, StepSucceeded) else event.failure.output
    assert isinstance(output, dict)
    return output


async def test_each_item_is_done_once_and_the_output_lists_them_in_order(bench: Bench, sink: Sink) -> None:
    loop = each(
        SetStep("twice", {"n": "{{ item.n | times: 2 }}"}),
        call(
            sink,
            "send",
            "{{ loop.index }}/{{ loop.count }} {{ item.n }} {{ trigger.body.of }} {{ steps.before.output.a }}",
        ),
        order="parallel",
        limit=3,
        result="{{ steps.twice.output.n }}",
    )
    zap = await bench.publish(
        SetStep("before", {"a": "b"}), loop, call(sink, "after", "{{ steps.each.output.succeeded }}")
    )
    run = await bench.request(zap, msgspec.json.encode({"list": [{"n": n} for n in range(10)], "of": "x"}).decode())
    events = await bench.has(run, StepSucceeded, LoopStarted, LoopFinished, StepSucceeded, StepSucceeded, RunCompleted)
    assert isinstance(events[3], StepSucceeded)
    assert events[3].output == {
        "count": 10, "succeeded": 10, "failed": 0, "filtered": 0, "cancelled": 0,
        "items": [{"index": n, "status": "completed", "result": str(2 * n)} for n in range(10)],
    }  # fmt: skip
    ids = ChildIds(run, "each")
    expected = {f"{ids.of(n)}.send": [f"{n}/10 {n} x b".encode()] for n in range(10)}
    assert sink.deliveries == {**expected, f"{run}.after": [b"10"]}


async def test_one_after_the_other_in_order(bench: Bench, sink: Sink) -> None:
    run = await bench.request(await bench.publish(each(call(sink, "send", "{{ item }}"))), body(*range(12)))
    await outcome(bench, run)
    assert [bodies[0] for bodies in sink.deliveries.values()] == [str(n).encode() for n in range(12)]


async def test_a_loop_over_nothing_is_over_at_once(bench: Bench, sink: Sink) -> None:
    run = await bench.request(await bench.publish(each(call(sink, "send"))), body())
    await bench.has(run, LoopStarted, LoopFinished, StepSucceeded, RunCompleted)


async def test_what_is_no_list_or_too_long_fails_before_the_first_item(bench: Bench, sink: Sink) -> None:
    zap = await bench.publish(each(call(sink, "send"), max_items=2))
    for given, code in [
        (body(1, 2, 3), "loop_too_long"),
        ('{"list": "a,b"}', "loop_not_a_list"),
        ('{"list": null}', "loop_not_a_list"),
    ]:
        failed, end = await bench.has(await bench.request(zap, given), StepFailed, RunFailed)
        assert isinstance(failed, StepFailed)
        assert failed.failure.code == code
        assert end == RunFailed(zap_id=zap, step_id="each", code=code, message=failed.failure.message)
    assert not sink.deliveries


async def test_a_false_filter_ends_its_item_only(bench: Bench, sink: Sink) -> None:
    odd = FilterStep("odd", {"field": "item", "operator": "in", "value": [1, 3]})
    run = await bench.request(await bench.publish(each(odd, call(sink, "send", "{{ item }}"))), body(1, 2, 3))
    output = output_of(await outcome(bench, run))
    assert (output["succeeded"], output["filtered"]) == (2, 1)
    assert [bodies[0] for bodies in sink.deliveries.values()] == [b"1", b"3"]


TO_ITEM = ActionStep("send", "http.request", {"url": "{{ item }}"}, retry=FixedRetry())
"""Fails for an item that is no URL."""


async def test_a_failure_stops_the_loop_and_the_others_are_never_begun(bench: Bench, sink: Sink) -> None:
    run = await bench.request(await bench.publish(each(TO_ITEM)), body(sink.url, "nowhere", sink.url, sink.url))
    failed = await outcome(bench, run)
    assert isinstance(failed, StepFailed)
    assert failed.failure.code == "loop_failures_exceeded"
    output = output_of(failed)
    assert [output[name] for name in ("count", "succeeded", "failed", "cancelled")] == [4, 1, 1, 2]
    failures = output["failures"]
    assert isinstance(failures, list)
    assert [failure["index"] for failure in failures if isinstance(failure, dict)] == [1]


async def test_with_continue_the_others_go_on_and_the_output_tells(bench: Bench, sink: Sink) -> None:
    loop = each(TO_ITEM, on_item_error="continue", result="ok")
    run = await bench.request(await bench.publish(loop, call(sink, "after")), body(sink.url, "nowhere", sink.url))
    output = output_of(await outcome(bench, run))
    items = output["items"]
    assert isinstance(items, list)
    assert [item["status"] for item in items if isinstance(item, dict)] == ["completed", "failed", "completed"]
    assert isinstance(items[1], dict)
    assert isinstance(items[1]["error"], dict)
    assert f"{run}.after" in sink.deliveries


async def test_so_many_may_fail(bench: Bench, sink: Sink) -> None:
    loop = each(TO_ITEM, on_item_error="continue", tolerate=Tolerate(count=1))
    zap = await bench.publish(loop)
    fine = await bench.request(zap, body("nowhere", sink.url))
    broken = await bench.request(zap, body("nowhere", sink.url, "nowhere"))
    assert isinstance(await outcome(bench, fine), StepSucceeded)
    failed = await outcome(bench, broken)
    assert isinstance(failed, StepFailed)
    assert output_of(failed)["failed"] == 2


async def test_a_stop_in_an_item_ends_the_whole_run(bench: Bench, sink: Sink) -> None:
    halt = StopStep("halt", "failed", "no {{ item }}")
    loop = each(FilterStep("f", {"field": "item", "operator": "equals", "value": 2}), halt)
    zap = await bench.publish(loop, call(sink, "after"))
    run = await bench.request(zap, body(1, 2, 3))
    _, end = await bench.has(run, LoopStarted, RunFailed)
    assert end == RunFailed(zap_id=zap, step_id="halt", code="stopped", message="no 2", orphans=True)


async def test_a_return_in_an_item_gives_the_value_of_the_whole_run(bench: Bench) -> None:
    zap = await bench.publish(each(ReturnStep("answer", {"n": "{{ item }}"})))
    _, end = await bench.has(await bench.request(zap, body(7, 8)), LoopStarted, RunCompleted)
    assert end == RunCompleted(zap_id=zap, step_id="answer", returned=True, result={"n": 7}, orphans=True)


async def test_loops_in_loops_see_the_items_around_them(bench: Bench, sink: Sink) -> None:
    inner = ForEachStep(
        "inner",
        "{{ item.inner }}",
        (call(sink, "send", "{{ loop.parent.index }}.{{ loop.index }} {{ loop.parent.item.name }} {{ item }}"),),
        order="parallel",
        result="{{ item }}",
    )
    run = await bench.request(
        await bench.publish(each(inner, result="{{ steps.inner.output.succeeded }}")),
        body({"name": "a", "inner": [1, 2]}, {"name": "b", "inner": [3]}),
    )
    output = output_of(await outcome(bench, run))
    assert output["items"] == [
        {"index": 0, "status": "completed", "result": 2},
        {"index": 1, "status": "completed", "result": 1},
    ]
    assert sorted(bodies[0] for bodies in sink.deliveries.values()) == [b"0.0 a 1", b"0.1 a 2", b"1.0 b 3"]


async def test_items_of_a_serial_zap_do_not_wait_for_their_own_run(bench: Bench, sink: Sink) -> None:
    settings = ZapSettings(concurrency=Concurrency(mode="serial"))
    zap = await bench.publish(each(call(sink, "send", "{{ item }}"), order="parallel"), settings=settings)
    first, second = await bench.request(zap, body(1, 2, 3)), await bench.request(zap, body(4))
    await outcome(bench, first)
    await outcome(bench, second)
    assert list(sink.deliveries)[-1] == f"{ChildIds(second, 'each').of(0)}.send"


async def test_a_limit_of_one_action_does_not_block_a_loop(bench: Bench, sink: Sink) -> None:
    settings = ZapSettings(concurrency=Concurrency(limit=1))
    zap = await bench.publish(each(call(sink, "send"), order="parallel", limit=5), settings=settings)
    runs = [await bench.request(zap, body(*range(8))) for _ in range(3)]
    for run in runs:
        assert isinstance(await outcome(bench, run), StepSucceeded)


async def test_a_long_list_is_cut_and_says_where_there_is_more(bench: Bench) -> None:
    loop = each(SetStep("s", {"x": "{{ item }}"}), order="parallel", limit=50, result="{{ item }}")
    run = await bench.request(await bench.publish(loop), body(*["x" * 1000] * 400))
    output = output_of(await outcome(bench, run))
    items = output["items"]
    assert isinstance(items, list)
    assert 200 < len(items) < 270
    assert output["result_ref"] == f"/api/v1/runs/{run}/items?step=each"
    assert output["succeeded"] == 400
    stored = await bench.store.read_stream(StreamKind.RUN, run)
    assert len(stored) < 10


async def again(bench: Bench, run: UUID, wish: Replay) -> UUID:
    loaded = await load(bench.store, RUN, run)
    zap = await load(bench.store, ZAP, loaded.state.requested.zap_id) if loaded else None
    assert loaded is not None
    assert zap is not None
    append = replay_append(loaded, zap.state, wish, new_id=new_id, metadata=Metadata(actor="test"))
    assert isinstance(await bench.store.append(append), Appended)
    return append.stream_id


async def test_a_replay_does_only_those_items_again_that_failed(bench: Bench, sink: Sink) -> None:
    """Also a replay of the replay: what succeeded in any of them stands."""
    zap = await bench.publish(
        each(call(sink, "send", "{{ item }}"), on_item_error="continue", tolerate=Tolerate(count=0))
    )
    run = await bench.request(zap, body(*range(20)))
    done: list[bytes] = []
    for share in (0.6, 0.4, 0.0):
        sink.fault, sink.share = (missing if share else None), share
        sink.deliveries.clear()
        found = await outcome(bench, run)
        done += [bodies[0] for key, bodies in sink.deliveries.items() if not sink._is_chosen(key)]
        output = output_of(found)
        assert output["succeeded"] == len(done)
        if isinstance(found, StepFailed):
            run = await again(bench, run, Replay(from_step="each"))
    assert sorted(done) == sorted(str(n).encode() for n in range(20))
    assert isinstance(found, StepSucceeded)
    items = output_of(found)["items"]
    assert isinstance(items, list)
    assert [item["status"] for item in items if isinstance(item, dict)] == ["completed"] * 20


async def test_an_item_is_replayed_alone_and_sees_what_it_saw(bench: Bench, sink: Sink) -> None:
    send = call(sink, "send", "{{ item }} of {{ trigger.body.list.size }}")
    run = await bench.request(await bench.publish(each(send), call(sink, "after")), body("a", "b"))
    await outcome(bench, run)
    replayed = await again(bench, ChildIds(run, "each").of(1), Replay())
    await bench.has(replayed, StepSucceeded, RunCompleted)
    assert sink.deliveries[f"{replayed}.send"] == [b"b of 2"]
    other = await again(bench, ChildIds(run, "each").of(1), Replay(payload="c"))
    await bench.has(other, StepSucceeded, RunCompleted)
    assert sink.deliveries[f"{other}.send"] == [b"c of 2"]


async def cancel(bench: Bench, run: UUID) -> None:
    """As the API does."""
    loaded = await load(bench.store, RUN, run)
    assert loaded is not None
    await handle(bench.store, new_id, loaded, stop, Metadata(actor="test"))


async def test_a_cancelled_run_takes_its_items_along(bench: Bench, sink: Sink) -> None:
    sink.fault = held(asyncio.Event())
    run = await bench.request(await bench.publish(each(call(sink, "send"), order="parallel", limit=4)), body(*range(9)))
    await eventually(lambda: sink.count == 4)
    await cancel(bench, run)
    for index in range(4):
        await bench.has(ChildIds(run, "each").of(index), RunCancelled)
    assert not await bench.store.read_stream(StreamKind.RUN, ChildIds(run, "each").of(4))


async def test_a_quick_item_takes_one_append(bench: Bench, sink: Sink) -> None:
    """But for those with which the loop begins: their run is carried on only once they are in the log."""
    run = await bench.request(await bench.publish(each(call(sink, "send"))), body(*range(5)))
    await outcome(bench, run)
    for index in range(1, 5):
        events = await bench.store.read_stream(StreamKind.RUN, ChildIds(run, "each").of(index))
        assert [event.type for event in events] == ["zap.run.requested", "zap.run.step_succeeded", "zap.run.completed"]
        assert len({event.recorded_at for event in events}) == 1


async def test_a_slow_item_is_seen_and_cancelled_also_before_its_first_outcome(bench: Bench, sink: Sink) -> None:
    async def third_hangs(request: web.Request) -> web.StreamResponse:
        return await held(asyncio.Event())(request) if await request.read() == b"2" else web.Response()

    sink.fault = third_hangs
    run = await bench.request(await bench.publish(each(call(sink, "send", "{{ item }}"))), body(*range(4)))
    slow = ChildIds(run, "each").of(2)

    async def is_there() -> bool:
        return bool(await bench.store.read_stream(StreamKind.RUN, slow))

    await eventually(lambda: len(sink.deliveries[f"{slow}.send"]) == 1)
    await eventually(is_there)
    await cancel(bench, slow)
    await bench.has(slow, RunCancelled)
    output = output_of(await outcome(bench, run))
    assert (output["succeeded"], output["cancelled"]) == (3, 1)


async def test_a_cancelled_item_is_counted_and_the_loop_goes_on(bench: Bench, sink: Sink) -> None:
    sink.fault = held(asyncio.Event())
    sink.spoiled, run = 1, await bench.request(await bench.publish(each(call(sink, "send"))), body(1, 2))
    await eventually(lambda: sink.count == 1)
    sink.fault = None
    await cancel(bench, ChildIds(run, "each").of(0))
    output = output_of(await outcome(bench, run))
    assert (output["cancelled"], output["succeeded"]) == (1, 1)


async def test_items_that_wait_bring_their_loop_up_again(bench: Bench, sink: Sink) -> None:
    retry = FixedRetry(delays_s=(3600.0,))
    flaky = ActionStep("send", "http.request", {"url": sink.url, "body": "{{ item }}"}, retry=retry)
    sink.fault, sink.spoiled = fail, 1
    run = await bench.request(await bench.publish(each(flaky, order="parallel", limit=3)), body(*range(7)))
    for window in ([0, 1, 2], [3, 4, 5], [6]):
        for index in window:
            await bench.has(ChildIds(run, "each").of(index), StepAttemptFailed)
        bench.runners[0]._executor.children.loops.forget(run, "each")
        await bench.fire(bench.clock() + timedelta(hours=2))
    assert output_of(await outcome(bench, run))["succeeded"] == 7
    assert sorted(bodies for bodies in sink.deliveries.values()) == [[str(n).encode()] * 2 for n in range(7)]


@pytest.mark.timeout(600)
async def test_ten_thousand_items_leave_a_short_stream(bench: Bench, sink: Sink) -> None:
    """The time is printed, and no limit of the test."""
    loop = each(call(sink, "send", "{{ item }}"), order="parallel", limit=100, result="{{ item }}")
    run = await bench.request(await bench.publish(loop), body(*range(10_000)))
    began = time.monotonic()
    output = output_of(await outcome(bench, run, within_s=500))
    took_s = time.monotonic() - began
    stored = await bench.store.read_stream(StreamKind.RUN, run)
    largest = max(len(event.data) for event in stored[1:])
    print(f"10,000 items: {took_s:.1f} s, {len(stored)} events of the parent, the largest {largest:,} bytes")  # noqa: T201
    assert (output["succeeded"], sink.count, len(sink.deliveries)) == (10_000, 10_000, 10_000)
    assert len(stored) <= 300
    assert largest <= 300 * 1024


async def test_fifty_loops_of_fifty_items(bench: Bench, sink: Sink) -> None:
    inner = ForEachStep("inner", "{{ item }}", (call(sink, "send", "{{ item }}"),), order="parallel", limit=10)
    lists = [[outer * 50 + index for index in range(50)] for outer in range(50)]
    run = await bench.request(await bench.publish(each(inner, order="parallel", limit=10)), body(*lists))  # type: ignore[arg-type]
    assert output_of(await outcome(bench, run))["succeeded"] == 50
    assert sorted(int(bodies[0]) for bodies in sink.deliveries.values()) == list(range(2_500))
    assert sink.count == 2_500


async def test_runners_that_die_in_a_loop_leave_each_item_with_one_outcome(
    dsn: str, broker: Broker, sink: Sink
) -> None:
    """Five runners, one after the other, each of which dies without a word while items are under way."""
    route = PathsStep(
        "route",
        (Branch("all", {"field": "trigger.body.list", "operator": "exists"}, (SetStep("v", {"x": "y"}),)),),
    )
    loop = each(
        call(sink, "send", "{{ item }} {{ steps.v.output.x }}"), order="parallel", limit=20, result="{{ item }}"
    )
    async with at_work(dsn, broker, runner=False) as bench:
        zap = await bench.publish(route, loop, call(sink, "after"))
        run = await bench.request(zap, body(*range(1_000)))
        for death in range(1, 6):
            async with bench.another_runner(alone=True) as task:
                await eventually(lambda death=death: len(sink.deliveries) >= 150 * death)  # type: ignore[misc]
                task.cancel()
        async with bench.another_runner(alone=True):
            output = output_of(await outcome(bench, run))
    assert output["succeeded"] == 1_000
    items = output["items"]
    assert isinstance(items, list)
    assert [item["result"] for item in items if isinstance(item, dict)] == list(range(1_000))
    assert len(sink.deliveries) == 1_001
    assert all(len(set(bodies)) == 1 for bodies in sink.deliveries.values())
    print(f"{sink.count - 1_001} of 1,001 requests came again")  # noqa: T201


async def test_an_item_that_begins_the_next_one_leaves_it_the_room(
    dsn: str, broker: Broker, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner that takes over has the item that is under way from the topic; its end begins the next one."""
    monkeypatch.setattr(room, "SMALL_BYTES", 150_000)
    gate = asyncio.Event()
    sink.fault = held(gate)
    async with at_work(dsn, broker, runner=False) as bench:
        zap = await bench.publish(each(call(sink, "send")))
        run = await bench.request(zap, body(*(f"{n:06}" * 16_000 for n in range(5))))
        async with bench.another_runner(alone=True) as task:
            first = ChildIds(run, "each").of(0)
            await eventually(lambda: bench.store.read_stream(StreamKind.RUN, first))
            task.cancel()
        gate.set()
        async with bench.another_runner(alone=True):
            assert output_of(await outcome(bench, run))["succeeded"] == 5


async def test_an_item_whose_run_has_left_the_log_fails(dsn: str, broker: Broker, sink: Sink) -> None:
    """It was replayed later than its run began, so it is kept for longer."""
    async with at_work(dsn, broker, runner=False) as bench:
        zap = await bench.publish(each(call(sink, "send", "{{ item }} of {{ trigger.body.list.size }}")))
        async with bench.another_runner():
            run = await bench.request(zap, body("a"))
            await outcome(bench, run)
            replayed = await again(bench, ChildIds(run, "each").of(0), Replay())
            await bench.has(replayed, StepSucceeded, RunCompleted)
        await drop(bench, run, ChildIds(run, "each").of(0))
        async with bench.another_runner():
            late = await again(bench, replayed, Replay())
            (failed,) = await bench.has(late, RunFailed, within_s=30.0)
    assert isinstance(failed, RunFailed)
    assert failed.code == "parent_gone"


async def test_items_that_have_left_the_log_are_not_done_again(bench: Bench, sink: Sink) -> None:
    """What succeeded in the first run is known from that alone; a replay of its replay comes when it is gone."""
    zap = await bench.publish(
        each(call(sink, "send", "{{ item }}"), on_item_error="continue", tolerate=Tolerate(count=0))
    )
    run = await bench.request(zap, body(*range(10)))
    sink.fault, sink.share = missing, 0.5
    await outcome(bench, run)
    done = [bodies[0] for key, bodies in sink.deliveries.items() if not sink._is_chosen(key)]
    sink.share = 1.0
    second = await again(bench, run, Replay(from_step="each"))
    await outcome(bench, second)
    await drop(bench, run, *(ChildIds(run, "each").of(n) for n in range(10)))
    sink.fault = None
    sink.deliveries.clear()
    found = await outcome(bench, await again(bench, second, Replay(from_step="each")))
    again_done = [bodies[0] for bodies in sink.deliveries.values()]
    assert not set(done) & set(again_done)
    assert isinstance(found, StepFailed)
    assert found.failure.code == "items_gone"


async def drop(bench: Bench, *run_ids: UUID) -> None:
    """What retention does to runs whose time is over."""
    async with bench.store.pool.acquire() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("delete from es.events where stream_id = any($1)", run_ids)
        await connection.execute("set session_replication_role = origin")
