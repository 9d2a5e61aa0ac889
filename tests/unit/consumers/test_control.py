"""Steps that call nobody, on data that takes them too long or makes too much of them."""

from collections.abc import AsyncIterator

import pytest

from consumers.connectors import catalog
from consumers.definitions import compile_definition
from consumers.rendering.rendering import Rendering
from consumers.runner.control import Begun, Control
from domain.aggregates import RUN
from domain.connector.outcome import Failed, Outcome
from domain.flow.steps import ControlStep, FilterStep, ReturnStep, SetStep, StopStep
from domain.log.stream import load
from domain.run.links import NO_LINKS
from domain.run.state import ActiveRun
from domain.values.json import Json
from domain.zap.definition import Definition, Trigger
from sql.process.clock import new_id
from tests.support.builders import an_append
from tests.support.clock import START
from tests.support.memory_store import MemoryStore

CATALOG = catalog()


@pytest.fixture
async def rendering() -> AsyncIterator[Rendering]:
    rendering = Rendering(1)
    yield rendering
    await rendering.aclose()


async def found(rendering: Rendering, step: ControlStep, body: Json) -> Begun | Outcome:
    store, run_id = MemoryStore(), new_id()
    await store.append(an_append(stream_id=run_id))
    run = await load(store, RUN, run_id)
    assert run is not None
    assert isinstance(run.state, ActiveRun)
    version = compile_definition(Definition(Trigger("webhook.catch"), (step,)), CATALOG)
    context: dict[str, Json] = {"trigger": {"body": body}, "steps": {}}
    return await Control(rendering, lambda: START, NO_LINKS).of(step, run, run.state, version, context)


async def test_a_condition_that_takes_too_long_fails_its_step(rendering: Rendering) -> None:
    rules: list[Json] = [
        {"field": "trigger.body", "operator": "not_contains", "value": f"x{number}"} for number in range(100)
    ]
    step = FilterStep("heavy", {"all": rules})
    outcome = await found(rendering, step, [f"y{number}" for number in range(500_000)])
    assert isinstance(outcome, Failed)
    assert outcome.code == "template_limit"


@pytest.mark.parametrize(
    "step", [SetStep("v", {"a": "{{ trigger.body.x }}"}), StopStep("s", "failed", "{{ trigger.body.x }}")]
)
async def test_a_path_that_is_missing_fails_the_step_and_is_named(rendering: Rendering, step: ControlStep) -> None:
    outcome = await found(rendering, step, {})
    assert isinstance(outcome, Failed)
    assert outcome.code == "template"
    assert "trigger.body.x is undefined" in outcome.message


async def test_a_value_that_is_too_large_fails_the_step_and_names_the_limit(rendering: Rendering) -> None:
    outcome = await found(rendering, ReturnStep("r", ["{{ trigger.body }}"] * 5), "x" * 2**20)
    assert isinstance(outcome, Failed)
    assert outcome.code == "too_large"
    assert "4,194,304" in outcome.message
