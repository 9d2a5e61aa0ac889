"""What every data step is: a config, and a pure function of it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from domain.language.patterns import pattern_of
from domain.values.json import Json, JsonObject
from domain.values.path import Missing, look_up, parse_path

MAX_MADE = 100_000
"""Items that one step makes at most."""
MAX_TEXT = 8_000_000
"""Characters of text that one step makes at most."""
Path: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500, description="a path inside an item: customer.id")]


class Unfit(ValueError):
    """Data that the step cannot work with. The message begins with the path of the field where that helps."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One data step. `work` takes the config, read, and the time; it raises Unfit, and nothing else.

    `heavy`: its time does not follow from the size of its data, so it never runs on an event loop.
    """

    name: str
    description: str
    icon: str
    config: type[msgspec.Struct]
    work: Callable[[Any, datetime], Json]
    example: JsonObject
    sample: Json
    check: Callable[[JsonObject], dict[str, str]] = lambda _saved: {}
    heavy: bool = False


def field_of(item: Json, path: str) -> Json:
    """The value at a path of an item, null where there is none. Raises Unfit for what is no path."""
    try:
        found = look_up(item, parse_path(path))
    except ValueError as error:
        raise Unfit(str(error)) from None
    return None if isinstance(found, Missing) else found


def path_problems(saved: JsonObject, names: Iterable[str]) -> dict[str, str]:
    """Which of these fields of a config as saved, a path or a list of paths, are none."""
    found: dict[str, str] = {}
    for name in names:
        value = saved.get(name)
        several = isinstance(value, list)
        for index, path in enumerate(value if isinstance(value, list) else [value]):
            wrong = path_problem(path)
            if wrong:
                found[f"{name}.{index}" if several else name] = wrong
    return found


def path_problem(path: Json) -> str | None:
    """Why a saved text is no path; None where it is one, or a template that may give one."""
    if not isinstance(path, str) or "{{" in path:
        return None
    try:
        parse_path(path)
    except ValueError as error:
        return str(error)
    return None


def pattern_problem(text: Json) -> str | None:
    """Why a saved text is no pattern; None where it is one, or has a template."""
    if not isinstance(text, str) or "{{" in text:
        return None
    try:
        pattern_of(text)
    except ValueError as error:
        return str(error)
    return None


def like(value: Json) -> str:
    """The same text for values that are equal as JSON: 1 and 1.0 are, 1 and "1" or true are not."""
    return msgspec.json.encode(_plain(value), order="deterministic").decode()


def _plain(value: Json) -> Json:
    match value:
        case float() if value.is_integer():
            return int(value) if abs(value) < 2**53 else value
        case int() if not isinstance(value, bool) and value.bit_length() > 63:
            return f"{value}n"
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {str(_plain(name)): _plain(item) for name, item in value.items()}
    return value


def bounded_items(items: list[Json]) -> list[Json]:
    """The list, unless it is too long. Raises Unfit."""
    if len(items) > MAX_MADE:
        raise Unfit(f"this makes more than {MAX_MADE:,} items")
    return items


def bounded_text(text: str) -> str:
    """The text, unless it is too long. Raises Unfit."""
    if len(text) > MAX_TEXT:
        raise Unfit(f"this makes more than {MAX_TEXT:,} characters")
    return text
