"""Random zaps that loop and call one another, and what each of their runs should do, worked out without a runner."""

from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Literal
from uuid import UUID
from zlib import crc32

import msgspec

from domain.flow.approvals import Recipient
from domain.flow.steps import (
    UNSET,
    ApprovalStep,
    Branch,
    ErrorPath,
    FilterStep,
    ForEachStep,
    OnError,
    Otherwise,
    PathsStep,
    Rejected,
    ReturnStep,
    SetStep,
    Step,
    StopStep,
    Tolerate,
    TryStep,
    WaitForStep,
    ZapStep,
)
from domain.run.children import ChildIds, is_over
from domain.values.json import JsonObject
from tests.support.flows import Broke, Fate, Fates, Plain, Rejection, Sieved, Stop, action

ROOT = UUID("01900000-0000-7000-8000-000000000100")
"""The run that everything begins with. The ids of all others follow from it, so fates do, too."""
ZAPS = tuple(UUID(int=ROOT.int + number) for number in (1, 2, 3))
"""The first one is that of the root; each may call those behind it."""


class FatesOfRun(Fates, frozen=True):
    """Values are always worked out: what comes of them is in templates, and not in anybody's hands."""

    def of(self, step: object) -> Fate:
        """Whether the step succeeds."""
        return "ok" if isinstance(step, SetStep) else super().of(step)  # type: ignore[arg-type]


def fates_of(run_id: UUID, seed: int) -> FatesOfRun:
    """What comes of the steps of one run."""
    return FatesOfRun(crc32(run_id.bytes, seed))


def a_household(dice: Random, *, in_order: bool) -> Mapping[UUID, tuple[Step, ...]]:
    """The steps of each zap, nested three deep. `in_order`: loops do one item after the other."""
    return {zap_id: _House(dice, ZAPS[n + 1 :], in_order=in_order).steps(3) for n, zap_id in enumerate(ZAPS)}


class _House:
    """Draws the steps of one zap."""

    def __init__(self, dice: Random, callees: Sequence[UUID], *, in_order: bool) -> None:
        self._dice = dice
        self._callees = callees
        self._in_order = in_order
        self._ids = count()

    def steps(self, depth: int) -> tuple[Step, ...]:
        """One to three steps, in which others are nested so deep at most."""
        return tuple(self._step(depth) for _ in range(self._dice.randint(1, 3)))

    def _step(self, depth: int) -> Step:
        plain = [self._action, self._set, self._wait, self._filter, self._ending]
        weights = [6, 2, 2, 1, 1]
        nested = [self._paths, self._try, self._loop, self._call, self._approval]
        drawn = self._dice.choices(
            [*plain, *nested], [*weights, *([3, 2, 6, 4 * bool(self._callees), 2] if depth else [0] * 5)]
        )
        return drawn[0](f"{next(self._ids)}", depth)

    def _on_error(self, depth: int) -> OnError:
        other: list[OnError] = ["continue", ErrorPath(self.steps(depth - 1))] if depth else ["continue"]
        return self._dice.choice(other) if self._dice.randrange(3) == 0 else "fail"

    def _action(self, name: str, depth: int) -> Step:
        return action(f"a{name}", self._on_error(depth))

    def _set(self, name: str, _depth: int) -> Step:
        return SetStep(f"s{name}", {"n": 1})

    def _wait(self, name: str, depth: int) -> Step:
        last: list[Literal["fail", "continue"]] = ["fail", "continue"]
        return WaitForStep(f"w{name}", on_deadline=self._dice.choice(last), on_error=self._on_error(depth))

    def _filter(self, name: str, _depth: int) -> Step:
        return FilterStep(f"f{name}", _condition(f"f{name}"))

    def _ending(self, name: str, _depth: int) -> Step:
        ends: list[Literal["completed", "failed", "cancelled"]] = ["completed", "failed", "cancelled"]
        if self._dice.randrange(4) == 0:
            return ReturnStep(f"r{name}", {"n": 1})
        return StopStep(f"x{name}", self._dice.choice(ends))

    def _paths(self, name: str, depth: int) -> Step:
        branches = tuple(
            Branch(f"b{n}", _condition(f"p{name}/b{n}"), self.steps(depth - 1)) for n in range(self._dice.randint(1, 3))
        )
        modes: list[Literal["first", "all"]] = ["first", "all"]
        otherwise = Otherwise(self.steps(depth - 1))
        return PathsStep(f"p{name}", branches, self._dice.choice(modes), otherwise, self._on_error(depth))

    def _try(self, name: str, depth: int) -> Step:
        return TryStep(f"t{name}", self.steps(depth - 1), ErrorPath(self.steps(depth - 1)))

    def _approval(self, name: str, depth: int) -> Step:
        return ApprovalStep(
            f"o{name}",
            "Go on?",
            tuple(Recipient(email=f"{who}@example.com") for who in ("ada", "bob", "eve")),
            required=self._dice.randint(1, 3),
            on_deadline=self._dice.choice(("reject", "approve", "fail")),
            rejected=Rejected(self.steps(depth - 1)) if self._dice.randrange(2) else UNSET,
            on_error=self._on_error(depth),
        )

    def _loop(self, name: str, depth: int) -> Step:
        tolerate = self._dice.choice((UNSET, Tolerate(count=1), Tolerate(percent=50)))
        return ForEachStep(
            f"e{name}",
            [*range(self._dice.randint(0, 4))],
            self.steps(depth - 1),
            order="sequential" if self._in_order else "parallel",
            limit=UNSET if self._in_order else self._dice.randint(1, 3),
            on_item_error=self._dice.choice(("stop", "continue")),
            tolerate=tolerate,
            on_error=self._on_error(depth),
        )

    def _call(self, name: str, depth: int) -> Step:
        zap_id = self._dice.choice(self._callees)
        return ZapStep(f"z{name}", zap_id, wait=self._dice.randrange(3) > 0, on_error=self._on_error(depth))


