"""Runs and their children over a log in memory, carried on by runners that die between any two effects.

The topic is here too: a message stays open until what follows from it is done, and a new runner gets all open ones.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast
from uuid import UUID

import msgspec

from consumers.children.unstored import SEEN_AFTER_S, Requests
from consumers.connectors import catalog
from consumers.kafka.lanes import Lanes
from consumers.kafka.watermark import Watermark
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.rendering.rendering import Rendering
from consumers.runner.executor import Executor
from consumers.runner.family import Family, until_done
from consumers.runner.head_starts import HeadStarts
from consumers.runner.shares.room import Rooms
from consumers.runner.shares.slots import Slots
from consumers.runner.wake_ups import STOPPING_EVENTS, WAKING_EVENTS, concerns_others
from domain.aggregates import RUN
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Outcome, Succeeded
from domain.flow.contents import of_one_run
from domain.flow.steps import ApprovalStep, Step, WaitForStep
from domain.language import condition
from domain.language.scope import Context
from domain.log.event import Append, AppendResult, Metadata, StoredEvent, StreamKind
from domain.log.ports import EventStore
from domain.log.stream import fold, load
from domain.registry import decode
from domain.run.answers import answer, receive
from domain.run.commands import ResumeRun
from domain.run.decide import decide
from domain.run.events import RunEvent
from domain.run.state import ActiveRun, LoadedRun, next_step, own_steps
from domain.run.waits import ApprovalAnswered
from domain.values.json import Json, JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapEnabled, ZapPublished
from sql.process.clock import new_id
from sql.tables.rate_limits import RateLimits
from tests.support.builders import a_run_requested, an_append
from tests.support.clock import START, FixedClock
from tests.support.flows import FAILURE, called
from tests.support.households import ROOT, ZAPS, fates_of
from tests.support.memory_store import MemoryStore


class Dead(asyncio.CancelledError):
    """The process is gone: nothing that belongs to it goes on."""


class _Fuse:
    """Says where a process dies: after so many effects, None for one that lives on."""

    def __init__(self, left: int | None, dice: random.Random) -> None:
        self._left = left
        self._dice = dice
        self.is_out = False

    async def burn(self) -> None:
        """An effect is about to be made, or was. Others may come in between."""
        for _ in range(self._dice.randrange(3)):
            await asyncio.sleep(0)
        if self._left is not None:
            self._left -= 1
            self.is_out = self.is_out or self._left <= 0
        if self.is_out:
            raise Dead


class _Log(MemoryStore):
    """What all processes share."""


class _Connection:
    """One process's way to the log."""

    def __init__(self, town: "Town", fuse: _Fuse) -> None:
        self._town = town
        self._fuse = fuse

    async def append(self, command: Append) -> AppendResult:
        await self._fuse.burn()
        before = len(self._town.log.log)
        result = await self._town.log.append(command)
        self._town.publish(self._town.log.log[before:])
        await self._fuse.burn()
        return result

    async def append_each(self, commands: Sequence[Append]) -> list[AppendResult]:
        return [await self.append(command) for command in commands]

    def __getattr__(self, name: str) -> object:
        """Reading dies with the process, too."""
        if self._fuse.is_out:
            raise Dead
        return getattr(self._town.log, name)


class _Fated(Rendering):
    """Conditions come out as the run's fate says."""

    def __init__(self, seed: int) -> None:
        super().__init__(0)
        self._seed = seed

    async def settle(
        self, tenant_id: UUID, wanted: condition.Condition, raw: Json, context: Context
    ) -> condition.Decision:
        run, source = cast(JsonObject, context["run"]), cast(JsonObject, raw)
        fates = fates_of(UUID(str(run["id"])), self._seed)
        return condition.Decision(fates.holds(str(source["value"])), "", "because")


