"""Language models: have one fill in a form, and give on only what fits the form."""

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


class Extract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is read from a text."""

    model: Annotated[
        str,
        Meta(
            title="Model",
            min_length=1,
            extra_json_schema={"x-choices": {"name": "list_models", "depends_on": []}, "examples": ["gpt-4.1-mini"]},
        ),
    ]
    text: Annotated[Json, Meta(title="Text", description="Or any other value; it is data, never instructions")]
    schema: Annotated[JsonObject, Meta(title="JSON Schema", description="What the output has to fit")]
    system: Annotated[str, Meta(title="Instructions", description="Keep data out of them")] = (
        "Take from the text what the schema asks for."
    )
    mode: Annotated[
        Literal["json_schema", "prompt"],
        Meta(title="The schema goes", description="As response_format, or as text to servers that do not know that"),
    ] = "json_schema"
    max_tokens: Annotated[int, Meta(title="At most so many tokens", ge=1)] | UnsetType = UNSET
    base_url: Annotated[
        str,
        Meta(title="Server", max_length=500, description="Any that speaks this protocol: Ollama, vLLM, a gateway …"),
    ] = OPENAI


class _Said(msgspec.Struct, frozen=True):
    """An answer of the model: its text, what it read and wrote in tokens, and which one it was."""

    text: str
    usage: dict[str, int]
    model: str


class _Ended(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


async def extract(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Ask, and where the answer does not fit ask once more with the mistakes. Raises Unreachable."""
    try:
        config = read(Extract, {name: value for name, value in rendered.items() if value is not None})
        messages, usage = _messages(config), dict[str, int]()
        for repaired in (False, True):
            said = await _asked(config, messages, context)
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


def _messages(config: Extract) -> list[Json]:
    text = config.text if isinstance(config.text, str) else msgspec.json.encode(config.text).decode()
    schema = msgspec.json.encode(config.schema).decode()
    told = f"{config.system}\nAnswer with JSON only, of this JSON Schema: {schema}"
    return [
        {"role": "system", "content": told if config.mode == "prompt" else config.system},
        {"role": "user", "content": text},
    ]


async def _asked(config: Extract, messages: Sequence[Json], context: ActionContext) -> _Said:
    """What the model says. Raises _Ended for what is no answer to go on with."""
    body: JsonObject = {"model": config.model, "messages": list(messages)}
    if config.mode == "json_schema":
        wanted: JsonObject = {"name": "answer", "strict": True, "schema": config.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    if config.max_tokens:
        body["max_completion_tokens"] = config.max_tokens
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
            return _Said(text, usage, str(more.get("model", "")))
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


def _check(saved: JsonObject) -> dict[str, str]:
    found = problems(Extract, saved)
    base, schema = saved.get("base_url"), saved.get("schema")
    if isinstance(base, str) and not is_template(base) and (wrong := urls.check(base)):
        found["base_url"] = wrong
    if isinstance(schema, dict) and "schema" not in found and (wrong := mistake_in(schema)):
        found["schema"] = wrong
    return found


def _host(config: JsonObject) -> str:
    base = config.get("base_url") or OPENAI
    return "" if is_template(base) else fixed_host(str(base))


CONNECTOR = Connector(
    actions=(
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
            check=_check,
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
            connection=Uses(host=_host, required=True),
        ),
    ),
)  # fmt: skip
