"""Rendering beside the event loop: hostile work ends within its budget, others have their turn, nothing outlives it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from consumers.rendering.rendering import Rendering
from domain.data.operation import Unfit
from domain.language import condition
from domain.language.template import TemplateError, TooMuchWork, compiled
from domain.values.json import Json, JsonObject

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ADA, EVE = UUID(int=1), UUID(int=2)
NUMBERS = list(range(20_000))
TEXTS = [str(number) for number in NUMBERS]
LOOP = "{% for i in (1..3) %}{{ i }}{% endfor %}"


@pytest_asyncio.fixture
async def rendering() -> AsyncIterator[Rendering]:
    made = Rendering(1)
    yield made
    await made.aclose()


async def made(rendering: Rendering, config: Any, tenant: UUID = ADA, **body: Any) -> Any:
    return await rendering.render(tenant, compiled(config), {"trigger": {"body": body}}, NOW)


HOSTILE = {
    "contains in a loop": "{% for i in (1..9999) %}{% if trigger.body.n contains i %}{% endif %}{% endfor %}",
    "equal in a loop": "{% for i in (1..9999) %}{% if trigger.body.t == trigger.body.u %}{% endif %}{% endfor %}",
    "case in a loop": "{% for i in (1..9999) %}{% case trigger.body.t %}{% when trigger.body.u %}.{% endcase %}"
    "{% endfor %}",
    "300 sorts": {str(i): "{{ trigger.body.t | sort | size }}x" for i in range(300)},
    "1000 loops": ["{% for i in (1..9999) %}{{ i | plus: 1 | times: 2 }}{% endfor %}"] * 1000,
    "replace": "{{ trigger.body.s | replace: 'x', trigger.body.s | size }}x",
    "json in a loop": "{% for i in (1..9999) %}{{ trigger.body.t | json | size }}{% endfor %}",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_work_is_ended_and_the_next_job_is_done(rendering: Rendering, name: str) -> None:
    began = time.process_time()
    with pytest.raises(TemplateError):
        await made(rendering, HOSTILE[name], n=NUMBERS, t=TEXTS, u=[*TEXTS[:-1], "x"], s="x" * 100_000)
    assert await made(rendering, LOOP) == "123"
    assert time.process_time() - began < 1, "the work is done elsewhere"


async def test_uniq_of_many_is_quick_enough_to_be_done(rendering: Rendering) -> None:
    assert await made(rendering, "{{ trigger.body.n | uniq | size }}x", n=NUMBERS) == "20000x"


async def test_a_step_fails_with_a_code_and_a_message(rendering: Rendering) -> None:
    with pytest.raises(TooMuchWork, match="100 ms of CPU time") as caught:
        await made(rendering, HOSTILE["contains in a loop"], n=NUMBERS)
    assert caught.value.code == "template_limit"


async def test_the_place_of_a_mistake_comes_back(rendering: Rendering) -> None:
    with pytest.raises(TemplateError, match="is undefined") as caught:
        await made(rendering, {"a": ["x", "{% if true %}{{ trigger.body.nope }}{% endif %}"]})
    assert caught.value.path == ".a.1"


@pytest.mark.parametrize("value", [None, True, 1.5, 10**30, "é\ud800", {"a": [1]}, []])
async def test_values_come_back_as_they_are(rendering: Rendering, value: Any) -> None:
    config = {"loop": LOOP, "lone": "{{ trigger.body.v }}"}
    wanted = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    assert await made(rendering, config, v=value) == {"loop": "123", "lone": wanted}


async def test_substitutions_start_no_process(rendering: Rendering) -> None:
    await made(
        rendering, {"a": "{{ trigger.body.t }}", "b": "x {{ trigger.body.s | upcase | truncate: 5 }}"}, t=TEXTS, s="a"
    )
    assert rendering._all[0]._child is None


async def test_a_process_that_is_killed_is_replaced_and_the_job_done_all_the_same(rendering: Rendering) -> None:
    assert await made(rendering, LOOP) == "123"
    child = rendering._all[0]._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    assert await made(rendering, LOOP) == "123"


async def test_a_process_that_hangs_is_ended(rendering: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await made(rendering, LOOP) == "123"
    child = rendering._all[0]._child
    assert child is not None
    monkeypatch.setattr("consumers.rendering.process.WALL_S", 0.2)
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(TooMuchWork):
        await made(rendering, LOOP)
    monkeypatch.undo()
    assert await made(rendering, LOOP) == "123"


async def test_one_who_gives_up_leaves_the_process_usable(rendering: Rendering) -> None:
    assert await made(rendering, LOOP) == "123"
    slow = asyncio.create_task(made(rendering, HOSTILE["contains in a loop"], n=NUMBERS))
    waiting = asyncio.create_task(made(rendering, LOOP))
    await asyncio.sleep(0)
    slow.cancel()
    waiting.cancel()
    await asyncio.gather(slow, waiting, return_exceptions=True)
    assert await made(rendering, LOOP) == "123"


async def test_tenants_take_turns(rendering: Rendering) -> None:
    done: list[str] = []

    async def job(tenant: UUID, name: str) -> None:
        assert await made(rendering, LOOP, tenant) == "123"
        done.append(name)

    await asyncio.gather(*[job(EVE, "eve") for _ in range(20)], job(ADA, "ada"))
    assert done.index("ada") <= 2


async def test_what_waits_is_bounded_by_tenant() -> None:
    rendering = Rendering(1, most_waiting=2)
    outcomes = await asyncio.gather(
        *[made(rendering, LOOP, EVE) for _ in range(5)], made(rendering, LOOP), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes if isinstance(outcome, TooMuchWork)] != []
    assert outcomes[-1] == "123"
    await rendering.aclose()


async def test_nothing_is_left_behind(rendering: Rendering) -> None:
    assert await made(rendering, LOOP) == "123"
    child = rendering._all[0]._child
    assert child is not None
    await rendering.aclose()
    assert child.returncode is not None


async def test_a_heavy_condition_is_settled_elsewhere_with_the_same_result(rendering: Rendering) -> None:
    rule = {"field": "trigger.body.n", "operator": "not_contains", "value": "nothing"}
    raw: Any = {"all": [rule] * 20}
    context: Any = {"trigger": {"body": {"n": TEXTS}}}
    decision = await rendering.settle(ADA, condition.load(raw), raw, context)
    assert decision == condition.explain(condition.load(raw), context)
    assert rendering._all[0]._child is not None


async def test_a_condition_that_takes_too_much_is_ended(rendering: Rendering) -> None:
    wanted = [*TEXTS[:899], "x"]
    rule = {"field": "trigger.body.n", "operator": "not_contains", "value": wanted}
    raw: Any = {"all": [rule] * 100}
    context: Any = {"trigger": {"body": {"n": [TEXTS[:900]] * 3_000}}}
    with pytest.raises(TooMuchWork):
        await rendering.settle(ADA, condition.load(raw), raw, context)


async def test_a_large_parent_has_working_processes() -> None:
    ballast = bytearray(400 * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    rendering = Rendering(1)
    assert await made(rendering, LOOP) == "123"
    await rendering.aclose()
    assert ballast


async def test_a_data_step_is_done_in_a_process(rendering: Rendering) -> None:
    rows: Json = [{"n": n} for n in range(1_000)]
    config: JsonObject = {"items": rows, "by": [{"path": "n", "order": "descending"}], "limit": 1}
    assert await rendering.shape(ADA, "data.sort", config, NOW) == {"items": [{"n": 999}], "count": 1}
    with pytest.raises(Unfit, match="items: "):
        await rendering.shape(ADA, "data.sort", {"items": "x"}, NOW)


async def test_a_data_step_that_takes_too_long_is_stopped(rendering: Rendering) -> None:
    select: Json = {"x": {"css": "p", "all": True}}
    config: JsonObject = {"text": "<div><p>x</p>" * 3_000, "within": "div", "select": select}
    with pytest.raises(TooMuchWork):
        await rendering.shape(ADA, "data.html", config, NOW)
    assert await rendering.shape(ADA, "data.split", {"value": "a"}, NOW) == {"items": ["a"], "count": 1}
