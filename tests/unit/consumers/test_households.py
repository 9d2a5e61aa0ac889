"""Zaps of every kind of step that loop and call one another, while their runner dies again and again."""

from collections.abc import Mapping, Sequence
from itertools import product
from random import Random
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.flow.steps import ForEachStep, ReturnStep, Step, StopStep, WaitForStep, ZapStep
from domain.run.events import RunCancelled, RunEvent, StepDecided, StepFailed, StepSucceeded
from domain.run.state import EndedRun
from tests.support.family import Entry, families
from tests.support.flows import action
from tests.support.households import ROOT, ZAPS, Expected, Member, a_household
from tests.support.mortal import Town, entries

FUSES = st.lists(st.integers(1, 60), max_size=6)
SEEDS = st.integers(0, 2**32 - 1)


def expected(zaps: Mapping[UUID, tuple[Step, ...]], seed: int) -> dict[UUID, Expected]:
    found: dict[UUID, Expected] = {}
    Member(ROOT, seed, zaps, found).run(zaps[ZAPS[0]])
    return found


def done(events: Sequence[RunEvent]) -> list[str]:
    """The steps with an outcome, in their order."""
    outcomes = [event for event in events if isinstance(event, StepSucceeded | StepFailed | StepDecided)]
    return [outcome.step_id for outcome in outcomes]


async def check(town: Town, wanted: Mapping[UUID, Expected]) -> None:
    found = await entries(town)
    runs = await town.runs()
    assert all(isinstance(run.state, EndedRun) for run in runs.values())
    assert list(families({run_id: [Entry(*one) for one in events] for run_id, events in found.items()})) == []
    strict = all(one.is_exact for one in wanted.values())
    if strict:
        assert runs.keys() == wanted.keys()
    for run_id, events in found.items():
        end = events[-1][1]
        cut_short = isinstance(end, RunCancelled) and end.code in {"parent_ended", "stopped"}
        if run_id not in wanted or not wanted[run_id].is_exact:
            continue
        steps = done([event for _stored, event in events])
        assert len(set(steps)) == len(steps)
        if strict or not cut_short:
            state = cast(EndedRun, runs[run_id].state)
            assert (state.status, steps) == (wanted[run_id].status, list(wanted[run_id].done))
        else:
            assert steps == list(wanted[run_id].done)[: len(steps)]
    assert all(times <= 1 + town.deaths for times in town.called.values())
    for key in town.called:
        run_id, step_id = UUID(key.rpartition(".")[0]), key.rpartition(".")[2]
        if run_id in wanted and wanted[run_id].is_exact:
            assert step_id in wanted[run_id].done


def loop(step_id: str, *steps: Step, count: int = 2, **fields: Any) -> ForEachStep:
    return ForEachStep(step_id, [*range(count)], steps, on_item_error="continue", **fields)


STOPS = StopStep("halt", "failed")
FAMILIES: dict[str, list[tuple[Step, ...]]] = {
    "a loop in a loop, and one behind it": [
        (loop("outer", loop("inner", action("a")), action("b")), loop("next", action("c")), action("d"))
    ],
    "an item that stops all": [(loop("outer", loop("inner", action("a"), STOPS), action("b"), count=3), action("c"))],
    "a loop at once in which one returns": [
        (loop("outer", action("a"), ReturnStep("answer", 5), order="parallel", limit=2, count=4), action("b"))
    ],
    "items that call a zap that stops": [
        (loop("outer", ZapStep("call", ZAPS[1]), action("a")), action("b")),
        (loop("each", action("c")), STOPS),
    ],
    "a zap that is not waited for": [
        (loop("outer", ZapStep("call", ZAPS[1], wait=False)), action("b")),
        (WaitForStep("w"), loop("each", action("c"))),
    ],
}


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_runner_may_die_at_any_moment(family: str) -> None:
    zaps = dict(zip(ZAPS, FAMILIES[family], strict=False))
    effects, was_reached = 0, True
    while was_reached:
        effects += 1
        town = Town(zaps, 7, Random(effects))
        await town.live([effects])
        await check(town, expected(zaps, 7))
        was_reached = town.deaths > 0
    assert effects > 15


async def test_no_item_is_begun_behind_one_that_stops_all() -> None:
    """Whoever finds a loop in the log may see the end of that item before its message comes."""
    zaps = {ZAPS[0]: (loop("outer", STOPS, count=3), action("a"))}
    for effects, order in product(range(1, 15), range(10)):
        town = Town(zaps, 7, Random(order))
        await town.live([effects])
        await check(town, expected(zaps, 7))


@pytest.mark.parametrize("in_order", [True, False])
@settings(max_examples=60)
@given(st.randoms(use_true_random=True), SEEDS, FUSES)
async def test_every_run_comes_to_its_end_whenever_its_runner_dies(
    in_order: bool, dice: Random, seed: int, fuses: list[int]
) -> None:
    zaps = a_household(dice, in_order=in_order)
    town = Town(zaps, seed, dice)
    await town.live(fuses)
    await check(town, expected(zaps, seed))
