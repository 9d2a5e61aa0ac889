"""A model fills in a form: only what fits is given on, whatever it says."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from consumers.connectors import catalog
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpReply, HttpRequest
from domain.connector.outcome import Failed, Postponed, Retry, Succeeded
from domain.data.work import work
from domain.log.ports import StoreUnavailable
from domain.memory.changes import Put
from domain.memory.memory import Memory, Place, Scratch
from domain.values.json import Json, JsonObject
from tests.support.clock import FixedClock

SCHEMA = {
    "type": "object", "properties": {"total": {"type": "number"}, "currency": {"enum": ["EUR", "USD"]}},
    "required": ["total"], "additionalProperties": False,
}  # fmt: skip
GIVEN: dict[str, Any] = {"model": "m", "text": "17 euros", "schema": SCHEMA}
ATTEMPT: JsonObject = {
    "model": "m-1", "prompt_tokens": 9, "completion_tokens": 2, "latency_ms": 0, "finish_reason": "stop", "cost": None,
}  # fmt: skip
PRICES: JsonObject = {"input": 0.15, "output": 0.60}


class Model:
    """Gives these answers, one after the other; what it was asked is in `asked`."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[Any] = []

    async def request(self, request: HttpRequest) -> HttpReply:
        assert isinstance(request.body, bytes)
        self.asked.append({"url": request.url, **msgspec.json.decode(request.body)})
        status, body = self._answers.pop(0)
        return HttpReply(status=status, headers={"retry-after": "7"}, body=msgspec.json.encode(body))


def says(content: str | None, ended: str = "stop", **message: Any) -> tuple[int, Any]:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": ended}
    return 200, {"model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


async def in_place(type_: str, config: JsonObject) -> Json:
    return work(type_, config, FixedClock()())


async def extracted(model: Model, **more: Any) -> Any:
    return await asked(model, "llm.extract", **GIVEN, **more)


async def asked(there: Model, type_: str, memory: Memory | None = None, key: str = "run.step", **given: Any) -> Any:
    remembered = memory or Scratch(FixedClock())
    context = ActionContext(there, key, UUID(int=1), FixedClock(), shape=in_place, memory=remembered)
    return await catalog().actions[type_].run(given, context)


async def test_a_model_is_asked_and_its_words_are_beside_its_whole_answer() -> None:
    model = Model(says("Hello"))
    found = await asked(model, "llm.chat", model="m", prompt="Hello?", temperature=0.5, max_tokens=10)
    assert isinstance(found, Succeeded)
    assert isinstance(found.output, dict)
    assert (found.output["text"], found.output["model"]) == ("Hello", "m-1")
    assert found.output["choices"] == says("Hello")[1]["choices"]
    (sent,) = model.asked
    assert (sent["temperature"], sent["max_completion_tokens"]) == (0.5, 10)
    assert [one["content"] for one in sent["messages"]] == ["Answer briefly.", "Hello?"]
    own = Model(says("Hello"))
    await asked(own, "llm.chat", model="m", prompt={"n": 1}, max_tokens=10, base_url="http://ollama:11434/v1")
    assert own.asked[0]["max_tokens"] == 10
    assert own.asked[0]["messages"][1]["content"] == '{"n":1}'


@pytest.mark.parametrize("text", ['{"total": 17}', '```json\n{"total": 17}\n```', '\n```\n{"total": 17}```'])
async def test_an_answer_that_fits_is_the_output_with_or_without_a_fence(text: str) -> None:
    model = Model(says(text))
    found = await extracted(model)
    usage: dict[str, Json] = {"prompt_tokens": 9, "completion_tokens": 2}
    about: JsonObject = {"model": "m-1", "mode": "json_schema", "usage": usage, "repaired": False}
    assert found == Succeeded({"data": {"total": 17}, **about, "attempts": [ATTEMPT], "cost": None})
    (sent,) = model.asked
    assert sent["url"] == "https://api.openai.com/v1/chat/completions"
    assert sent["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": SCHEMA}
    assert [one["content"] for one in sent["messages"]][1] == "17 euros"


async def test_a_model_is_told_of_its_mistakes_once_and_nothing_that_does_not_fit_is_given_on() -> None:
    wrong = '{"total": "17", "currency": "GBP"}'
    model = Model(says(wrong), says('{"total": 17, "currency": "EUR"}'))
    found = await extracted(model)
    assert isinstance(found, Succeeded)
    usage: dict[str, Json] = {"prompt_tokens": 18, "completion_tokens": 4}
    assert found.output == {
        "data": {"total": 17, "currency": "EUR"}, "model": "m-1", "mode": "json_schema", "usage": usage,
        "repaired": True, "attempts": [ATTEMPT, ATTEMPT], "cost": None,
    }  # fmt: skip
    *_, said, told = model.asked[1]["messages"]
    assert said == {"role": "assistant", "content": wrong}
    assert "/total" in told["content"]
    assert "/currency" in told["content"]
    refused = await extracted(Model(says(wrong), says("I can't.")))
    assert isinstance(refused, Failed)
    assert refused.code == "schema_mismatch"
    assert "not JSON" in refused.message
    assert isinstance(refused.output, dict)
    assert refused.output["answer"] == "I can't."


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(None, refusal="I will not"), "refusal"),
        (says('{"tot', "length"), "length"),
        (says(None, "content_filter"), "content_filter"),
        ((429, {"error": {"code": "insufficient_quota"}}), "insufficient_quota"),
        ((401, {"error": {"message": "no"}}), "http_401"),
        ((200, {"choices": []}), "bad_answer"),
    ],
)
async def test_what_is_no_answer_has_an_outcome_of_its_own(answer: tuple[int, Any], code: str) -> None:
    for found in (await extracted(Model(answer)), await asked(Model(answer), "llm.chat", model="m", prompt="?")):
        assert isinstance(found, Failed)
        assert found.code == code


