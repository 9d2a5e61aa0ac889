"""One pass over a draft: the runner's own executor, over a log in memory, with answers instead of targets.

What a test shows is therefore what a run does: there is no second interpreter of steps.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

import msgspec

from consumers.outbound.targets import Targets
from consumers.rehearsal.answers import Answers
from consumers.rehearsal.record import Record
from consumers.rendering.rendering import Rendering
from consumers.runner.executor import Executor
from consumers.runner.slots import Slots
from domain.aggregates import RUN, ZAP
from domain.connector.catalog import Catalog
from domain.connector.http_client import HttpClient, HttpReply, HttpRequest
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.flow.decisions import Decision
from domain.flow.steps import ActionStep, ControlStep, Step, TryStep, UnknownStep, WaitStep
from domain.hook.hops import NO_HOPS, Hops
from domain.hook.request import Request
from domain.log.event import Append, Event, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.ports import Clock, NewId
from domain.log.stream import follow, load
from domain.run.commands import ResumeRun
from domain.run.decide import decide
from domain.run.events import Failure, RunRequested, Source
from domain.run.links import NO_LINKS, Links
from domain.run.state import ActiveRun, LoadedRun, next_step
from domain.values.json import Json
from domain.zap.definition import Definition
from domain.zap.events import ZapCreated, ZapPublished
from projections.step_detail import AnsweredBy

_OWN = tuple({ActionStep, *get_args(ControlStep), TryStep, UnknownStep} - {*get_args(WaitStep)})
"""Kinds of steps that a rehearsal carries out. All others ask somebody else: their answers are taken over."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to rehearse. `run_id` stands for the run that it is not: idempotency keys begin with it.

    `number` is the version that the draft would be. Answers that are `given` count before those that are `recorded`;
    with `real` the targets are called instead of the latter. With `only`, just these steps are done: actions besides
    are answered, and it is over behind the last of them. `patient`: retries are made, too, in no time. `began`: when
    steps are said to begin, by id, and the run itself `at`.
    """

    run_id: UUID
    tenant_id: UUID
    zap_id: UUID
    number: int
    definition: Definition
    request: Request
    source: Source = "manual"
    depth: int = 0
    given: Mapping[str, Outcome] = {}
    decided: Mapping[str, Decision] = {}
    recorded: Mapping[str, Outcome] = {}
    only: frozenset[str] = frozenset()
    real: bool = False
    patient: bool = False
    at: datetime | None = None
    began: Mapping[str, datetime] = {}
    limit_s: float


class Rehearsed(msgspec.Struct, frozen=True):
    """What would be on record of the run. `timed_out`: it took too long, and was left where it was."""

    events: list[StoredEvent]
    answered: Mapping[str, AnsweredBy]
    timed_out: bool


class _Closed:
    """No way out: whatever an action tries."""

    async def request(self, _request: HttpRequest) -> HttpReply:
        raise RuntimeError("a rehearsal sends nothing")


class _Nowhere(Targets):
    def __init__(self) -> None:
        """Nothing is needed to send nothing."""

    def of(self, _tenant_id: UUID, _per_minute: int | None) -> HttpClient:
        return _Closed()


class _Time:
    """The clock of a rehearsal: it goes on from a moment on, or stands there, and is put forward instead of waiting."""

    def __init__(self, clock: Clock, at: datetime | None) -> None:
        self._clock: Clock = clock if at is None else lambda: at
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return self._clock() + self._ahead

    def to(self, moment: datetime | None) -> None:
        """Put it forward; it never goes back."""
        if moment is not None:
            self._ahead += max(timedelta(), moment - self())


class Rehearsal:
    """Rehearses drafts. Without `targets` nothing can be sent, whatever is wished for."""

    def __init__(
        self,
        catalog: Catalog,
        rendering: Rendering,
        *,
        clock: Clock,
        new_id: NewId,
        slots: Slots,
        targets: Targets | None = None,
        hops: Hops = NO_HOPS,
        links: Links = NO_LINKS,
    ) -> None:
        self._catalog = catalog
        self._rendering = rendering
        self._clock = clock
        self._new_id = new_id
        self._slots = slots
        self._targets = targets
        self._hops = hops
        self._links = links

    async def of(self, wish: Wish) -> Rehearsed:
        """What the draft would do. Nothing of it is stored."""
        time = _Time(self._clock, wish.at)
        record, answers = Record(time), Answers(wish.given, wish.recorded, self._catalog)
        real = wish.real and self._targets is not None
        executor = Executor(
            record,
            answers.catalog(real=real),
            self._targets if real and self._targets else _Nowhere(),
            clock=time,
            new_id=self._new_id,
            slots=self._slots,
            rendering=self._rendering,
            hops=self._hops,
            links=self._links,
        )
        await self._begin(record, wish, _requested(wish, answers, time()))
        timed_out = False
        try:
            async with asyncio.timeout(wish.limit_s):
                await self._play(record, executor, wish, time)
        except TimeoutError:
            timed_out = True
        return Rehearsed(await record.read_stream(StreamKind.RUN, wish.run_id), answers.by, timed_out)

    async def _begin(self, record: Record, wish: Wish, requested: RunRequested) -> None:
        created = ZapCreated(name="", definition=wish.definition)
        published = ZapPublished(number=wish.number, name="", definition=wish.definition)
        await record.append(self._append(ZAP.kind, wish, wish.zap_id, created, published))
        await record.append(self._append(RUN.kind, wish, wish.run_id, requested))

    def _append(self, kind: StreamKind, wish: Wish, stream_id: UUID, *events: Event) -> Append:
        return Append(
            kind=kind,
            stream_id=stream_id,
            expected=0,
            tenant_id=wish.tenant_id,
            ordering_key=wish.zap_id,
            events=tuple([NewEvent(self._new_id(), event) for event in events]),
            metadata=Metadata(),
        )

    async def _play(self, record: Record, executor: Executor, wish: Wish, time: _Time) -> None:
        run = await load(record, RUN, wish.run_id)
        assert run is not None, "it was just asked for"
        while isinstance(run.state, ActiveRun):
            run = await executor.advance(run, _watch(wish, time))
            if not isinstance(run.state, ActiveRun) or not _goes_on(run.state, wish):
                return
            time.to(run.state.waits_until)
            run = await self._resumed(record, run, wish.definition)

    async def _resumed(self, record: Record, run: LoadedRun, definition: Definition) -> LoadedRun:
        """The run after its timer has fired."""
        timer_id = run.timer_id
        assert timer_id is not None, "it waits"
        events = decide(ResumeRun(timer_id), run.state, definition)
        await record.append(run.append(self._new_id, events, Metadata()))
        return await follow(record, run)


def _requested(wish: Wish, answers: Answers, now: datetime) -> RunRequested:
    outputs: dict[str, Json] = {}
    errors: dict[str, Failure] = {}
    for step in _before_the_last(wish):
        if _is_answered_before(step, wish):
            match answers.of_step(step):
                case Succeeded(output):
                    outputs[step.id] = output
                case Failed() | Retry() as failed:
                    errors[step.id] = Failure(code=failed.code, message=failed.message, output=failed.output)
    deadline_s = wish.definition.behaviour.deadline_s
    return RunRequested(
        zap_id=wish.zap_id,
        zap_version=wish.number,
        source=wish.source,
        request=wish.request,
        depth=wish.depth,
        outputs=outputs,
        errors=errors,
        decisions=wish.decided,
        deadline=None if deadline_s is None else now + timedelta(seconds=deadline_s),
    )


def _before_the_last(wish: Wish) -> list[Step]:
    """The steps up to the last of those that were asked for."""
    steps = [step for _path, step in wish.definition.all_steps()]
    return steps[: max((index + 1 for index, step in enumerate(steps) if step.id in wish.only), default=len(steps))]


def _is_answered_before(step: Step, wish: Wish) -> bool:
    """Whether the step is not done: it asks somebody else, or was not asked for, or is no action and has a stub."""
    if isinstance(step, ActionStep):
        return bool(wish.only) and step.id not in wish.only
    return step.id in wish.given or asks_others(step)


def asks_others(step: Step) -> bool:
    """Whether a rehearsal takes the step's answer over, since somebody else would give it."""
    return not isinstance(step, _OWN)


def _watch(wish: Wish, time: _Time) -> Callable[[LoadedRun], bool]:
    """Sets the clock before each step, and says when enough is done."""
    wanted = {step.id for step in _before_the_last(wish)}

    def enough(run: LoadedRun) -> bool:
        step = next_step(run.state, wish.definition) if isinstance(run.state, ActiveRun) else None
        if step is None:
            return False
        time.to(wish.began.get(step.id))
        return step.id not in wanted

    return enough


def _goes_on(run: ActiveRun, wish: Wish) -> bool:
    """Whether the wait is not waited for: a delay; a retry only where the wish is patient."""
    return run.waits_until is not None and (wish.patient or run.waits_until == run.delayed_until)
