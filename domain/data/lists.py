"""Steps that take lists apart, choose from them, order them and put them together."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.operation import MAX_MADE, Operation, Path, Unfit, bounded_items, field_of, like, path_problems
from domain.language import condition
from domain.language.moments import moment_of
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject

Items = Annotated[list[Json], Meta(title="Items", description="A list, such as {{ steps.fetch.output.body.lines }}")]


class Split(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of a value: lines of a text, portions of a list, fields of an object."""

    value: Annotated[Json, Meta(title="Value", description="A text, a list or an object")]
    separator: Annotated[str, Meta(title="Separator", min_length=1, max_length=100, description="Of a text")] = "\n"
    size: (
        Annotated[int, Meta(title="Items per portion", ge=1, le=MAX_MADE, description="Portions of a list")] | Unset
    ) = UNSET
    trim: Annotated[bool, Meta(title="Without white space around parts, and without empty ones")] = True


def split(wanted: Split, _now: datetime) -> Json:
    """The parts as `items`."""
    match wanted.value:
        case None:
            items: list[Json] = []
        case str() as text:
            parts = text.split(wanted.separator, MAX_MADE + 1)
            items = list[Json]([part.strip() for part in parts if part.strip()] if wanted.trim else parts)
        case list() as whole:
            items = list[Json](_portions(whole, wanted.size)) if wanted.size else whole
        case dict() as fields:
            items = [{"key": key, "value": value} for key, value in fields.items()]
        case _:
            raise Unfit("value: must be a text, a list or an object")
    return _listed(items)


