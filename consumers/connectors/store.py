"""What zaps remember: values by key, of a zap or of the whole workspace, changed one at a time and once per step."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.connector.config import BadConfig, present, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.log.ports import StoreUnavailable
from domain.memory.changes import MAX_LIST, Add, Change, Push, Put, Remove, Unremembered, output_of
from domain.memory.memory import Place
from domain.values.json import Json, JsonObject

Lifetime = Annotated[
    float, Meta(title="Forget after seconds", gt=0, le=366 * 86_400, description="Without it, it stays")
]
Version = Annotated[
    int, Meta(title="Only if this is the version", ge=0, description="As store.get gives it; 0: only where none is")
]


class At(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which value."""

    key: Annotated[str, Meta(title="Key", min_length=1, max_length=500)]
    scope: Annotated[
        Literal["zap", "workspace"], Meta(title="Whose", description="Of this zap, or of all zaps of the workspace")
    ] = "zap"

    def change(self) -> Change | None:
        """What is done to it; None where it is only read."""
        return None


class Get(At, frozen=True, kw_only=True):
    """Reads a value."""

    default: Annotated[Json, Meta(title="Otherwise", description="The value where none is there")] = None


class Set(At, frozen=True, kw_only=True):
    """Stores a value."""

    value: Annotated[Json, Meta(title="Value")]
    ttl_s: Lifetime | Unset = UNSET
    if_version: Version | Unset = UNSET

    def change(self) -> Change:
        return Put(self.value, self.ttl_s or None, None if self.if_version is UNSET else self.if_version)


class Increment(At, frozen=True, kw_only=True):
    """Adds to a number."""

    by: Annotated[int | float, Meta(title="By")] = 1
    ttl_s: Lifetime | Unset = UNSET

    def change(self) -> Change:
        return Add(self.by, self.ttl_s or None)


class Append(At, frozen=True, kw_only=True):
    """Adds to a list."""

    value: Annotated[Json, Meta(title="Value")]
    max_items: Annotated[
        int, Meta(title="Keep the last", ge=1, le=MAX_LIST, description="Earlier items of the list go")
    ] = 1_000
    ttl_s: Lifetime | Unset = UNSET

    def change(self) -> Change:
        return Push(self.value, self.max_items, self.ttl_s or None)


class Delete(At, frozen=True, kw_only=True):
    """Forgets a value."""

    if_version: Version | Unset = UNSET

    def change(self) -> Change:
        return Remove(None if self.if_version is UNSET else self.if_version)


async def _done(wanted: At, context: ActionContext) -> JsonObject:
    place, change = Place(wanted.scope, wanted.key), wanted.change()
    if change is not None:
        return await context.memory.change(place, change, context.idempotency_key)
    return output_of(await context.memory.get(place), wanted.default if isinstance(wanted, Get) else None)


def _action(
    config: type[At], name: str, description: str, *, example: JsonObject, sample: JsonObject
) -> ActionDescriptor:
    async def run(rendered: JsonObject, context: ActionContext) -> Outcome:
        given = present(rendered, but="value")
        try:
            return Succeeded(await _done(read(config, given), context))
        except BadConfig as error:
            return Failed(code="bad_config", message=str(error))
        except Unremembered as error:
            return Failed(code=error.code, message=str(error))
        except StoreUnavailable:
            return Retry(code="store_unavailable", message="what is remembered can't be reached now")

    return ActionDescriptor(
        type=f"store.{config.__name__.lower()}",
        name=name,
        description=description,
        icon="database",
        run=run,
        config=config,
        example=example,
        sample=sample,
        local=True,
    )


CONNECTOR = Connector(
    actions=(
        _action(
            Get,
            "Read a remembered value",
            "Gives a value by its key, with its version.",
            example={"key": "last_order", "default": 0},
            sample={"found": True, "value": 17, "version": 3, "expires_at": None},
        ),
        _action(
            Set,
            "Remember a value",
            "Stores a value under a key, for a time or for ever. With if_version, only where nobody was quicker: "
            "then `stored` is false, with the value that is there.",
            example={"key": "last_order", "value": "{{ trigger.body.id }}", "ttl_s": 86_400},
            sample={"stored": True, "version": 4},
        ),
        _action(
            Increment,
            "Count",
            "Adds to a number, which is 0 at first. ttl_s counts from when it is made.",
            example={"key": "orders {{ now | date: '%F' }}", "ttl_s": 172_800},
            sample={"value": 5, "version": 5},
        ),
        _action(
            Append,
            "Add to a list",
            "Adds a value to the end of a list, which is empty at first, and keeps its last items.",
            example={"key": "latest", "value": "{{ trigger.body }}", "max_items": 20},
            sample={"length": 3, "version": 6},
        ),
        _action(
            Delete,
            "Forget a value",
            "Forgets what is stored under a key.",
            example={"key": "last_order"},
            sample={"deleted": True},
        ),
    )
)
