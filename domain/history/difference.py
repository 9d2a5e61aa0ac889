"""What people are shown of a change: steps by their ids, and nothing that looks like a secret."""

import re
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from domain.history.changes import MAX_CHANGES, Change, changes
from domain.history.point import Point
from domain.values.json import Json, JsonObject
from domain.values.redaction import REDACTED, is_secret, shown_fields, shown_text

MAX_BYTES = 64 * 1024
"""Of the changes of one comparison; those that come first are kept."""
LONG = 4_000
"""Characters of a text, of which the beginning is shown."""
ORDER = "$order"
"""Where the ids of things stand whose order has changed."""
_MARK = re.compile("\0[0-9a-f]{64}")
"""Behind a text of which something is left out: two of them are alike where the whole texts are."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed; `cut`: there is more than is told here."""

    changes: list[Change]
    cut: bool = False


class DifferenceBetween(Difference, frozen=True, kw_only=True):
    """What has changed between two points of the log."""

    from_: Point = msgspec.field(name="from")
    to: Point


def difference(before: Json, after: Json) -> Difference:
    """How to get from one to the other, by paths such as `steps.notify.config.url`."""
    found = changes(*_keyed(_hidden(before), _hidden(after)), limit=MAX_CHANGES + 1, show=_unmarked)
    kept, room = [], MAX_BYTES
    for change in found[:MAX_CHANGES]:
        room -= len(msgspec.json.encode(change))
        if room < 0:
            break
        kept.append(change)
    return Difference(changes=kept, cut=len(kept) < len(found))


def _keyed(before: Json, after: Json) -> tuple[Json, Json]:
    """Both, with lists of things that have ids as objects by those ids."""
    if isinstance(before, list) and isinstance(after, list):
        one, other = _by_id(before), _by_id(after)
        if one is None or other is None or not (one or other):
            return before, after
        first, second = _both(one, other)
        if [key for key in one if key in other] != [key for key in other if key in one]:
            first[ORDER], second[ORDER] = list(one), list(other)
        return first, second
    if isinstance(before, dict) and isinstance(after, dict):
        return _both(before, after)
    return before, after


def _both(one: Mapping[str, Json], other: Mapping[str, Json]) -> tuple[JsonObject, JsonObject]:
    pairs = {key: _keyed(one[key], other[key]) for key in one if key in other}
    first = {key: pairs[key][0] if key in pairs else value for key, value in one.items()}
    return first, {key: pairs[key][1] if key in pairs else value for key, value in other.items()}


def _by_id(items: list[Json]) -> dict[str, Json] | None:
    found: JsonObject = {}
    for item in items:
        key = item.get("id") if isinstance(item, dict) else None
        if not isinstance(key, str) or key in found:
            return None
        found[key] = item
    return found


def _hidden(value: Json, name: str = "") -> Json:
    """The value without what looks like a secret, by the name that it goes by."""
    if value and is_secret(name):
        return _marked(REDACTED, value)
    match value:
        case dict():
            pair = value.get("name")
            inner = pair if isinstance(pair, str) else ""
            return {key: _hidden(one, inner if key == "value" else key) for key, one in value.items()}
        case list():
            return [_hidden(one) for one in value]
        case str():
            fields = shown_fields({name: value[:LONG]})
            text = fields[name]
            return _marked(shown_text(text) if isinstance(text, str) else REDACTED, value)
        case _:
            return value


def _marked(text: str, value: Json) -> str:
    return text if text == value else f"{text}\0{sha256(msgspec.json.encode(value, order='sorted')).hexdigest()}"


def _unmarked(value: Json) -> Json:
    match value:
        case dict():
            return {key: _unmarked(one) for key, one in value.items()}
        case list():
            return [_unmarked(one) for one in value]
        case str():
            return _MARK.sub("", value)
        case _:
            return value
