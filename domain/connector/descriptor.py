"""What a connector declares: its triggers and actions as data, and the outcomes an action can have."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

from domain.log.ports import Clock
from domain.values.json import Json, JsonObject


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a trigger or action; forms, validation and docs derive from it."""

    name: str
    label: str
    type: Literal["string", "integer", "number", "boolean", "object", "json"]
    required: bool = False
    help: str = ""
    choices: tuple[str, ...] = ()
    default: Json = None


def config_schema(fields: tuple[Field, ...]) -> JsonObject:
    """The fields as a JSON Schema object, as the catalog endpoints show it."""
    properties: JsonObject = {field.name: _property(field) for field in fields}
    required: list[Json] = [field.name for field in fields if field.required]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _property(field: Field) -> JsonObject:
    schema: JsonObject = {"title": field.label, "description": field.help}
    if field.type != "json":
        schema["type"] = field.type
    if field.choices:
        schema["enum"] = list(field.choices)
    if field.default is not None:
        schema["default"] = field.default
    return schema


class TriggerDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """A way to start runs, as the catalog lists it. `check` knows more of its config than the fields say."""

    type: str
    name: str
    description: str
    icon: str
    fields: tuple[Field, ...] = ()
    example: Json = None
    check: Callable[[JsonObject], dict[str, str]] | None = None

    def problems(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by path."""
        return self.check(config) if self.check else problems(self.fields, config)


class Succeeded(msgspec.Struct, frozen=True):
    """The action did its work; `output` is what later steps see."""

    output: Json


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that time may heal. `after_s` is the target's own wish (Retry-After), if it gave one."""

    code: str
    message: str
    after_s: float | None = None
    output: Json = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that a repeat would not heal."""

    code: str
    message: str
    output: Json = None


class Postponed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was sent, so it was no attempt: to be offered again after `after_s` seconds."""

    code: str
    message: str
    after_s: float


Outcome: TypeAlias = Succeeded | Retry | Failed | Postponed


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer of a target. `body` is cut at the client's limit, `truncated` says so."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False

    def retry_after_s(self, at: datetime) -> float | None:
        """The target's wish in seconds: a number or a date (RFC 9110 §10.2.3); None where it makes no sense."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, (parsedate_to_datetime(text) - at).total_seconds())
        except (ValueError, TypeError, IndexError, OverflowError):
            return None


class HttpClient(Protocol):
    """The one way out: guarded against internal addresses, no redirects, bounded in time and size.

    Raises domain.connector.descriptor.Unreachable (class of failure in `.code`), and nothing else.
    """

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpReply: ...


class Unreachable(Exception):
    """No complete answer came.

    `code` is one of address_refused, dns, connect, tls, timeout, broken, bad_url, bad_request; or circuit_open or
    rate_limited, with `after_s`: nothing was sent, and may be in so many seconds.
    """

    def __init__(self, code: str, message: str, *, permanent: bool = False, after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.after_s = after_s


class ActionContext(msgspec.Struct, frozen=True):
    """What an action may use. `idempotency_key` is the same on every attempt of the step in its run."""

    http: HttpClient
    idempotency_key: str
    run_id: UUID
    clock: Clock


class ActionDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """An action: how the catalog lists it, and the coroutine that does it with the rendered config."""

    type: str
    name: str
    description: str
    icon: str
    run: Callable[[JsonObject, ActionContext], Awaitable[Outcome]]
    fields: tuple[Field, ...] = ()
    example: Json = None
    idempotent: bool = True

    def problems(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by field; templates are taken as fitting any type."""
        return problems(self.fields, config)


def problems(fields: tuple[Field, ...], config: JsonObject) -> dict[str, str]:
    """Missing, unknown and wrongly typed fields, by name; empty when all is well."""
    found = {name: "unknown field" for name in config if name not in {field.name for field in fields}}
    for field in fields:
        value = config.get(field.name)
        if value is None or value == "":
            if field.required:
                found[field.name] = "required"
        elif not _fits(field, value):
            found[field.name] = f"must be of type {field.type}" + (
                f", one of {', '.join(field.choices)}" if field.choices else ""
            )
    return found


def _fits(field: Field, value: Json) -> bool:
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return True
    match field.type:
        case "string":
            return isinstance(value, str) and (not field.choices or value in field.choices)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "json":
            return True


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One module of consumers/connectors: the triggers and actions it adds to the catalog."""

    triggers: tuple[TriggerDescriptor, ...] = ()
    actions: tuple[ActionDescriptor, ...] = ()
