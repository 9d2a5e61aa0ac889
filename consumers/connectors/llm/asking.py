"""One step's questions to a model: what it says, and what each answer took and cost."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from consumers.connectors.llm.spending import Held, Prices, hold, plain, release, spend
from domain.connector.config import BadConfig
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpReply, HttpRequest
from domain.connector.outcome import Failed, Outcome, Retry, answer, refused
from domain.values.json import Json, JsonObject

OPENAI = "https://api.openai.com/v1"
TIMEOUT_S = 120.0
MAX_ANSWER = 2**20
MAX_TOKENS = 10**9
"""Of one answer: what a server says beyond is not believed."""
UNTOLD_TOKENS = 32_768
"""What an answer may take, where nobody says."""
NO_PRICES = "a budget needs prices, such as {input: 0.15, output: 0.60} for a million tokens"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model is asked, where, and what that may cost."""

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
    prices: (
        Annotated[Prices, Meta(title="Prices", description="Of a million tokens, for cost and monthly_budget")]
        | UnsetType
    ) = UNSET
    monthly_budget: (
        Annotated[
            float,
            Meta(title="Budget of a month", gt=0, le=1e9, description="Of this zap, in the currency of the prices"),
        ]
        | UnsetType
    ) = UNSET


class Said(msgspec.Struct, frozen=True):
    """An answer of the model: its text, what it read and wrote in tokens, which one it was, and all that it was."""

    text: str
    usage: dict[str, int]
    model: str
    whole: JsonObject


class Ended(Exception):
    """There is no answer to go on with."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Asking:
    """Asks for one step. `attempts` has what each answer took, also of those that are of no use."""

    def __init__(self, config: Asked, context: ActionContext) -> None:
        if config.monthly_budget and not config.prices:
            raise BadConfig(f"monthly_budget: {NO_PRICES}")
        self._config, self._context = config, context
        self._costs: list[Decimal | None] = []
        self.attempts: list[JsonObject] = []

    @property
    def bill(self) -> JsonObject:
        """Each answer, and what they cost together; None where that is not known."""
        known = [cost for cost in self._costs if cost is not None]
        total = plain(sum(known, Decimal())) if len(known) == len(self._costs) and known else None
        return {"attempts": list(self.attempts), "cost": total}

    def billed(self, outcome: Outcome) -> Outcome:
        """A failure, with what the answers before it have cost."""
        if not self.attempts or not isinstance(outcome, Failed | Retry):
            return outcome
        output = outcome.output if isinstance(outcome.output, dict) else {"answer": outcome.output}
        return msgspec.structs.replace(outcome, output={**output, **self.bill})

    async def ask(self, messages: Sequence[Json], more: JsonObject) -> Said:
        """What the model says. Raises Ended and Unreachable."""
        request = _request(self._config, messages, more)
        held = await self._held(request)
        try:
            return await self._answered(request)
        finally:
            if held:
                await release(held, self._context)

    async def _held(self, request: HttpRequest) -> Held | None:
        budget, prices = self._config.monthly_budget, self._config.prices
        if not budget or not prices:
            return None
        read = len(request.body) if isinstance(request.body, bytes) else 0  # a token has a byte at least
        most = prices.cost(read, min(self._config.max_tokens or UNTOLD_TOKENS, MAX_TOKENS))
        held = await hold(budget, most, self._context, is_first=not self.attempts)
        if not isinstance(held, Held):
            raise Ended(held)
        return held

    async def _answered(self, request: HttpRequest) -> Said:
        asked_at = self._context.clock()
        reply = await self._context.http.request(request)
        now, said = self._context.clock(), answer(reply)
        failed = refused(reply, "the server", now)
        if reply.status == 429 and b"insufficient_quota" in reply.body:
            failed = Failed(code="insufficient_quota", message="the account has no more credit", output=said)
        if failed:
            raise Ended(failed)
        if isinstance(said, dict):
            await self._record(said, round((now - asked_at).total_seconds() * 1_000))
        return _said(reply, said)

    async def _record(self, said: JsonObject, latency_ms: int) -> None:
        tokens, prices = _usage(said), self._config.prices
        read, written = tokens.get("prompt_tokens"), tokens.get("completion_tokens")
        cost = None if not prices or read is None or written is None else prices.cost(read, written)
        self._costs.append(cost)
        self.attempts.append(
            {
                "model": str(said.get("model", "")), "prompt_tokens": read, "completion_tokens": written,
                "latency_ms": latency_ms, "finish_reason": _ended(said), "cost": None if cost is None else plain(cost),
            }
        )  # fmt: skip
        if not self._config.monthly_budget:
            return
        if cost is None:
            message = "the server does not say how many tokens its answer took, so monthly_budget can't be kept"
            raise Ended(Failed(code="usage_unknown", message=message, output=said))
        if unkept := await spend(cost, f"{len(self.attempts)} {said.get('id')}", self._context):
            raise Ended(msgspec.structs.replace(unkept, output=said))


def _request(config: Asked, messages: Sequence[Json], more: JsonObject) -> HttpRequest:
    body: JsonObject = {"model": config.model, "messages": list(messages), **more}
    if config.max_tokens:  # OpenAI has renamed it, and others have not
        body["max_completion_tokens" if config.base_url == OPENAI else "max_tokens"] = config.max_tokens
    return HttpRequest(
        method="POST",
        url=f"{config.base_url.rstrip('/')}/chat/completions",
        headers=[("Content-Type", "application/json")],
        body=msgspec.json.encode(body),
        timeout_s=TIMEOUT_S,
        max_bytes=MAX_ANSWER,
    )


def _usage(said: JsonObject) -> dict[str, int]:
    given = said.get("usage")
    counts = given if isinstance(given, dict) else {}
    return {name: count for name, count in counts.items() if type(count) is int and 0 <= count <= MAX_TOKENS}


def _ended(said: JsonObject) -> str | None:
    match said:
        case {"choices": [{"finish_reason": str(ended)}, *_]}:
            return ended
    return None


def _said(reply: HttpReply, found: Json) -> Said:
    match found:
        case {"choices": [{"message": {"refusal": str(why)}}, *_]} if why:
            raise Ended(Failed(code="refusal", message=f"the model refuses: {why[:300]}", output=found))
        case {"choices": [{"finish_reason": "length" | "content_filter" as ended}, *_]}:
            raise Ended(Failed(code=str(ended), message=f"the answer was cut: {ended}", output=found))
        case {"choices": [{"message": {"tool_calls": [{"function": {"arguments": str(text)}}, *_]}}, *_]} | {
            "choices": [{"message": {"content": str(text)}}, *_]
        } if isinstance(found, dict):
            return Said(text, _usage(found), str(found.get("model", "")), found)
    code = "answer_too_large" if reply.truncated else "answer_not_json" if isinstance(found, str) else "bad_answer"
    raise Ended(Failed(code=code, message="the server's answer is no chat completion", output=found))
