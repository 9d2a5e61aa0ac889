"""How is a language model asked, or has it fill in a form, at OpenAI or any server that speaks its protocol?

Of what it fills in, only what fits the form is given on.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from consumers.connectors.llm.asking import NO_PRICES, OPENAI, Asked, Asking, Ended
from domain.connection.hosts import fixed_host
from domain.connector import url as urls
from domain.connector.config import BadConfig, is_template, present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.input_schema import mistake_in
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.connector.uses import Uses
from domain.data.operation import Unfit
from domain.language.template import TooMuchWork
from domain.values.json import Json, JsonObject, MalformedJson, parse

MAX_TOLD = 10
"""Mistakes that the model is told of."""
_MODES = {"json_schema": ("response_format", "json_schema"), "tool": ("tool",), "prompt": ()}
"""In the order in which they are tried, with the words by which a server refuses them."""
_FENCED = re.compile(r"\s*```[a-z]*\n(.*?)\n?```\s*", re.DOTALL)


class Chat(Asked, frozen=True, kw_only=True):
    """What it is asked."""

    prompt: Annotated[Json, Meta(title="Prompt", description="A text, or any other value")]
    system: Annotated[str, Meta(title="Instructions", description="Keep data out of them")] = "Answer briefly."
    temperature: Annotated[float, Meta(title="Temperature", ge=0, le=2)] | UnsetType = UNSET


class Extract(Asked, frozen=True, kw_only=True):
    """What is read from a text."""

    text: Annotated[Json, Meta(title="Text", description="Or any other value; it is data, never instructions")]
    schema: Annotated[JsonObject, Meta(title="JSON Schema", description="What the output has to fit")]
    system: Annotated[str, Meta(title="Instructions", description="Keep data out of them")] = (
        "Take from the text what the schema asks for."
    )
    mode: Annotated[
        Literal["auto", "json_schema", "tool", "prompt"],
        Meta(
            title="The schema goes",
            description="As response_format, as a tool to call, or as text. auto: the first that the server takes",
        ),
    ] = "auto"


async def chat(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Ask once. Raises Unreachable."""
    try:
        config = read(Chat, present(rendered))
        asking = Asking(config, context)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    more: JsonObject = {} if isinstance(config.temperature, UnsetType) else {"temperature": config.temperature}
    try:
        said = await asking.ask(_messages(config.system, config.prompt), more)
    except Ended as ended:
        return asking.billed(ended.outcome)
    return Succeeded({**said.whole, "text": said.text, **asking.bill})


