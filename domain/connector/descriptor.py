"""What a connector declares: its triggers and actions as data, and the outcomes an action can have."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeAlias
from uuid import UUID

import msgspec

from domain.connector.config import problems
from domain.log.ports import Clock
from domain.values.json import Json, JsonObject

Config: TypeAlias = type[msgspec.Struct]
"""What can be set, see domain.connector.config."""


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to set."""


class TriggerDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """A way to start runs, as the catalog lists it. `check` knows more of its config than the fields say."""

    type: str
    name: str
    description: str
    icon: str
    config: Config = NoConfig
    example: Json = None
    check: Callable[[JsonObject], dict[str, str]] | None = None

    def problems(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by path."""
        return self.check(config) if self.check else problems(self.config, config)


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


MAX_REPLY_BYTES = 256 * 1024
"""Of an answer, where whoever asks sets no limit."""

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a target, with its content coding undone; a header that came several times is a list.

    `truncated`: it was larger than was asked for. `size` is then as much as is known of its size.
    """

    status: int
    headers: Mapping[str, str | list[str]]
    body: bytes
    size: int = 0
    truncated: bool = False

    def header(self, name: str) -> str:
        """A header's value, the first where there are several; empty where it isn't there."""
        found = self.headers.get(name, "")
        return found if isinstance(found, str) else found[0]

    def retry_after_s(self, at: datetime) -> float | None:
        """The target's wish in seconds: a number or a date (RFC 9110 §10.2.3); None where it makes no sense."""
        text = self.header("retry-after").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, (parsedate_to_datetime(text) - at).total_seconds())
        except (ValueError, TypeError, IndexError, OverflowError):
            return None


class HttpClient(Protocol):
    """The one way out: guarded against internal addresses, no redirects, bounded in time and size.

    Raises domain.connector.descriptor.Unreachable (class of failure in `.code`), and nothing else. `tenant_id` says on
    whose connections; the client that an action is given knows that by itself.
    """

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers,
        body: bytes | None,
        timeout_s: float,
        max_bytes: int = MAX_REPLY_BYTES,
        tenant_id: UUID | None = None,
    ) -> HttpReply: ...


class Unreachable(Exception):
    """No complete answer came, or none that can be read.

    `code` is one of address_refused, dns, connect, tls, timeout, broken, unreadable, bad_url, bad_request; or
    circuit_open or rate_limited, with `after_s`: nothing was sent, and may be in so many seconds.
    """

    def __init__(self, code: str, message: str, *, permanent: bool = False, after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.after_s = after_s


class ActionContext(msgspec.Struct, frozen=True):
    """What an action may use. `idempotency_key` is the same on every attempt of the step in its run.

    `hop` is the value of the header TriggerHub-Depth for what the action sends, empty for none.
    """

    http: HttpClient
    idempotency_key: str
    run_id: UUID
    clock: Clock
    hop: str = ""


class ActionDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """An action: how the catalog lists it, and the coroutine that does it with the rendered config.

    `config` is what can be set, `check` knows more of it than its types say. `prepare` sees the config of a published
    version once, before data: what it decides can't depend on data.
    """

    type: str
    name: str
    description: str
    icon: str
    run: Callable[[JsonObject, ActionContext], Awaitable[Outcome]]
    config: Config = NoConfig
    example: Json = None
    idempotent: bool = True
    check: Callable[[JsonObject], dict[str, str]] | None = None
    prepare: Callable[[JsonObject], JsonObject] | None = None

    def problems(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by path; templates are taken as fitting any type."""
        return self.check(config) if self.check else problems(self.config, config)

    def prepared(self, config: JsonObject) -> JsonObject:
        """The config as saved, with what it decides before any template in it is replaced."""
        return self.prepare(config) if self.prepare else config


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One module of consumers/connectors: the triggers and actions it adds to the catalog."""

    triggers: tuple[TriggerDescriptor, ...] = ()
    actions: tuple[ActionDescriptor, ...] = ()
