"""What to rehearse, and what follows from that for each run of it: that of the draft, and those of its loops' items."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

import msgspec

from consumers.rehearsal.answers import Answers
from consumers.rehearsal.past import Past
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.flow.contents import of_one_run, walk
from domain.flow.decisions import Decision
from domain.flow.steps import ActionStep, ControlStep, ForEachStep, Step, TryStep, UnknownStep, WaitStep
from domain.hook.request import Request
from domain.run.events import Failure, RunRequested, Source
from domain.run.state import ActiveRun, LoadedRun, next_step
from domain.values.json import Json
from domain.zap.definition import Definition

_OWN = tuple({ActionStep, *get_args(ControlStep), TryStep, UnknownStep} - {*get_args(WaitStep)})
"""Kinds of steps that a rehearsal carries out. All others ask somebody else: their answers are taken over."""
FIRST_ITEMS = 10
"""Items of a loop that are done, where the wish names no others."""
MOST_ITEMS = 100
"""The same of all loops of a rehearsal together."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to rehearse. `run_id` stands for the run that it is not: idempotency keys begin with it.

    `number` is the version that the draft would be. Answers that are `given` count before those that are `recorded`;
    with `real` the targets are called instead of the latter. `past` knows the recorded ones of the items of loops.
    With `only`, just these steps are done: actions besides are answered, and it is over behind the last of them.
    `sample_run`: the run whose files count as the rehearsal's own.
    `patient`: retries are made, too, in no time. `began`: when steps are said to begin, by id, and the run itself `at`.
    `loops`: these are done item by item, instead of being answered; `items`: which ones, by the id of the loop.
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
    past: Past | None = None
    sample_run: UUID | None = None
    only: frozenset[str] = frozenset()
    real: bool = False
    patient: bool = False
    at: datetime | None = None
    began: Mapping[str, datetime] = {}
    loops: bool = False
    items: Mapping[str, Sequence[int]] = {}
    limit_s: float


class Chosen:
    """Which items of each loop are done: a few of them, and not too many of all loops together."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._left = MOST_ITEMS

    def __call__(self, step: ForEachStep, count: int) -> Sequence[int]:
        """The items of a loop of so many. Where only some of its steps are wished for, one is enough."""
        wanted = self._wish.items.get(step.id, range(FIRST_ITEMS))
        found = sorted({index for index in wanted if index < count})[: self._left]
        if self._wish.only and step.id not in self._wish.only:
            found = found[:1]
        self._left -= len(found)
        return found


def requested(wish: Wish, now: datetime) -> RunRequested:
    """The run of the draft."""
    deadline_s = wish.definition.behaviour.deadline_s
    return RunRequested(
        zap_id=wish.zap_id,
        zap_version=wish.number,
        source=wish.source,
        request=wish.request,
        depth=wish.depth,
        deadline=None if deadline_s is None else now + timedelta(seconds=deadline_s),
    )


async def answered(wish: Wish, answers: Answers, run_id: UUID, run: RunRequested) -> RunRequested:
    """The run of the draft, or of an item, with the answers of those of its own steps that it does not do."""
    if run_id == wish.run_id:
        answers.recorded[run_id] = wish.recorded
    elif wish.past is not None:
        answers.recorded[run_id] = await wish.past.of_item(run_id, run)
    outputs: dict[str, Json] = {}
    errors: dict[str, Failure] = {}
    loop = run.parent.step_id if run.parent and run.parent.of_loop else None
    own = {step.id: step for step in of_one_run(wish.definition.steps_in(loop))}
    for step in [own[step_id] for step_id in _before_the_last(wish) if step_id in own]:
        if _is_answered_before(step, wish):
            match answers.of_step(run_id, step):
                case Succeeded(output):
                    outputs[step.id] = output
                case Failed() | Retry() as failed:
                    errors[step.id] = Failure(code=failed.code, message=failed.message, output=failed.output)
    decisions = {step_id: decision for step_id, decision in wish.decided.items() if step_id in own}
    return msgspec.structs.replace(run, outputs=outputs, errors=errors, decisions=decisions)


def _before_the_last(wish: Wish) -> list[str]:
    """The steps up to the last of those that were asked for."""
    steps = [step.id for _path, step in wish.definition.all_steps()]
    return steps[: max((index + 1 for index, step_id in enumerate(steps) if step_id in wish.only), default=len(steps))]


def _is_answered_before(step: Step, wish: Wish) -> bool:
    """Whether the step is not done: it asks somebody else, or was not asked for, or is no action and has a stub."""
    if isinstance(step, ActionStep):
        return bool(wish.only) and step.id not in wish.only
    if step.id in wish.given:
        return True
    if isinstance(step, ForEachStep) and wish.loops:
        return bool(wish.only) and wish.only.isdisjoint(inner.id for _path, inner, _depth in walk((step,), ""))
    return asks_others(step)


def asks_others(step: Step) -> bool:
    """Whether somebody else gives the step's answer: runs of its own, a person, another zap."""
    return not isinstance(step, _OWN)


def watch(wish: Wish, put_forward: Callable[[datetime | None], None]) -> Callable[[LoadedRun], bool]:
    """Sets the clock before each step, and says when enough is done."""
    wanted = {*_before_the_last(wish)}

    def enough(run: LoadedRun) -> bool:
        step = next_step(run.state, wish.definition) if isinstance(run.state, ActiveRun) else None
        if step is None:
            return False
        put_forward(wish.began.get(step.id))
        return step.id not in wanted

    return enough
