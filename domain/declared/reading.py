"""Reads YAML and JSON that strangers wrote: plain values only, of sane size and depth, and no name twice.

YAML is read by the core schema of YAML 1.2, so that `no` is a text. Anchors and aliases are refused, since a few of
them make gigabytes; tags, because they make objects.
"""

import re
from typing import Any

import yaml

from domain.values.charset import marked
from domain.values.json import MAX_DEPTH, Json, JsonObject, MalformedJson, parse
from domain.values.payload import begins_like_json

MAX_FILE = 512 * 1024
"""Bytes of the file of a connector."""
_STANDARD = "tag:yaml.org,2002:"
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = (
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ("~", "n", "N", "")),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), tuple("tTfF")),
    ("int", re.compile(r"[-+]?[0-9]{1,400}\Z"), tuple("-+0123456789")),
    ("float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), tuple("-+.0123456789")),
)


class Unreadable(ValueError):
    """Neither YAML nor JSON that we take; the message says where and why."""


class _Loader(_BASE):  # type: ignore[misc]  # the C loader ships without types
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as the library has it


for _name, _pattern, _firsts in _CORE:
    for _first in _firsts:
        _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_STANDARD + _name, _pattern))


def read(content: bytes, most: int = MAX_FILE) -> Json:
    """The value of a file. Raises Unreadable, and nothing else."""
    if len(content) > most:
        raise Unreadable(f"the file has {len(content):,} bytes; at most {most:,} are taken")
    if not begins_like_json(content):
        return _yaml(content)
    try:
        return parse(content)
    except MalformedJson as error:
        try:  # a flow mapping of YAML begins like JSON, too
            return _yaml(content)
        except Unreadable:
            raise Unreadable(f"not JSON: {error}") from None


def _yaml(content: bytes) -> Json:
    try:
        text = content.decode(marked(content) or "utf-8").removeprefix("\ufeff")
        _check_events(text)
        node: Any = yaml.compose(text, _Loader)
        return None if node is None else _value(node)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        place = f" ({_place(error.problem_mark)})" if error.problem_mark else ""
        raise Unreadable(f"not YAML: {error.problem}{place}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise Unreadable(f"not YAML: {str(error)[:200]}") from None


def _check_events(text: str) -> None:
    """Before any node is made: an alias, a tag or too much depth ends it."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Unreadable(f"anchors and aliases are not taken ({_place(event.start_mark)})")
        if getattr(event, "tag", None):
            raise Unreadable(f"tags are not taken ({_place(event.start_mark)})")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels ({_place(event.start_mark)})")


def _value(node: Any) -> Json:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        found: JsonObject = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable(f"a name has to be a text ({_place(key.start_mark)})")
            if key.value in found:
                raise Unreadable(f"{key.value[:50]!r} is there twice ({_place(key.start_mark)})")
            found[key.value] = _value(item)
        return found
    return _scalar(node.tag.removeprefix(_STANDARD), node.value)


def _scalar(kind: str, text: str) -> Json:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            number = float(text)
            return number if abs(number) < float("inf") else text
    return text


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
