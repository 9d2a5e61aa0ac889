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
    context = ActionContext(model, "run.step", UUID(int=1), FixedClock(), shape=in_place)
    return await catalog().actions["llm.extract"].run({**GIVEN, **more}, context)


@pytest.mark.parametrize("text", ['{"total": 17}', '```json\n{"total": 17}\n```', '\n```\n{"total": 17}```'])
async def test_an_answer_that_fits_is_the_output_with_or_without_a_fence(text: str) -> None:
    model = Model(says(text))
    found = await extracted(model)
    usage: dict[str, Json] = {"prompt_tokens": 9, "completion_tokens": 2}
    assert found == Succeeded({"data": {"total": 17}, "model": "m-1", "usage": usage, "repaired": False})
    (asked,) = model.asked
    assert asked["url"] == "https://api.openai.com/v1/chat/completions"
    assert asked["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": SCHEMA}
    assert [one["content"] for one in asked["messages"]][1] == "17 euros"


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
    found = await extracted(Model(answer))
    assert isinstance(found, Failed)
    assert found.code == code


async def test_a_busy_server_is_asked_again_and_one_of_ones_own_is_asked_in_its_words() -> None:
    busy = await extracted(Model((429, {"error": {}})))
    assert isinstance(busy, Retry)
    assert busy.after_s == 7
    model = Model(says('{"total": 1}'))
    assert isinstance(await extracted(model, base_url="http://ollama:11434/v1/", mode="prompt"), Succeeded)
    (asked,) = model.asked
    assert asked["url"] == "http://ollama:11434/v1/chat/completions"
    assert "response_format" not in asked
    assert "JSON Schema" in asked["messages"][0]["content"]


def test_mistakes_are_told_when_a_zap_is_saved() -> None:
    action = catalog().actions["llm.extract"]
    assert action.problems(GIVEN) == {}
    assert "schema" in action.problems({**GIVEN, "schema": {"type": "nothing"}})
    assert "base_url" in action.problems({**GIVEN, "base_url": "ollama"})
    assert action.connection is not None
    assert action.connection.host({**GIVEN, "base_url": "http://ollama:11434/v1"}) == "ollama:11434"