async def extract(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Ask, and where the answer does not fit ask once more with the mistakes. Raises Unreachable."""
    try:
        config = read(Extract, present(rendered))
        asking = Asking(config, context)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    for mode in _MODES if config.mode == "auto" else (config.mode,):
        try:
            return await _extracted(config, mode, asking, context)
        except Ended as ended:
            outcome = ended.outcome
        if config.mode != "auto" or not _unknown(mode, outcome):
            break
    return asking.billed(outcome)


async def _extracted(config: Extract, mode: str, asking: Asking, context: ActionContext) -> Outcome:
    messages, more = _of_schema(config, mode)
    usage = dict[str, int]()
    for repaired in (False, True):
        said = await asking.ask(messages, more)
        usage = {name: usage.get(name, 0) + count for name, count in said.usage.items()}
        value, mistakes = await _read(said.text, config.schema, context)
        if not mistakes:
            about: JsonObject = {"model": said.model, "mode": mode, "usage": dict(usage), "repaired": repaired}
            return Succeeded({"data": value, **about, **asking.bill})
        told = "Your answer does not fit the schema. Answer with the corrected JSON only:\n" + "\n".join(mistakes)
        messages = [*messages, {"role": "assistant", "content": said.text}, {"role": "user", "content": told}]
    message = f"the model's answer does not fit the schema: {'; '.join(mistakes)[:500]}"
    output: JsonObject = {"answer": said.text, "usage": dict(usage)}
    raise Ended(Failed(code="schema_mismatch", message=message, output=output))


def _unknown(mode: str, outcome: Outcome) -> bool:
    """Whether a server refuses the very field by which it is told of the schema."""
    if not isinstance(outcome, Failed) or outcome.code not in ("http_400", "http_422"):
        return False
    return any(word in str(outcome.output) for word in _MODES[mode])


def _messages(system: str, data: Json) -> list[Json]:
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def _of_schema(config: Extract, mode: str) -> tuple[list[Json], JsonObject]:
    """What is said to have a form filled in, and what goes along with it."""
    if mode == "prompt":
        schema = msgspec.json.encode(config.schema).decode()
        told = f"{config.system}\nAnswer with JSON only, of this JSON Schema: {schema}"
        return _messages(told, config.text), {}
    messages = _messages(config.system, config.text)
    if mode == "tool":
        function: JsonObject = {"name": "answer", "parameters": config.schema}
        chosen: JsonObject = {"type": "function", "function": {"name": "answer"}}
        return messages, {"tools": [{"type": "function", "function": function}], "tool_choice": chosen}
    wanted: JsonObject = {"name": "answer", "strict": True, "schema": config.schema}
    return messages, {"response_format": {"type": "json_schema", "json_schema": wanted}}


async def _read(text: str, schema: JsonObject, context: ActionContext) -> tuple[Json, list[str]]:
    """The value that an answer holds, with or without a fence around it, and its mistakes. Raises Ended."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = parse((fenced[1] if fenced else text).encode("utf-8", "replace"))
    except MalformedJson as error:
        return None, [f"it is not JSON: {error}"]
    try:
        checked = await context.shape("data.check", {"value": value, "schema": schema})
    except Unfit as error:
        raise Ended(Failed(code="bad_config", message=str(error))) from None
    except TooMuchWork as error:
        raise Ended(Failed(code="data_limit", message=error.message)) from None
    mistakes = checked.get("mistakes") if isinstance(checked, dict) else None
    listed = mistakes if isinstance(mistakes, list) else []
    return value, [
        f"{one.get('pointer') or 'it'}: {one.get('reason')}" for one in listed[:MAX_TOLD] if isinstance(one, dict)
    ]


def _check(kind: type[Asked], saved: JsonObject) -> dict[str, str]:
    found = problems(kind, saved)
    base, schema = saved.get("base_url"), saved.get("schema")
    if isinstance(base, str) and not is_template(base) and (wrong := urls.check(base)):
        found["base_url"] = wrong
    if saved.get("monthly_budget") is not None and saved.get("prices") is None:
        found.setdefault("monthly_budget", NO_PRICES)
    if isinstance(schema, dict) and "schema" not in found and (wrong := mistake_in(schema)):
        found["schema"] = wrong
    return found


def _host(config: JsonObject) -> str:
    base = config.get("base_url") or OPENAI
    return "" if is_template(base) else fixed_host(str(base))


def _bill(read: int, written: int, cost: str) -> JsonObject:
    attempt: JsonObject = {
        "model": "gpt-4.1-mini", "prompt_tokens": read, "completion_tokens": written, "latency_ms": 812,
        "finish_reason": "stop", "cost": cost,
    }  # fmt: skip
    return {"attempts": [attempt], "cost": cost}


_USES = Uses(host=_host, required=True)
CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="llm.chat",
            name="Language model: Ask it",
            description=(
                "Asks a model. text is what it says; refusals and answers that were cut fail the step. The answer is "
                "kept: a replay from the next step does not ask again."
            ),
            icon="sparkles",
            run=chat,
            config=Chat,
            check=lambda saved: _check(Chat, saved),
            example={"model": "gpt-4.1-mini", "prompt": "{{ trigger.body.question }}"},
            sample={
                "text": "Hello", "model": "gpt-4.1-mini",
                "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2}, **_bill(9, 2, "0.00000255"),
            },
            connection=_USES,
        ),
        ActionDescriptor(
            type="llm.extract",
            name="Language model: Have it fill in a form",
            description=(
                "Takes from a text what a JSON Schema asks for. data fits the schema: an answer that does not is "
                "corrected once by the model, and fails the step with schema_mismatch otherwise. It is kept: a replay "
                "from the next step does not ask again."
            ),
            icon="sparkles",
            run=extract,
            config=Extract,
            check=lambda saved: _check(Extract, saved),
            example={
                "model": "gpt-4.1-mini",
                "text": "{{ trigger.body.text }}",
                "schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
                           "additionalProperties": False},
            },
            sample={
                "data": {"name": "Ada"}, "model": "gpt-4.1-mini", "mode": "json_schema", "repaired": False,
                "usage": {"prompt_tokens": 40, "completion_tokens": 7}, **_bill(40, 7, "0.0000102"),
            },
            connection=_USES,
        ),
    ),
)  # fmt: skip