async def test_a_busy_server_is_asked_again_and_one_of_ones_own_is_asked_in_its_words() -> None:
    busy = await extracted(Model((429, {"error": {}})))
    assert isinstance(busy, Retry)
    assert busy.after_s == 7
    model = Model(says('{"total": 1}'))
    assert isinstance(await extracted(model, base_url="http://ollama:11434/v1/", mode="prompt"), Succeeded)
    (sent,) = model.asked
    assert sent["url"] == "http://ollama:11434/v1/chat/completions"
    assert "response_format" not in sent
    assert "JSON Schema" in sent["messages"][0]["content"]


def refuses(word: str, status: int = 400) -> tuple[int, Any]:
    return status, {"error": {"message": f"{word} is not supported here"}}


def calls(arguments: str) -> tuple[int, Any]:
    called = {"id": "c", "type": "function", "function": {"name": "answer", "arguments": arguments}}
    return says(None, "tool_calls", tool_calls=[called])


async def test_a_server_that_does_not_know_how_the_schema_comes_gets_it_another_way() -> None:
    model = Model(refuses("response_format"), calls('{"total": "x"}'), calls('{"total": 17}'))
    found = await extracted(model)
    assert isinstance(found, Succeeded)
    assert isinstance(found.output, dict)
    assert (found.output["data"], found.output["mode"], found.output["repaired"]) == ({"total": 17}, "tool", True)
    assert "response_format" not in model.asked[1]
    assert model.asked[1]["tools"] == [{"type": "function", "function": {"name": "answer", "parameters": SCHEMA}}]
    assert model.asked[1]["tool_choice"] == {"type": "function", "function": {"name": "answer"}}
    neither = Model(refuses("response_format", 422), refuses("tools"), says('{"total": 17}'))
    found = await extracted(neither)
    assert isinstance(found, Succeeded)
    assert isinstance(found.output, dict)
    assert found.output["mode"] == "prompt"
    assert "JSON Schema" in neither.asked[2]["messages"][0]["content"]


async def test_only_what_names_the_field_is_tried_another_way_and_only_where_nobody_has_chosen() -> None:
    for model, more in (
        (Model(refuses("the model m")), {}),
        (Model(refuses("response_format", 401)), {}),
        (Model(refuses("response_format")), {"mode": "json_schema"}),
        (Model(refuses("tools")), {"mode": "tool"}),
    ):
        found = await extracted(model, **more)
        assert isinstance(found, Failed)
        assert found.code in ("http_400", "http_401")
        assert len(model.asked) == 1


async def test_each_answer_says_what_it_took_and_cost_to_the_last_digit() -> None:
    found = await extracted(Model(says("?"), says('{"total": 1}')), prices=PRICES)
    assert isinstance(found, Succeeded)
    assert isinstance(found.output, dict)
    assert found.output["attempts"] == [{**ATTEMPT, "cost": "0.00000255"}] * 2
    assert found.output["cost"] == "0.0000051"
    said = await asked(Model(says("Hello")), "llm.chat", model="m", prompt="?", prices={"input": 1, "output": 0.1})
    assert isinstance(said, Succeeded)
    assert isinstance(said.output, dict)
    assert (said.output["cost"], said.output["usage"]) == ("0.0000092", says("")[1]["usage"])
    cut = await extracted(Model(says("{", "length")), prices=PRICES)
    assert isinstance(cut, Failed)
    assert isinstance(cut.output, dict)
    assert cut.output["attempts"] == [{**ATTEMPT, "finish_reason": "length", "cost": "0.00000255"}]
    untold = await extracted(Model((200, {**says('{"total": 1}')[1], "usage": {"prompt_tokens": -1}})), prices=PRICES)
    assert isinstance(untold, Succeeded)
    assert isinstance(untold.output, dict)
    assert untold.output["cost"] is None


SPENT = Place("zap", f"llm.spent {FixedClock()():%Y-%m}")