class Town:
    """A root run and all that follow from it."""

    def __init__(self, zaps: Mapping[UUID, tuple[Step, ...]], seed: int, dice: random.Random) -> None:
        self.log = _Log(FixedClock())
        self.definitions = {zap_id: _definition(zap_id, steps) for zap_id, steps in zaps.items()}
        self.called: Counter[str] = Counter()
        self.deaths = 0
        self.died: list[int] = []
        self._seed = seed
        self.dice = dice
        self._open: dict[int, StoredEvent] = {}
        self._runner: _Runner | None = None

    async def live(self, fuses: Sequence[int]) -> None:
        """Begin the root, and go on until every run has ended. One process after the other dies, the last lives on."""
        for zap_id, definition in self.definitions.items():
            published = ZapPublished(number=1, name="z", definition=definition)
            events = ZapCreated(name="z", definition=definition), published, ZapEnabled()
            await self.log.append(an_append(*events, stream_id=zap_id, kind=StreamKind.CORE))
        requested = msgspec.structs.replace(a_run_requested(), zap_id=ZAPS[0])
        before = len(self.log.log)
        await self.log.append(an_append(requested, stream_id=ROOT, ordering_key=ROOT, expected=0))
        self.publish(self.log.log[before:])
        for effects in [*fuses, None]:
            if await self._work(_Fuse(effects, self.dice)):
                return
            self.deaths += 1
            self.died.append(len(self.log.log))

    async def _work(self, fuse: _Fuse) -> bool:
        """One process, until it dies (false) or there is nothing left to do."""
        self._runner = runner = _Runner(self, fuse, self._seed)
        messages = list(self._open.values())
        self.dice.shuffle(messages)
        for message in messages:
            runner.take(message)
        while True:
            assert await runner.lanes.drain(30), "a runner hangs"
            if runner.failures:
                raise runner.failures[0]
            if fuse.is_out:
                return False
            waiting = await self.waiting()
            if not waiting:
                assert not self._open, "messages were left"
                assert not runner.remembers_loops, "loops that are over take memory"
                return True
            await self._outside(self.dice.choice(waiting))

    def publish(self, events: Sequence[StoredEvent]) -> None:
        """The topic tells of events: at once where a runner is there."""
        for event in events:
            name = f"{event.type}.v{event.schema_version}"
            if name in WAKING_EVENTS or (name in STOPPING_EVENTS and concerns_others(event)):
                self._open[event.position] = event
                if self._runner and not self._runner.is_dead:
                    self._runner.take(event)

    def close(self, position: int) -> None:
        """What follows from a message is done."""
        self._open.pop(position, None)

    async def runs(self) -> dict[UUID, LoadedRun]:
        """Every run as the log has it."""
        ids = dict.fromkeys(event.stream_id for event in self.log.log if event.kind is StreamKind.RUN)
        return {run_id: run for run_id in ids if (run := await load(self.log, RUN, run_id))}

    async def waiting(self) -> list[LoadedRun]:
        """Those that have not ended, and for which somebody outside can do something."""
        active = [run for run in (await self.runs()).values() if isinstance(run.state, ActiveRun)]
        found = [run for run in active if cast(ActiveRun, run.state).waits_until is not None]
        assert found or not active, f"{len(active)} runs wait for nothing"
        return found

    async def _outside(self, run: LoadedRun) -> None:
        """Somebody does what the run waits for; else its deadline comes. Callbacks of later steps come now and then."""
        state = cast(ActiveRun, run.state)
        definition = self.definitions[state.requested.zap_id]
        events = self._early(run, state, definition) or self._answer(run, state, definition)
        before = len(self.log.log)
        await self.log.append(run.append(new_id, events, Metadata(), timer_id=run.timer_id))
        self.publish(self.log.log[before:])

    def _early(self, run: LoadedRun, state: ActiveRun, definition: Definition) -> list[RunEvent]:
        if self.dice.randrange(2):
            return []
        fates = fates_of(run.id, self._seed)
        for step in of_one_run(own_steps(state, definition)):
            if isinstance(step, WaitForStep) and fates.callback(step) != "never" and step.id not in {
                *state.outputs, *state.errors
            }:  # fmt: skip
                return receive(state, called(step))
        return []

    def _answer(self, run: LoadedRun, state: ActiveRun, definition: Definition) -> list[RunEvent]:
        fates, step = fates_of(run.id, self._seed), next_step(state, definition)
        if isinstance(step, WaitForStep) and fates.callback(step) != "never":
            return receive(state, called(step))
        if isinstance(step, ApprovalStep) and fates.answer(step):
            number = len(state.approvals[step.id].answers)
            verdict = "reject" if fates.rejects(step, number) else "approve"
            given = ApprovalAnswered(step_id=step.id, recipient=number, by=f"{number}", decision=verdict, at=START)  # type: ignore[arg-type]
            return answer(state, given)
        assert run.timer_id is not None
        return decide(ResumeRun(run.timer_id), state, definition)


