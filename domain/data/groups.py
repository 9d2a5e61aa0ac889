"""Steps that make one thing of many: sums, groups, and what is there once."""

import hashlib
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.lists import Items, number_of
from domain.data.operation import Operation, Path, Unfit, bounded_text, field_of, like, path_problem, path_problems
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject

MAX_KEYS = 10_000
Operator: TypeAlias = Literal["count", "sum", "average", "min", "max", "first", "last", "list", "unique", "join"]


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made of the items of a group, or of one field of theirs."""

    of: Path | Unset = UNSET
    make: Operator = "list"
    separator: Annotated[str, Meta(max_length=100)] = ", "


class Aggregate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values over all items, or over those of each group."""

    items: Items
    values: Annotated[
        dict[str, Made],
        Meta(title="Values", min_length=1, max_length=50, description="By name: {make: sum, of: total}"),
    ]
    group_by: Annotated[list[Path], Meta(title="Group by", max_length=10)] = []


def aggregate(wanted: Aggregate, _now: datetime) -> Json:
    """`result` over all items; with `group_by` a list `groups` with the values of each, and its key."""
    if not wanted.group_by:
        return {"result": _made(wanted, wanted.items), "count": len(wanted.items)}
    groups: dict[str, tuple[JsonObject, list[Json]]] = {}
    for item in wanted.items:
        key: JsonObject = {path: field_of(item, path) for path in wanted.group_by}
        groups.setdefault(like(key), (key, []))[1].append(item)
    rows: list[Json] = [{"key": key, **_made(wanted, items)} for key, items in groups.values()]
    return {"groups": rows, "count": len(rows)}


def _made(wanted: Aggregate, items: list[Json]) -> JsonObject:
    return {name: _value(name, made, items) for name, made in wanted.values.items()}


def _value(name: str, made: Made, items: list[Json]) -> Json:
    values = [field_of(item, made.of) if made.of else item for item in items]
    if made.make == "count":
        return sum(value is not None for value in values) if made.of else len(values)
    there = [value for value in values if value is not None]
    match made.make:
        case "list":
            return values
        case "unique":
            return list({like(value): value for value in there}.values())
        case "join":
            return bounded_text(made.separator.join(map(spelled, there)))
        case "first" | "last":
            return there[0 if made.make == "first" else -1] if there else None
    return _OF_NUMBERS[made.make](_numbers(name, there))


def _numbers(name: str, values: Sequence[Json]) -> list[int | float]:
    found: list[int | float] = []
    for value in values:
        number = value if isinstance(value, int) and not isinstance(value, bool) else number_of(value)
        if number is None:
            raise Unfit(f"values.{name}: {spelled(value)[:50]!r} is no number")
        found.append(number)
    return found


def _sum(numbers: Sequence[int | float]) -> int | float:
    return sum(numbers) if all(isinstance(number, int) for number in numbers) else _whole(math.fsum(numbers))


def _average(numbers: Sequence[int | float]) -> Json:
    return _whole(math.fsum(numbers) / len(numbers)) if numbers else None


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_OF_NUMBERS: dict[str, Callable[[Sequence[int | float]], Json]] = {
    "sum": _sum,
    "average": _average,
    "min": lambda numbers: min(numbers, default=None),
    "max": lambda numbers: max(numbers, default=None),
}


def _aggregate_problems(saved: JsonObject) -> dict[str, str]:
    values = saved.get("values")
    made = values if isinstance(values, dict) else {}
    wrong = {f"values.{name}.of": path_problem(one.get("of")) for name, one in made.items() if isinstance(one, dict)}
    return path_problems(saved, ("group_by",)) | {path: reason for path, reason in wrong.items() if reason}


class Once(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each item once: in the list, or also of all that earlier runs had."""

    items: Items
    key: Annotated[list[Path], Meta(title="Key", max_length=10, description="Without it, the whole item")] = []
    scope: Annotated[
        Literal["list", "zap", "workspace"],
        Meta(title="Compare with", description="The list alone, or what earlier runs of the zap, or of all zaps, had"),
    ] = "list"
    name: Annotated[
        str, Meta(title="Memory", max_length=100, description="Steps with one name share what they know")
    ] = ""
    window_s: Annotated[
        int, Meta(title="Remember for seconds", ge=1, le=366 * 86_400, description="Counts from when it was new")
    ] = 30 * 86_400


def key_of(item: Json, paths: Sequence[str]) -> str:
    """What makes two items the same."""
    return like([field_of(item, path) for path in paths] if paths else item)


def once(wanted: Once, _now: datetime) -> Json:
    """The first item of each key, in order, and how many others there are; `keys` where others may have seen them."""
    first: dict[str, Json] = {}
    for item in wanted.items:
        first.setdefault(key_of(item, wanted.key), item)
    output: JsonObject = {"items": list(first.values()), "count": len(first)}
    if wanted.scope != "list":
        if len(first) > MAX_KEYS:
            raise Unfit(f"items: at most {MAX_KEYS:,} different ones can be remembered at a time")
        output["keys"] = [hashlib.sha256(key.encode()).hexdigest()[:32] for key in first]
    return {**output, "duplicates": len(wanted.items) - len(first)}


GROUPS = {
    "data.aggregate": Operation(
        name="Aggregate a list",
        description="Makes one value of many: count, sum, average, first, a list, a joined text; by group, too.",
        icon="sigma",
        config=Aggregate,
        work=aggregate,
        example={
            "items": "{{ trigger.body.lines }}",
            "group_by": ["country"],
            "values": {"orders": {"make": "count"}, "total": {"make": "sum", "of": "total"}},
        },
        sample={"groups": [{"key": {"country": "DE"}, "orders": 2, "total": 30}], "count": 1},
        check=_aggregate_problems,
    ),
    "data.dedupe": Operation(
        name="Remove duplicates",
        description="Keeps each item once: of the list, or of all that earlier runs had within a window of time.",
        icon="copy-minus",
        config=Once,
        work=once,
        example={"items": "{{ trigger.body.contacts }}", "key": ["email"], "scope": "zap", "window_s": 86_400},
        sample={"items": [{"email": "ada@example.com"}], "count": 1, "duplicates": 0},
        check=lambda saved: path_problems(saved, ("key",)),
    ),
}
