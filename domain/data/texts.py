"""Steps that work on text."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import re2
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.operation import MAX_TEXT, Operation, Unfit, bounded_text, pattern_problem
from domain.language.patterns import Pattern, pattern_of
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject

MAX_FOUND = 10_000


class Replacement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in for what: a plain text, or a pattern whose groups the new text names as \\1."""

    find: Annotated[str, Meta(min_length=1, max_length=10_000)] | Unset = UNSET
    pattern: str | Unset = UNSET
    with_: str = msgspec.field(default="", name="with")


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes a text and takes parts out of it."""

    text: Annotated[Json, Meta(title="Text", description="What is no text is written as JSON")]
    replace: Annotated[
        list[Replacement],
        Meta(title="Replace", max_length=50, description="One after the other: {find | pattern, with}"),
    ] = []
    extract: Annotated[
        dict[str, str],
        Meta(title="Extract", max_length=50, description="Patterns (RE2) by name; the first group, or all, is taken"),
    ] = {}
    all: Annotated[bool, Meta(title="Extract every occurrence", description="Then each name has a list")] = False
    ignore_case: Annotated[bool, Meta(title="Patterns without regard to case")] = False
    case: Annotated[Literal["keep", "lower", "upper", "title"], Meta(title="Case")] = "keep"
    trim: Annotated[bool, Meta(title="Without white space around it")] = False
    max_length: Annotated[int, Meta(title="At most so many characters", ge=1)] | Unset = UNSET


def text(wanted: Text, _now: datetime) -> Json:
    """The changed `text` with its size, and what was `found` in it; null, or an empty list, where nothing was."""
    made = spelled(wanted.text)
    for index, one in enumerate(wanted.replace):
        made = _replaced(made, one, index, wanted.ignore_case)
    made = made.strip() if wanted.trim else made
    made = {"lower": str.lower, "upper": str.upper, "title": str.title}.get(wanted.case, str)(made)
    made = made[: wanted.max_length or None]
    found: JsonObject = {name: _found(made, pattern, name, wanted) for name, pattern in wanted.extract.items()}
    lines = made.count("\n") + 1 if made else 0
    return {"text": made, "found": found, "length": len(made), "words": len(made.split()), "lines": lines}


def _replaced(text: str, one: Replacement, index: int, ignore_case: bool) -> str:
    if (one.find is UNSET) == (one.pattern is UNSET):
        raise Unfit(f"replace.{index}: give either find or pattern")
    if one.find:
        _check_size(text, text.count(one.find), len(one.with_))
        return text.replace(one.find, one.with_)
    assert one.pattern is not UNSET
    pattern = _pattern(one.pattern, f"replace.{index}.pattern", ignore_case)
    _check_size(text, sum(1 for _ in pattern.finditer(text)), len(one.with_))
    try:
        return bounded_text(str(pattern.sub(one.with_, text)))
    except (re2.error, IndexError, ValueError) as error:
        raise Unfit(f"replace.{index}.with: {error}") from None


def _check_size(text: str, times: int, length: int) -> None:
    bounded_text(text)
    if times * length > MAX_TEXT:
        raise Unfit(f"this makes more than {MAX_TEXT:,} characters")


def _found(text: str, source: str, name: str, wanted: Text) -> Json:
    pattern = _pattern(source, f"extract.{name}", wanted.ignore_case)
    if wanted.all:
        return list[Json](_taken(pattern, text))
    return next(_taken(pattern, text), None)


def _taken(pattern: Pattern, text: str) -> Iterator[str | None]:
    for index, match in enumerate(pattern.finditer(text)):
        if index >= MAX_FOUND:
            raise Unfit(f"a pattern occurs more than {MAX_FOUND:,} times")
        yield match.group(1) if pattern.groups else match.group(0)


def _pattern(source: str, place: str, ignore_case: bool) -> Pattern:
    try:
        return pattern_of(source, ignore_case=ignore_case)
    except ValueError as error:
        raise Unfit(f"{place}: {error}") from None


def _text_problems(saved: JsonObject) -> dict[str, str]:
    extract, replace = saved.get("extract"), saved.get("replace")
    found = {
        f"extract.{name}": pattern_problem(pattern)
        for name, pattern in (extract.items() if isinstance(extract, dict) else ())
    }
    for index, one in enumerate(replace if isinstance(replace, list) else ()):
        if isinstance(one, dict):
            found[f"replace.{index}.pattern"] = pattern_problem(one.get("pattern"))
            if (one.get("find") is None) == (one.get("pattern") is None):
                found[f"replace.{index}"] = "give either find or pattern"
    return {path: reason for path, reason in found.items() if reason}


TEXTS = {
    "data.text": Operation(
        name="Change a text",
        description="Replaces, extracts by regular expressions (RE2), trims and cuts text.",
        icon="type",
        config=Text,
        work=text,
        example={"text": "{{ trigger.body.subject }}", "extract": {"ticket": "#([0-9]+)"}},
        sample={"text": "Re: #42", "found": {"ticket": "42"}, "length": 7, "words": 2, "lines": 1},
        check=_text_problems,
        heavy=True,
    ),
}
