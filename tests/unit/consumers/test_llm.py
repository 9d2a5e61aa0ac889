"""A model fills in a form: only what fits is given on, whatever it says."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from consumers.connectors import catalog
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpReply, HttpRequest
from domain.connector.outcome import Failed, Retry, Succeeded
from domain.data.work import work
from domain.values.json import Json, JsonObject
from tests.support.clock import FixedClock

SCHEMA = {
    "type": "object", "properties": {"total": {"type": "number"}, "currency": {"enum": ["EUR", "USD"]}},
    "required": ["total"], "additionalProperties": False,
}  # fmt: skip
GIVEN: dict[str, Any] = {"model": "m", "text": "17 euros", "schema": SCHEMA}


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


async def asked(there: Model, type_: str, **given: Any) -> Any:
    context = ActionContext(there, "run.step", UUID(int=1), FixedClock(), shape=in_place)
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
    assert found == Succeeded({"data": {"total": 17}, "model": "m-1", "usage": usage, "repaired": False})
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
        "data": {"total": 17, "currency": "EUR"}, "model": "m-1", "usage": usage, "repaired": True,
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


def test_mistakes_are_told_when_a_zap_is_saved() -> None:
    action = catalog().actions["llm.extract"]
    assert action.problems(GIVEN) == {}
    assert "schema" in action.problems({**GIVEN, "schema": {"type": "nothing"}})
    assert "base_url" in action.problems({**GIVEN, "base_url": "ollama"})
    assert action.connection is not None
    assert action.connection.host({**GIVEN, "base_url": "http://ollama:11434/v1"}) == "ollama:11434"