async def test_beyond_its_budget_a_zap_asks_nothing_until_the_month_is_over() -> None:
    memory = Scratch(FixedClock())
    given: dict[str, Any] = {"prices": PRICES, "monthly_budget": 0.000006, "memory": memory}
    for step in ("a", "b", "b"):  # the server gave b the same answer twice: it counts once
        assert isinstance(await extracted(Model(says('{"total": 1}')), key=step, **given), Succeeded)
    stored = await memory.get(SPENT)
    assert stored is not None
    assert stored.value == 5_100
    model = Model(says("?"))
    repair = await extracted(model, key="c", **given)  # the first answer takes what is left: no second one is asked
    assert isinstance(repair, Failed)
    assert isinstance(repair.output, dict)
    assert (repair.code, repair.output["cost"], repair.output["spent"]) == ("budget_spent", "0.00000255", "0.00000765")
    unasked = await extracted(model, key="d", **given)
    assert isinstance(unasked, Failed)
    assert isinstance(unasked.output, dict)
    until = str(unasked.output["until"])
    assert until.endswith("-01T00:00:00Z")
    assert until > FixedClock()().isoformat()
    assert until in unasked.message
    assert len(model.asked) == 1


class Slow(Model):
    """Answers once it may."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.questions, self.may_answer = asyncio.Semaphore(0), asyncio.Event()

    async def request(self, request: HttpRequest) -> HttpReply:
        reply = await super().request(request)
        self.questions.release()
        await self.may_answer.wait()
        return reply


async def test_questions_at_once_do_not_go_beyond_a_budget_together() -> None:
    memory = Scratch(FixedClock())
    given: dict[str, Any] = {"prices": PRICES, "monthly_budget": 0.000004, "memory": memory, "max_tokens": 100}
    model = Slow(*[says('{"total": 1}')] * 2)
    first = asyncio.create_task(extracted(model, key="0", **given))
    await model.questions.acquire()
    others = await asyncio.gather(*(extracted(model, key=f"{number}", **given) for number in range(1, 20)))
    assert {(type(one), one.code) for one in others} == {(Postponed, "budget_in_use")}
    model.may_answer.set()
    assert isinstance(await first, Succeeded)
    assert isinstance(await extracted(model, key="20", **given), Succeeded)
    assert (await extracted(model, key="21", **given)).code == "budget_spent"
    assert len(model.asked) == 2


async def test_questions_at_once_are_asked_while_the_budget_lasts_for_all() -> None:
    given: dict[str, Any] = {"prices": PRICES, "monthly_budget": 1, "memory": Scratch(FixedClock())}
    model = Slow(*[says('{"total": 1}')] * 20)
    asking = [asyncio.create_task(extracted(model, key=f"{number}", **given)) for number in range(20)]
    for _ in asking:
        await model.questions.acquire()
    model.may_answer.set()
    assert {type(one) for one in await asyncio.gather(*asking)} == {Succeeded}


async def test_a_question_without_an_answer_holds_nothing() -> None:
    given: dict[str, Any] = {"prices": PRICES, "monthly_budget": 0.000001, "memory": Scratch(FixedClock())}
    assert isinstance(await extracted(Model(refuses("the model", 500)), key="a", **given), Retry)
    assert isinstance(await extracted(Model(says('{"total": 1}')), key="b", **given), Succeeded)


class Away(Scratch):
    """A database that goes away between a question and its answer."""

    async def change(self, place: Place, change: Any, operation: str) -> JsonObject:
        if place == SPENT:
            raise StoreUnavailable("away")
        return await super().change(place, change, operation)


class Gone(Away):
    """One that has been away before."""

    async def get(self, place: Place) -> Any:
        raise StoreUnavailable("away")


async def test_a_budget_that_cannot_be_kept_says_so_before_money_is_spent_where_that_is_known() -> None:
    given: dict[str, Any] = {"prices": PRICES, "monthly_budget": 1}
    model = Model(says('{"total": 1}'), (200, {**says('{"total": 1}')[1], "usage": None}))
    gone = await extracted(model, memory=Gone(FixedClock()), **given)
    assert isinstance(gone, Retry)
    assert gone.code == "store_unavailable"
    memory = Scratch(FixedClock())
    await memory.change(SPENT, Put("much"), "x")
    other = await extracted(model, memory=memory, **given)
    assert isinstance(other, Failed)
    assert other.code == "not_a_number"
    assert model.asked == []
    assert isinstance(await extracted(model, memory=Away(FixedClock()), **given), Succeeded)
    untold = await extracted(model, **given)
    assert isinstance(untold, Failed)
    assert untold.code == "usage_unknown"
    unpriced = await extracted(model, monthly_budget=1)
    assert isinstance(unpriced, Failed)
    assert unpriced.code == "bad_config"


def test_mistakes_are_told_when_a_zap_is_saved() -> None:
    action = catalog().actions["llm.extract"]
    assert action.problems(GIVEN) == {}
    assert "schema" in action.problems({**GIVEN, "schema": {"type": "nothing"}})
    assert "base_url" in action.problems({**GIVEN, "base_url": "ollama"})
    assert "prices" in action.problems({**GIVEN, "monthly_budget": 5})["monthly_budget"]
    assert action.problems({**GIVEN, "monthly_budget": 5, "prices": PRICES}) == {}
    assert action.connection is not None
    assert action.connection.host({**GIVEN, "base_url": "http://ollama:11434/v1"}) == "ollama:11434"