def _portions(items: list[Json], size: int) -> Iterator[list[Json]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _listed(items: list[Json], **more: Json) -> JsonObject:
    return {"items": bounded_items(items), "count": len(items), **more}


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those items for which a condition holds."""

    items: Items
    condition: Annotated[
        JsonObject,
        Meta(title="Condition", description="As that of a filter step; the fields are those of `item`: item.total"),
    ]


def keep(wanted: Filter, _now: datetime) -> Json:
    """The items that fulfil the condition, and how many do not."""
    try:
        loaded = condition.load(wanted.condition)
    except condition.InvalidCondition as error:
        raise Unfit(f"condition: {error}") from None
    kept = [
        item for index, item in enumerate(wanted.items) if condition.evaluate(loaded, {"item": item, "index": index})
    ]
    return _listed(kept, dropped=len(wanted.items) - len(kept))


def _filter_problems(saved: JsonObject) -> dict[str, str]:
    wanted = saved.get("condition")
    if not isinstance(wanted, dict):
        return {}
    found = condition.check(wanted, lambda path: None if path[0] in {"item", "index"} else _OF_ITEM, rendered=True)
    return {f"condition.{path}".rstrip("."): reason for path, reason in found.items()}


_OF_ITEM = "the fields of a condition begin with `item`, as in item.total; for other data use a template in `value`"


class By(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to order by."""

    path: Path
    order: Literal["ascending", "descending"] = "ascending"
    as_: Annotated[
        Literal["auto", "number", "text", "date"],
        Meta(title="Compare as", description="auto: numbers before texts; texts without regard to case"),
    ] = msgspec.field(default="auto", name="as")


class Sort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The items in another order."""

    items: Items
    by: Annotated[list[By], Meta(title="By", max_length=10, description="Without it, the items themselves")] = []
    limit: Annotated[int, Meta(title="Only so many", ge=1, le=MAX_MADE)] | Unset = UNSET


def sort(wanted: Sort, _now: datetime) -> Json:
    """The items in order; what has no value comes last, and equal ones stay as they were."""
    items = list(wanted.items)
    if not wanted.by:
        items.sort(key=lambda item: _rank(item, "auto"))
    for by in reversed(wanted.by):
        found = [(_rank(field_of(item, by.path), by.as_), item) for item in items]
        there = sorted((one for one in found if one[0][0] < _NONE), key=_first, reverse=by.order == "descending")
        items = [item for _rank_of, item in (*there, *(one for one in found if one[0][0] == _NONE))]
    return _listed(items[: wanted.limit or None])


_NONE = 9


def _first(ranked: tuple[tuple[int, float, str], Json]) -> tuple[int, float, str]:
    return ranked[0]


def _rank(value: Json, kind: str) -> tuple[int, float, str]:
    if value is None or value == "":
        return _NONE, 0.0, ""
    if kind == "date":
        moment = moment_of(value)
        return (0, moment.timestamp(), "") if moment else (_NONE, 0.0, "")
    if kind == "number":
        number = number_of(value)
        return (_NONE, 0.0, "") if number is None else (0, number, "")
    if kind == "auto" and isinstance(value, int | float) and not isinstance(value, bool):
        return 0, _float(value), ""
    text = spelled(value)
    return 1, 0.0, text.casefold() if kind == "auto" else text


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def number_of(value: Json) -> float | None:
    """A number, or a text that is one; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _float(value)
    try:
        number = float(value) if isinstance(value, str) and len(value) <= 100 and "_" not in value else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < float("inf") else None


class Join(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items of two lists that belong together, as in SQL."""

    left: Annotated[list[Json], Meta(title="Left list")]
    right: Annotated[list[Json], Meta(title="Right list")]
    left_key: Annotated[Path, Meta(title="Key of the left items")]
    right_key: Annotated[Path, Meta(title="Key of the right items", description="Without it, the same")] | Unset = UNSET
    kind: Annotated[
        Literal["inner", "left", "full"],
        Meta(title="Which items", description="inner: those with a partner; left: all of the left; full: all"),
    ] = "left"
    as_: (
        Annotated[
            str,
            Meta(title="Put the right item under", max_length=100, description="Without it, its fields are added"),
        ]
        | Unset
    ) = msgspec.field(default=UNSET, name="as")


def join(wanted: Join, _now: datetime) -> Json:
    """Each left item with each of its partners. A field that both have is the left item's."""
    partners: dict[str, list[Json]] = {}
    for item in wanted.right:
        key = field_of(item, wanted.right_key or wanted.left_key)
        partners.setdefault(like(key), []).append(item)
    made: list[Json] = []
    matched, alone, none = set[str](), 0, like(None)
    for item in wanted.left:
        key = like(field_of(item, wanted.left_key))
        found = partners.get(key, []) if key != none else []
        if found:
            matched.add(key)
            made += [_pair(item, other, wanted.as_) for other in found[: MAX_MADE + 1]]
        else:
            alone += 1
            made += [] if wanted.kind == "inner" else [_pair(item, None, wanted.as_)]
        bounded_items(made)
    lonely = [item for key, items in partners.items() if key not in matched for item in items]
    if wanted.kind == "full":
        made += [_pair(None, item, wanted.as_) for item in lonely]
    return _listed(made, unmatched_left=alone, unmatched_right=len(lonely))


def _pair(left: Json, right: Json, under: str | Unset) -> Json:
    mine: JsonObject = left if isinstance(left, dict) else {} if left is None else {"value": left}
    if under:
        return {**mine, under: right}
    other: JsonObject = right if isinstance(right, dict) else {} if right is None else {"right": right}
    return {**other, **mine}


LISTS = {
    "data.split": Operation(
        name="Split",
        description="Takes a text, a list or an object apart: lines, portions, fields.",
        icon="scissors",
        config=Split,
        work=split,
        example={"value": "{{ trigger.body.tags }}", "separator": ","},
        sample={"items": ["a", "b"], "count": 2},
    ),
    "data.filter": Operation(
        name="Filter a list",
        description="Keeps the items of a list for which a condition holds.",
        icon="filter",
        config=Filter,
        work=keep,
        example={
            "items": "{{ trigger.body.lines }}",
            "condition": {"field": "item.total", "operator": "greater_than", "value": 100},
        },
        sample={"items": [{"total": 120}], "count": 1, "dropped": 2},
        check=_filter_problems,
    ),
    "data.sort": Operation(
        name="Sort a list",
        description="Puts the items of a list in order, by one or more of their fields.",
        icon="arrow-down-narrow-wide",
        config=Sort,
        work=sort,
        example={"items": "{{ trigger.body.lines }}", "by": [{"path": "total", "order": "descending"}]},
        sample={"items": [{"total": 2}, {"total": 1}], "count": 2},
    ),
    "data.join": Operation(
        name="Join two lists",
        description="Brings the items of two lists together that have the same key.",
        icon="combine",
        config=Join,
        work=join,
        example={
            "left": "{{ trigger.body.orders }}",
            "right": "{{ steps.customers.output.body }}",
            "left_key": "customer_id",
            "right_key": "id",
            "as": "customer",
        },
        sample={
            "items": [{"customer_id": 7, "customer": {"id": 7}}],
            "count": 1,
            "unmatched_left": 0,
            "unmatched_right": 0,
        },
        check=lambda saved: path_problems(saved, ("left_key", "right_key")),
    ),
}
