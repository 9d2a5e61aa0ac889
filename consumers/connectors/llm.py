"""Language models, of OpenAI or any server that speaks its protocol: ask one, or have it fill in a form.

Of what it fills in, only what fits the form is given on.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connection.hosts import fixed_host
from domain.connector import url as urls
from domain.connector.config import BadConfig, is_template, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import HttpReply, HttpRequest
from domain.connector.input_schema import mistake_in
from domain.connector.outcome import Failed, Outcome, Succeeded, answer, refused
from domain.connector.uses import Uses
from domain.data.operation import Unfit
from domain.language.template import TooMuchWork
from domain.values.json import Json, JsonObject, MalformedJson, parse

OPENAI = "https://api.openai.com/v1"
TIMEOUT_S = 120.0
MAX_ANSWER = 2**20
MAX_TOLD = 10
"""Mistakes that the model is told of."""
_FENCED = re.compile(r"\s*```[a-z]*\n(.*?)\n?```\s*", re.DOTALL)


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model is asked, and where."""

    model: Annotated[
        str,
        Meta(
            title="Model",
            min_length=1,
            extra_json_schema={"x-choices": {"name": "list_models", "depends_on": []}, "examples": ["gpt-4.1-mini"]},
        ),
    ]
    max_tokens: Annotated[int, Meta(title="At most so many tokens", ge=1)] | UnsetType = UNSET
    base_url: Annotated[
        str,
        Meta(title="Server", max_length=500, description="Any that speaks this protocol: Ollama, vLLM, a gateway …"),
    ] = OPENAI


class Chat(_Asked, frozen=True, kw_only=True):
    """What it is asked."""

    prompt: Annotated[Json, Meta(title="Prompt", description="A text, or any other value")]
    system: Annotated[str, Meta(title="Instructions", description="Keep data out of them")] = "Answer briefly."
    temperature: Annotated[float, Meta(title="Temperature", ge=0, le=2)] | UnsetType = UNSET


class Extract(_Asked, frozen=True, kw_only=True):
    """What is read from a text."""

    text: Annotated[Json, Meta(title="Text", description="Or any other value; it is data, never instructions")]
    schema: Annotated[JsonObject, Meta(title="JSON Schema", description="What the output has to fit")]
    system: Annotated[str, Meta(title="Instructions", description="Keep data out of them")] = (
        "Take from the text what the schema asks for."
    )
    mode: Annotated[
        Literal["json_schema", "prompt"],
        Meta(title="The schema goes", description="As response_format, or as text to servers that do not know that"),
    ] = "json_schema"


class _Said(msgspec.Struct, frozen=True):
    """An answer of the model: its text, what it read and wrote in tokens, which one it was, and all that it was."""

    text: str
    usage: dict[str, int]
    model: str
    whole: JsonObject