class _Runner:
    """A process: all that it knows goes with it."""

    def __init__(self, town: Town, fuse: _Fuse, seed: int) -> None:
        self._town = town
        self._fuse = fuse
        self._seed = seed
        self.failures: list[Exception] = []
        self.lanes = Lanes(100_000)
        self._store = _Connection(town, fuse)
        clock = FixedClock()
        nobody = cast(RateLimits, None)
        targets = Targets(cast(Outbound, None), nobody, clock=clock, monotonic=lambda: 0.0, random=lambda: 0.5)
        actions = catalog()
        request = msgspec.structs.replace(actions.actions["http.request"], run=self._act)
        self._executor = Executor(
            cast(EventStore, self._store),
            msgspec.structs.replace(actions, actions={"http.request": request}),
            targets,
            clock=clock,
            new_id=new_id,
            slots=Slots(100, 100),
            rendering=_Fated(seed),
        )
        self._head_starts = HeadStarts(1)
        self._family = Family(self._executor, self.lanes, Rooms(), self._head_starts)
        self._executor.children.work.starts = self._family
        self._executor.children.work.requests = Requests(
            cast(EventStore, self._store), town.dice.choice([0.0, SEEN_AFTER_S])
        )
        self._mark = _Mark(town)

    @property
    def is_dead(self) -> bool:
        """Whether it takes nothing any more."""
        return self._fuse.is_out

    @property
    def remembers_loops(self) -> bool:
        """Whether there is a loop that it would go on with."""
        return bool(self._executor.children.loops._loops)

    def take(self, event: StoredEvent) -> None:
        """A message."""
        if event.version == 1 and self._head_starts.claims(event.stream_id, self._mark, event.position, 0, 0):
            return
        told = f"{event.type}.v{event.schema_version}" in STOPPING_EVENTS
        self.lanes.submit(event.stream_id, lambda: self._job(event, told=told), event.tenant_id)

    async def _job(self, event: StoredEvent, *, told: bool) -> None:
        async def work(_again: bool) -> None:
            try:
                run = await self._executor.recording.load(event.stream_id)
                await (self._family.ended(run) if told else self._family.carry_on(run))
            except Exception as error:  # noqa: BLE001 - the test fails with it
                self.failures.append(error)

        await until_done(event.stream_id, work)
        self._town.close(event.position)

    async def _act(self, _config: JsonObject, context: ActionContext) -> Outcome:
        await self._fuse.burn()
        self._town.called[context.idempotency_key] += 1
        await self._fuse.burn()
        run_id, _, step_id = context.idempotency_key.rpartition(".")
        fails = fates_of(UUID(run_id), self._seed).fails(step_id)
        return FAILURE if fails else Succeeded({"of": step_id})


class _Mark(Watermark):
    """The messages of runs with a head start."""

    def __init__(self, town: Town) -> None:
        super().__init__(0)
        self._town = town

    def close(self, position: int) -> None:
        self._town.close(position)


def _definition(zap_id: UUID, steps: tuple[Step, ...]) -> Definition:
    return Definition(Trigger("webhook.catch" if zap_id == ZAPS[0] else "zap.called"), steps)


async def entries(town: Town) -> dict[UUID, list[tuple[StoredEvent, RunEvent]]]:
    """The log by run. Each run's state follows from its events however they are cut."""
    found: dict[UUID, list[tuple[StoredEvent, RunEvent]]] = {}
    for run_id, run in (await town.runs()).items():
        stored = await town.log.read_stream(StreamKind.RUN, run_id)
        half = fold(RUN, stored[: len(stored) // 2])
        rest = fold(RUN, stored[len(stored) // 2 :], half) if half else fold(RUN, stored)
        assert rest is not None
        assert rest.state == run.state
        decoded = [decode(event.type, event.schema_version, event.data) for event in stored]
        found[run_id] = [(one, cast(RunEvent, event)) for one, event in zip(stored, decoded, strict=True)]
    return found
