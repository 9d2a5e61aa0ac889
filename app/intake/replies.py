"""The answers to senders: the run's id, the owner's own reply, or the run's outcome."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog
from litestar.types import Send
from msgspec import UNSET

from app.intake.run_watch import RunWatch
from consumers.rendering.rendering import Rendering
from consumers.rendering.trigger import trigger_of
from domain.hook.compiled import Hook
from domain.hook.config import ReplyConfig
from domain.intake.admission import Held, Started
from domain.intake.arrival import Arrival
from domain.language.template import TemplateError
from domain.log.ports import Clock
from domain.values.json import Json, JsonObject
from projections.run_detail import RunDetail
from sql.process.clock import now

log = structlog.get_logger()

Headers = list[tuple[bytes, bytes]]
SAFE: Headers = [(b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"sandbox")]
JSON: Headers = [(b"content-type", b"application/json"), *SAFE]
TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8"), *SAFE]
MAX_QUERY = 16 * 1024
"""Bytes of a query string."""
MAX_WAITED_RUN = 1_000_000
"""Bytes of an outcome that a waiting sender is given."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer other than a refusal."""

    status: int
    headers: Headers
    body: bytes


class Refused(msgspec.Struct, frozen=True, gc=False):
    """What a sender is told of a refusal, and its code and words for the record."""

    reply: Reply
    code: str
    detail: str


class Replies:
    """Answers to accepted requests."""

    def __init__(
        self, watch: RunWatch, public_url: str, rendering: Rendering | None = None, clock: Clock = now
    ) -> None:
        self._watch = watch
        self._public_url = public_url
        self._rendering = rendering or Rendering()
        self._clock = clock

    async def of(self, arrival: Arrival, started: Started) -> Reply:
        """The reply that the zap's hook configures. A committed request is acknowledged, whatever goes wrong here."""
        hook = arrival.zap.hook
        match hook.reply.mode:
            case "immediate":
                return accepted(started)
            case "custom":
                return await self._custom(hook, arrival, started) or accepted(started)
            case "wait":
                return await self._outcome(hook, started)

    async def _custom(self, hook: Hook, arrival: Arrival, started: Started) -> Reply | None:
        """The owner's own answer, None where its template fails."""
        assert hook.render is not None
        context: JsonObject = {
            "trigger": await trigger_of(arrival.request),
            "run": {"id": str(started.run_id)},
            "zap": {"id": str(arrival.zap_id), "version": arrival.zap.version},
        }
        try:
            rendered = await self._rendering.render(arrival.zap.owner, hook.render, context, self._clock())
        except TemplateError as error:
            log.warning("intake.reply_failed", zap_id=str(arrival.zap_id), error=error.message)
            return None
        return _written(hook.reply, rendered)

    async def _outcome(self, hook: Hook, started: Started) -> Reply:
        detail = await self._watch.outcome(started.run_id, hook.reply.timeout_s)
        if detail is not None:
            return Reply(200, JSON, _outcome_body(detail) if detail.answer is UNSET else _answer_body(detail.answer))
        url = f"{self._public_url}/api/v1/runs/{started.run_id}"
        body = {"status": "running", "run_id": started.run_id, "position": started.position, "url": url}
        return Reply(202, [*JSON, (b"location", url.encode())], msgspec.json.encode(body))


async def send_reply(send: Send, reply: Reply) -> None:
    """Send an answer. What is stored stays stored where the sender has left meanwhile, for which some servers raise."""
    length = (b"content-length", str(len(reply.body)).encode())
    with suppress(OSError, RuntimeError):
        await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
        await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def accepted(started: Started) -> Reply:
    """The default: the id of the run, also of the first one for a repeat."""
    status = b"duplicate" if started.duplicate else b"accepted"
    body = b'{"status":"%b","run_id":"%b","position":%d}' % (status, str(started.run_id).encode(), started.position)
    return Reply(200, JSON, body)


def held(one: Held) -> Reply:
    """The request is stored; its run starts when the zap's owner releases it."""
    status = b"duplicate" if one.duplicate else b"held"
    body = b'{"status":"%b","request_id":"%b","position":%d}' % (status, str(one.request_id).encode(), one.position)
    return Reply(200, JSON, body)


def accepted_all(started: Sequence[Started]) -> Reply:
    """The runs of a split request; `run_id` is the first one."""
    fresh = any(not one.duplicate for one in started)
    body = {
        "status": "accepted" if fresh else "duplicate",
        "run_id": started[0].run_id,
        "position": max(one.position for one in started),
        "run_ids": [one.run_id for one in started],
    }
    return Reply(200, JSON, msgspec.json.encode(body))


def filtered(request_id: UUID | None) -> Reply:
    """The request was understood, and starts no run. Without an id it is only counted."""
    return Reply(200, JSON, msgspec.json.encode({"status": "filtered", "request_id": request_id}))


def challenged(challenge: str) -> Reply:
    """The echo that a sender asks of a new address."""
    return Reply(200, TEXT, challenge.encode("utf-8", "replace"))


def _written(reply: ReplyConfig, rendered: Json) -> Reply:
    body = rendered.encode("utf-8", "replace") if isinstance(rendered, str) else msgspec.json.encode(rendered)
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((TEXT if isinstance(rendered, str) else JSON)[0])
    empty = reply.status in {204, 205}
    return Reply(reply.status, [*headers, *SAFE], b"" if empty else body)


def _answer_body(answer: Json) -> bytes:
    """The value of the run's `return` step."""
    return msgspec.json.encode(answer)


def _outcome_body(detail: RunDetail) -> bytes:
    body: dict[str, object] = {
        "status": detail.status,
        "run_id": detail.id,
        "position": detail.position,
        "error": detail.error,
        "output": detail.steps[-1].output if detail.steps else None,
    }
    encoded = msgspec.json.encode(body)
    return encoded if len(encoded) <= MAX_WAITED_RUN else msgspec.json.encode(body | {"output": None})
