"""The executor over a log in memory: where it does not understand a step, and where it is cut short."""

import asyncio
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec
import pytest

from consumers.connectors import catalog
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.rendering.rendering import Rendering
from consumers.runner.executor import NEWER_S, Executor
from consumers.runner.shares.slots import Slots
from domain.aggregates import RUN
from domain.flow.steps import ActionStep, Step, UnknownStep
from domain.language.scope import Context
from domain.language.template import Compiled
from domain.log.event import Event, StreamKind
from domain.log.stream import load, to_begin
from domain.registry import decode
from domain.run.events import (
    RunCompleted,
    RunFailed,
    RunRequested,
    RunResumed,
    StepAttemptFailed,
    StepFailed,
    StepPostponed,
    StepStarted,
    StepSucceeded,
)
from domain.values.json import Json
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapPublished
from sql.process.clock import new_id
from sql.tables.rate_limits import RateLimits
from tests.support.builders import ZAP, a_run_requested, an_append
from tests.support.clock import FixedClock
from tests.support.memory_store import MemoryStore
from tests.support.raw_target import RawTarget

HEAVY = "{% for n in trigger.body.items %}{{ n }}{% endfor %}"


class CutShort(Rendering):
    """Its process ends in the middle of a template."""

    async def render_apart(self, tenant_id: UUID, template: Compiled, context: Context, now: datetime) -> Json:
        raise asyncio.CancelledError


class World:
    """A log with one run, a clock, and runners that come one after the other."""

    def __init__(self, http: Outbound) -> None:
        self.clock = FixedClock()
        self.store = MemoryStore(self.clock)
        limits = cast(RateLimits, None)
        self.targets = Targets(http, limits, clock=self.clock, monotonic=lambda: 0.0, random=lambda: 0.5)
        self.run_id = new_id()

    async def request(self, *steps: Step) -> None:
        definition = Definition(Trigger("webhook.catch"), steps)
        zap = ZapCreated(name="z", definition=definition), ZapPublished(number=1, name="z", definition=definition)
        await self.store.append(an_append(*zap, stream_id=ZAP, kind=StreamKind.CORE))
        requested = a_run_requested('{"items": [1, 2]}')
        await self.store.append(an_append(requested, stream_id=self.run_id))

    def executor(self, rendering: Rendering) -> Executor:
        return Executor(
            self.store, catalog(), self.targets, clock=self.clock, new_id=new_id, slots=Slots(1, 1), rendering=rendering
        )

    async def advance(self, rendering: Rendering) -> None:
        executor = self.executor(rendering)
        run = await load(self.store, RUN, self.run_id)
        assert run is not None
        try:
            await executor.advance(run)
        finally:
            await rendering.aclose()

    async def fire(self) -> None:
        """The timer that the run waits for."""
        run = await load(self.store, RUN, self.run_id)
        assert run is not None
        resumed = RunResumed(timer_id=cast(UUID, run.timer_id))
        await self.store.append(an_append(resumed, stream_id=self.run_id, timer_id=run.timer_id))

    async def events(self) -> list[Event]:
        stream = await self.store.read_stream(StreamKind.RUN, self.run_id)
        return [decode(stored.type, stored.schema_version, stored.data) for stored in stream]


@pytest.fixture
def world(http: Outbound) -> World:
    return World(http)


async def test_a_step_of_a_newer_release_is_not_run_but_waits_for_it_and_says_so(world: World) -> None:
    await world.request(UnknownStep("choose", "paths"))
    await world.advance(Rendering())
    _requested, postponed = await world.events()
    assert isinstance(postponed, StepPostponed)
    assert (postponed.step_id, postponed.code) == ("choose", "newer_release")
    assert postponed.message == "step 'choose' is of kind 'paths', which needs a newer release of TriggerHub"
    assert postponed.until == world.clock() + timedelta(seconds=NEWER_S)


async def test_a_run_does_not_wait_for_a_newer_release_for_ever(world: World) -> None:
    await world.request(UnknownStep("choose", "paths"))
    await world.advance(Rendering())
    world.clock.advance(24 * 3600)
    await world.fire()
    await world.advance(Rendering())
    failed, ended = (await world.events())[-2:]
    assert isinstance(failed, StepFailed)
    assert isinstance(ended, RunFailed)
    assert ended.code == "newer_release"


@pytest.mark.parametrize(("on_unknown", "what_follows"), [("retry", StepAttemptFailed), ("fail", StepFailed)])
async def test_a_crash_while_a_template_is_rendered_counts_as_an_attempt(
    world: World, target: RawTarget, on_unknown: str, what_follows: type[Event]
) -> None:
    config: dict[str, Json] = {"method": "POST", "url": target.url, "body": HEAVY}
    step = ActionStep("send", "http.request", config, unknown_outcome="fail" if on_unknown == "fail" else "retry")
    await world.request(step)
    with pytest.raises(asyncio.CancelledError):
        await world.advance(CutShort())
    assert [type(event) for event in await world.events()] == [RunRequested, StepStarted]
    await world.advance(Rendering())
    settled = (await world.events())[2]
    assert isinstance(settled, StepAttemptFailed | StepFailed)
    assert (type(settled), settled.attempt, settled.failure.code) == (what_follows, 1, "unknown_outcome")
    assert target.requests == []


async def test_a_run_of_which_the_log_does_not_tell_is_let_go(world: World, target: RawTarget) -> None:
    """A message told of it, and the log was put back since."""
    await world.request(ActionStep("send", "http.request", {"method": "GET", "url": target.url}))
    run = await load(world.store, RUN, world.run_id)
    assert run is not None
    lost = msgspec.structs.replace(run, id=new_id())
    executor = world.executor(Rendering())
    async with asyncio.timeout(60):
        await executor.advance(lost)
        await executor.cancel(lost, "busy", "another was on its way")
    assert len(target.requests) == 1


async def test_an_item_whose_loop_was_erased_meanwhile_leaves_nothing_and_is_let_go(
    world: World, target: RawTarget
) -> None:
    """The run of the loop was cancelled, and erased, while the item's action was under way."""
    await world.request(ActionStep("send", "http.request", {"method": "GET", "url": target.url}))
    loop = await load(world.store, RUN, world.run_id)
    assert loop is not None
    first = msgspec.structs.replace(an_append(a_run_requested(), expected=0), carries=loop.first.position)
    world.store.forgotten.add(loop.first.position)
    async with asyncio.timeout(60):
        await world.executor(Rendering()).advance(to_begin(RUN, first, world.clock()))
    assert len(target.requests) == 1
    assert await world.store.read_stream(StreamKind.RUN, first.stream_id) == []


async def test_after_such_a_crash_the_next_attempt_is_made(world: World, target: RawTarget) -> None:
    await world.request(ActionStep("send", "http.request", {"method": "POST", "url": target.url, "body": HEAVY}))
    with pytest.raises(asyncio.CancelledError):
        await world.advance(CutShort())
    await world.advance(Rendering())
    await world.fire()
    await world.advance(Rendering())
    events = await world.events()
    made = next(event for event in events if isinstance(event, StepSucceeded))
    assert (made.attempt, target.last.body) == (2, b"12")
    assert isinstance(events[-1], RunCompleted)
