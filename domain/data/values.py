"""Steps that put values together and look them up."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.operation import Operation, Path, field_of, like, path_problems
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject


class Set(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object with these values."""

    values: Annotated[JsonObject, Meta(title="Values", max_length=500, description="By name")] = {}
    base: Annotated[JsonObject, Meta(title="Start from", description="An object whose fields are taken over")] = {}
    only: Annotated[list[str], Meta(title="Take over only", max_length=500)] = []
    without: Annotated[list[str], Meta(title="Take over without", max_length=500)] = []
    rename: Annotated[dict[str, str], Meta(title="Rename", max_length=500, description="{old: new}")] = {}


def set_values(wanted: Set, _now: datetime) -> Json:
    """The fields of `base` that are wanted, under their new names, and then `values`."""
    dropped = set(wanted.without)
    kept = {name: value for name, value in wanted.base.items() if name not in dropped}
    if wanted.only:
        kept = {name: kept[name] for name in wanted.only if name in kept}
    return {**{wanted.rename.get(name, name): value for name, value in kept.items()}, **wanted.values}


class Lookup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a table says of a value."""

    value: Annotated[Json, Meta(title="Value")]
    table: Annotated[
        dict[str, Json] | list[Json], Meta(title="Table", description="An object by value, or a list of rows")
    ]
    key: Annotated[Path, Meta(title="Key of the rows", description="Where the rows of a list have the value")] = "key"
    take: Annotated[Path, Meta(title="Take", description="What to take of the row; without it, all")] | Unset = UNSET
    default: Annotated[Json, Meta(title="Otherwise", description="Where the table does not have the value")] = None
    ignore_case: Annotated[bool, Meta(title="Without regard to case")] = False


def lookup(wanted: Lookup, _now: datetime) -> Json:
    """`value` as the table has it, and whether it was `found`; the first row counts."""
    if isinstance(wanted.table, dict):
        rows = iter(wanted.table.items())
        sought = _key(spelled(wanted.value), wanted)
        found = next(((True, row) for name, row in rows if _key(name, wanted) == sought), (False, None))
    else:
        sought = _key(wanted.value, wanted)
        found = next(
            ((True, row) for row in wanted.table if _key(field_of(row, wanted.key), wanted) == sought), (False, None)
        )
    is_found, row = found
    if not is_found:
        return {"found": False, "value": wanted.default}
    return {"found": True, "value": field_of(row, wanted.take) if wanted.take else row}


def _key(value: Json, wanted: Lookup) -> str:
    return like(value.casefold() if wanted.ignore_case and isinstance(value, str) else value)


VALUES = {
    "data.set": Operation(
        name="Set values",
        description="Makes an object: values by name, on top of an object whose fields are kept, dropped or renamed.",
        icon="braces",
        config=Set,
        work=set_values,
        example={"base": "{{ trigger.body.customer }}", "without": ["password"], "values": {"source": "shop"}},
        sample={"source": "shop"},
    ),
    "data.lookup": Operation(
        name="Look up in a table",
        description="Replaces a value by what a table says of it.",
        icon="book-open",
        config=Lookup,
        work=lookup,
        example={"value": "{{ trigger.body.country }}", "table": {"DE": "Germany", "FR": "France"}, "default": "?"},
        sample={"found": True, "value": "Germany"},
        check=lambda saved: path_problems(saved, ("key", "take")),
    ),
}