class _Ended(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


async def chat(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Ask once. Raises Unreachable."""
    try:
        config = read(Chat, {name: value for name, value in rendered.items() if value is not None})
        more: JsonObject = {} if isinstance(config.temperature, UnsetType) else {"temperature": config.temperature}
        said = await _asked(config, _messages(config.system, config.prompt), more, context)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    except _Ended as ended:
        return ended.outcome
    return Succeeded({"text": said.text, **said.whole})


async def extract(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Ask, and where the answer does not fit ask once more with the mistakes. Raises Unreachable."""
    try:
        config = read(Extract, {name: value for name, value in rendered.items() if value is not None})
        messages, more = _of_schema(config)
        usage = dict[str, int]()
        for repaired in (False, True):
            said = await _asked(config, messages, more, context)
            usage = {name: usage.get(name, 0) + count for name, count in said.usage.items()}
            value, mistakes = await _read(said.text, config.schema, context)
            if not mistakes:
                return Succeeded({"data": value, "model": said.model, "usage": dict(usage), "repaired": repaired})
            told = "Your answer does not fit the schema. Answer with the corrected JSON only:\n" + "\n".join(mistakes)
            messages = [*messages, {"role": "assistant", "content": said.text}, {"role": "user", "content": told}]
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    except _Ended as ended:
        return ended.outcome
    message = f"the model's answer does not fit the schema: {'; '.join(mistakes)[:500]}"
    return Failed(code="schema_mismatch", message=message, output={"answer": said.text, "usage": dict(usage)})


def _messages(system: str, data: Json) -> list[Json]:
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def _of_schema(config: Extract) -> tuple[list[Json], JsonObject]:
    """What is said to have a form filled in, and what goes along with it."""
    if config.mode == "prompt":
        schema = msgspec.json.encode(config.schema).decode()
        told = f"{config.system}\nAnswer with JSON only, of this JSON Schema: {schema}"
        return _messages(told, config.text), {}
    wanted: JsonObject = {"name": "answer", "strict": True, "schema": config.schema}
    return _messages(config.system, config.text), {"response_format": {"type": "json_schema", "json_schema": wanted}}


async def _asked(config: _Asked, messages: Sequence[Json], more: JsonObject, context: ActionContext) -> _Said:
    """What the model says. Raises _Ended for what is no answer to go on with."""
    body: JsonObject = {"model": config.model, "messages": list(messages), **more}
    if config.max_tokens:  # OpenAI has renamed it, and others have not
        body["max_completion_tokens" if config.base_url == OPENAI else "max_tokens"] = config.max_tokens
    reply = await context.http.request(
        HttpRequest(
            method="POST",
            url=f"{config.base_url.rstrip('/')}/chat/completions",
            headers=[("Content-Type", "application/json")],
            body=msgspec.json.encode(body),
            timeout_s=TIMEOUT_S,
            max_bytes=MAX_ANSWER,
        )
    )
    said = answer(reply)
    failed = refused(reply, "the server", context.clock())
    if reply.status == 429 and b"insufficient_quota" in reply.body:
        failed = Failed(code="insufficient_quota", message="the account has no more credit", output=said)
    if failed:
        raise _Ended(failed)
    return _said(reply, said)


def _said(reply: HttpReply, found: Json) -> _Said:
    match found:
        case {"choices": [{"message": {"refusal": str(why)}}, *_]} if why:
            raise _Ended(Failed(code="refusal", message=f"the model refuses: {why[:300]}", output=found))
        case {"choices": [{"finish_reason": "length" | "content_filter" as ended}, *_]}:
            raise _Ended(Failed(code=str(ended), message=f"the answer was cut: {ended}", output=found))
        case {"choices": [{"message": {"content": str(text)}}, *_], **more}:
            given = more.get("usage")
            counts = given if isinstance(given, dict) else {}
            usage = {name: count for name, count in counts.items() if isinstance(count, int)}
            whole = found if isinstance(found, dict) else {}
            return _Said(text, usage, str(more.get("model", "")), whole)
    code = "answer_too_large" if reply.truncated else "answer_not_json" if isinstance(found, str) else "bad_answer"
    raise _Ended(Failed(code=code, message="the server's answer is no chat completion", output=found))


async def _read(text: str, schema: JsonObject, context: ActionContext) -> tuple[Json, list[str]]:
    """The value that an answer holds, with or without a fence around it, and its mistakes. Raises _Ended."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = parse((fenced[1] if fenced else text).encode("utf-8", "replace"))
    except MalformedJson as error:
        return None, [f"it is not JSON: {error}"]
    try:
        checked = await context.shape("data.check", {"value": value, "schema": schema})
    except Unfit as error:
        raise _Ended(Failed(code="bad_config", message=str(error))) from None
    except TooMuchWork as error:
        raise _Ended(Failed(code="data_limit", message=error.message)) from None
    mistakes = checked.get("mistakes") if isinstance(checked, dict) else None
    listed = mistakes if isinstance(mistakes, list) else []
    return value, [
        f"{one.get('pointer') or 'it'}: {one.get('reason')}" for one in listed[:MAX_TOLD] if isinstance(one, dict)
    ]


def _check(kind: type[_Asked], saved: JsonObject) -> dict[str, str]:
    found = problems(kind, saved)
    base, schema = saved.get("base_url"), saved.get("schema")
    if isinstance(base, str) and not is_template(base) and (wrong := urls.check(base)):
        found["base_url"] = wrong
    if isinstance(schema, dict) and "schema" not in found and (wrong := mistake_in(schema)):
        found["schema"] = wrong
    return found


def _host(config: JsonObject) -> str:
    base = config.get("base_url") or OPENAI
    return "" if is_template(base) else fixed_host(str(base))


_USES = Uses(host=_host, required=True)
CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="llm.chat",
            name="Language model: Ask it",
            description="Asks a model. text is what it says; refusals and answers that were cut fail the step.",
            icon="sparkles",
            run=chat,
            config=Chat,
            check=lambda saved: _check(Chat, saved),
            example={"model": "gpt-4.1-mini", "prompt": "{{ trigger.body.question }}"},
            sample={
                "text": "Hello", "model": "gpt-4.1-mini",
                "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2},
            },
            connection=_USES,
        ),
        ActionDescriptor(
            type="llm.extract",
            name="Language model: Have it fill in a form",
            description=(
                "Takes from a text what a JSON Schema asks for. data fits the schema: an answer that does not is "
                "corrected once by the model, and fails the step with schema_mismatch otherwise."
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
                "data": {"name": "Ada"}, "model": "gpt-4.1-mini", "repaired": False,
                "usage": {"prompt_tokens": 40, "completion_tokens": 7},
            },
            connection=_USES,
        ),
    ),
)  # fmt: skip
