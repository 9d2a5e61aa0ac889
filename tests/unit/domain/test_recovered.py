"""What a replay makes up for: the run that it replays, and those before it in a chain of replays."""

import pytest

from domain.aggregates import RUN, ZAP
from domain.log.event import Metadata, StreamKind
from domain.log.stream import load
from domain.run.commands import CancelRun, FailRun, FinishRun, RunCommand, TimeOutRun
from domain.run.decide import decide
from domain.run.events import Recovered, RunCompleted
from domain.run.replay import MAX_RECOVERED, Replay, replay_append
from domain.run.state import EndedRun, LoadedRun
from domain.zap.definition import NO_STEPS
from domain.zap.events import ZapCreated, ZapPublished
from sql.process.clock import new_id
from tests.support import builders
from tests.support.builders import a_run_requested, an_append
from tests.support.memory_store import MemoryStore

FAIL = FailRun("send", "http_503", "no answer")


class World:
    """A log with a zap and a run."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.run_id = new_id()

    async def begin(self) -> None:
        zap = ZapCreated(name="z", definition=NO_STEPS), ZapPublished(number=1, name="z", definition=NO_STEPS)
        await self.store.append(an_append(*zap, stream_id=builders.ZAP, kind=StreamKind.CORE))
        await self.store.append(an_append(a_run_requested(), stream_id=self.run_id))

    async def run(self) -> LoadedRun:
        """The latest run."""
        run = await load(self.store, RUN, self.run_id)
        assert run is not None
        return run

    async def end(self, command: RunCommand) -> Recovered:
        """End it, and give what a replay that makes up for it says of it."""
        run = await self.run()
        events = decide(command, run.state, NO_STEPS)
        await self.store.append(run.append(new_id, events, Metadata()))
        position = (await self.run()).last.position
        where = ("", "deadline") if isinstance(command, TimeOutRun) else ("", "")
        step_id, code = (command.step_id, command.code) if isinstance(command, FailRun) else where
        return Recovered(run_id=self.run_id, position=position, step_id=step_id, code=code)

    async def replay(self) -> tuple[Recovered, ...]:
        """Replay it, and give what the new run makes up for."""
        zap = await load(self.store, ZAP, builders.ZAP)
        assert zap is not None
        append = replay_append(await self.run(), zap.state, Replay(), new_id=new_id, metadata=Metadata())
        await self.store.append(append)
        self.run_id = append.stream_id
        return (await self.run()).state.requested.recovers


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


@pytest.mark.parametrize("command", [FAIL, TimeOutRun(), CancelRun()])
async def test_a_replay_makes_up_for_a_run_that_did_not_complete_and_its_end_says_so(
    world: World, command: RunCommand
) -> None:
    old = await world.end(command)
    assert await world.replay() == (old,)
    await world.end(FinishRun())
    state = (await world.run()).state
    assert isinstance(state, EndedRun)
    assert isinstance(state.end, RunCompleted)
    assert state.end.recovers == (old,)


async def test_a_replay_of_a_completed_run_makes_up_for_nothing(world: World) -> None:
    await world.end(FinishRun())
    assert await world.replay() == ()
    failed = await world.end(FAIL)
    assert await world.replay() == (failed,)


async def test_a_chain_of_replays_makes_up_for_all_of_it_but_keeps_only_so_many(world: World) -> None:
    ended = []
    for _ in range(MAX_RECOVERED + 10):
        ended.append(await world.end(FAIL))
        recovers = await world.replay()
        assert recovers[0] == ended[0]
        assert recovers[1:] == tuple(ended[1:][-(MAX_RECOVERED - 1) :])
