"""Steps that call nobody, on data that takes them too long or makes too much of them."""

from collections.abc import AsyncIterator

import pytest

from consumers.connectors import catalog
from consumers.definitions import compile_definition
from consumers.rendering.rendering import Rendering
from consumers.runner.control import Begun, Control
from domain.aggregates import RUN
from domain.connector.outcome import Failed, Outcome
from domain.flow.decisions import Filtered
from domain.flow.steps import ControlStep, FilterStep, ReturnStep, SetStep, StopStep
from domain.log.stream import load
from domain.run.commands import RecordDecision
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


def above(value: Json) -> FilterStep:
    return FilterStep("f", {"field": "trigger.body.total", "operator": "greater_than", "value": value})


@pytest.mark.parametrize(
    ("step", "passes", "reason"),
    [
        (above("{{ trigger.body.least }}"), True, "trigger.body.total greater_than 10: is 17"),
        (above("{{ trigger.body.least | plus: 7 }}"), False, 'trigger.body.total greater_than "17": is 17'),
        (
            FilterStep("f", {"field": "trigger.body.due", "operator": "after", "value": "{{ now }}"}),
            True,
            'trigger.body.due after "2026-01-01T12:00:00+00:00": is "2026-11-01"',
        ),
        (
            FilterStep("f", {"field": "trigger.body.who", "operator": "in", "value": ["x", "{{ trigger.body.name }}"]}),
            True,
            'trigger.body.who in ["x", "{{ trigger.body.least }}"]: is "{{ trigger.body.least }}"',
        ),
    ],
)
async def test_values_of_conditions_may_be_templates(
    rendering: Rendering, step: FilterStep, passes: bool, reason: str
) -> None:
    hostile = "{{ trigger.body.least }}"
    body: Json = {"total": 17, "least": 10, "due": "2026-11-01", "who": hostile, "name": hostile}
    assert await found(rendering, step, body) == RecordDecision("f", Filtered(passes=passes, reason=reason))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"total": 1}, "condition.value: trigger.body.least is undefined"),
        ({"total": 1, "least": "much"}, "condition.value: a number"),
    ],
)
async def test_a_value_that_does_not_fit_fails_the_step(rendering: Rendering, body: Json, said: str) -> None:
    outcome = await found(rendering, above("{{ trigger.body.least }}"), body)
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith(said)


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