def _condition(name: str) -> JsonObject:
    """One that says whose it is."""
    return {"field": "trigger.body", "operator": "equals", "value": name}


class Expected(msgspec.Struct):
    """What a run should come to. `is_exact`: whatever the order in which parallel items go on."""

    status: str
    done: Sequence[str]
    is_exact: bool


class Member(Plain):
    """Carries out one run, and each that belongs to it, into `found`."""

    def __init__(
        self, run_id: UUID, seed: int, zaps: Mapping[UUID, tuple[Step, ...]], found: dict[UUID, Expected]
    ) -> None:
        super().__init__(fates_of(run_id, seed))
        self._id = run_id
        self._seed = seed
        self._zaps = zaps
        self._found = found
        self.is_exact = True
        self.ends_all = False

    def run(self, steps: Sequence[Step]) -> str:
        """How the run ends."""
        try:
            self._scope(steps)
            status = "completed"
        except Stop as stop:
            status, self.ends_all = stop.status, not isinstance(stop, Rejection)
        except Broke:
            status = "failed"
        except Sieved:
            status = "filtered"
        self._found[self._id] = Expected(status, self.done, self.is_exact)
        return status

    def _step(self, step: Step) -> None:
        match step:
            case ForEachStep():
                self.done.append(step.id)
                self._loop(step)
            case ZapStep():
                self.done.append(step.id)
                callee = self._child(step.id, 0)
                status = callee.run(self._zaps[step.zap_id])
                self.is_exact = self.is_exact and (callee.is_exact or not step.wait)
                if step.wait and status in {"failed", "cancelled"}:
                    raise Broke
            case _:
                super()._step(step)

    def _loop(self, step: ForEachStep) -> None:
        assert isinstance(step.items, list)
        size, failed, parallel = len(step.items), 0, step.at_once > 1
        for index in range(size):
            if is_over(step, size, failed):
                self.is_exact = self.is_exact and not parallel
                break
            item = self._child(step.id, index)
            status = item.run(step.steps)
            self.is_exact = self.is_exact and item.is_exact
            if item.ends_all:
                self.is_exact = self.is_exact and not parallel
                self.done.pop()
                raise Stop(status)
            failed += status == "failed"
        if failed > _tolerated(step, size):
            raise Broke

    def _child(self, step_id: str, index: int) -> "Member":
        return Member(ChildIds(self._id, step_id).of(index), self._seed, self._zaps, self._found)


def _tolerated(step: ForEachStep, size: int) -> float:
    if not step.tolerate:
        return 0 if step.on_item_error == "stop" else size
    if step.tolerate.count is not msgspec.UNSET:
        return step.tolerate.count
    return (step.tolerate.percent or 0) * size / 100
