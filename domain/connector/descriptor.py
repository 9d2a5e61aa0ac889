"""What a connector declares: its triggers and actions, as data."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.connection.kinds import Account
from domain.connector.config import config_schema, problems
from domain.connector.http_client import HttpClient
from domain.connector.outcome import Outcome
from domain.connector.poll import Poll
from domain.connector.uses import Uses
from domain.dialogue.questions import Dialogue
from domain.files.file import Files
from domain.log.ports import Clock
from domain.memory.memory import Memory, Scratch
from domain.values.json import Json, JsonObject

Config: TypeAlias = type[msgspec.Struct]
"""What can be set, see domain.connector.config."""


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to set."""


class TriggerDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """A way to start runs, as the catalog lists it. `config` is what can be set, or `schema` where that comes from a
    file. `check` knows more of it than the fields say.

    One with a `poll` asks for what is new. What its config has to say of when and how much is the same for all:
    `every_s`, `start_from`, `max_items`. `connection`: which the trigger may name.
    """

    type: str
    name: str
    description: str
    icon: str
    config: Config = NoConfig
    schema: dict[str, Json] | None = None
    example: Json = None
    check: Callable[[JsonObject], dict[str, str]] | None = None
    poll: Poll | None = None
    connection: Uses | None = None

    def problems(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by path."""
        return self.check(config) if self.check else problems(self.config, config)

    @property
    def form(self) -> JsonObject:
        """What can be set, as a JSON Schema."""
        return config_schema(self.config) if self.schema is None else self.schema


Shape: TypeAlias = Callable[[str, JsonObject], Awaitable[Json]]
"""Works a data step out in a process that can be killed: its type and rendered config give its output."""


async def no_shape(_type: str, _config: JsonObject) -> Json:
    """For whoever runs no data steps."""
    raise RuntimeError("there are no processes for data steps here")


_FORGETFUL = Scratch(lambda: datetime.max.replace(tzinfo=UTC))
"""For whoever runs no steps that remember."""


class ActionContext(msgspec.Struct, frozen=True):
    """What an action may use. `idempotency_key` is the same on every attempt of the step in its run.

    `hop` is the value of the header TriggerHub-Depth for what the action sends, empty for none.
    The step's connection goes along with what `http` sends, which the action never sees. Only an action that speaks
    another protocol gets what it logs in with, from `account`, which raises Unreachable.
    `dialogue` speaks with servers that speak no HTTP.
    `shape` does data steps that are too much for an event loop; it raises Unfit and TooMuchWork. `memory` is what
    the zap remembers from run to run. `files` are those of the run; there are none where a draft is tested.
    """

    http: HttpClient
    idempotency_key: str
    run_id: UUID
    clock: Clock
    hop: str = ""
    account: Callable[[], Awaitable[Account]] | None = None
    dialogue: Dialogue | None = None
    shape: Shape = no_shape
    memory: Memory = _FORGETFUL
    files: Files | None = None


class ActionDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """An action: how the catalog lists it, and the coroutine that does it with the rendered config.

    `sample` is an answer such as the action may give: it stands in where a draft is tested and no other is known.

    `local`: it only computes, so tests of drafts do it, too. `idempotent`: a repeat does no harm.

    `config` is what can be set, or `schema` where that comes from a file. `check` knows more of it than its types say.
    `advise` tells of a config that is right, and yet may not be what its author wants, by the name of a field.
    `prepare` sees the config of a published version once, before data: what it decides can't depend on data.
    `connection`: which a step may name. `gives`: all fields of its output, where these are always the same.
    """

    type: str
    name: str
    description: str
    icon: str
    run: Callable[[JsonObject, ActionContext], Awaitable[Outcome]]
    config: Config = NoConfig
    schema: dict[str, Json] | None = None
    example: Json = None
    sample: Json = None
    idempotent: bool = True
    local: bool = False
    check: Callable[[JsonObject], dict[str, str]] | None = None
    advise: Callable[[JsonObject], dict[str, str]] | None = None
    prepare: Callable[[JsonObject], JsonObject] | None = None
    connection: Uses | None = None
    gives: tuple[str, ...] = ()

    def problems(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by path; templates are taken as fitting any type."""
        return self.check(config) if self.check else problems(self.config, config)

    def advice(self, config: JsonObject) -> dict[str, str]:
        """What in a config as saved may not be what its author wants, by the name of a field."""
        return self.advise(config) if self.advise else {}

    @property
    def form(self) -> JsonObject:
        """What can be set, as a JSON Schema."""
        return config_schema(self.config) if self.schema is None else self.schema

    def prepared(self, config: JsonObject) -> JsonObject:
        """The config as saved, with what it decides before any template in it is replaced."""
        return self.prepare(config) if self.prepare else config


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One module of consumers/connectors: the triggers and actions it adds to the catalog."""

    triggers: tuple[TriggerDescriptor, ...] = ()
    actions: tuple[ActionDescriptor, ...] = ()
