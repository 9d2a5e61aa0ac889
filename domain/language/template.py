"""Field mapping: Liquid templates inside a step's config, rendered over the trigger and earlier outputs.

A string that is exactly one `{{ path }}` keeps the JSON type of what it names; any other string with Liquid in it
renders to text, with objects and lists as JSON. A path that is not there is an error that names it, unless the
`default` filter follows.
Liquid as in https://shopify.github.io/liquid/, by python-liquid, with limits for untrusted authors.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from domain.language.template_limits import LimitedEnvironment
from domain.values.json import MAX_DEPTH, Json, JsonObject

Context: TypeAlias = Mapping[str, Json]
"""What templates see: `trigger`, `steps`, `run`, `zap`."""

_Renderer: TypeAlias = Callable[[Context], Json]


class TemplateError(ValueError):
    """A template that does not parse, names a missing path, or outgrows its limits.

    `path` is where in the config it stands, like `.headers.x-id`.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


_environment = LimitedEnvironment()
_LONE_PATH = re.compile(
    r"""\{\{-?\s*
        (?!(?:true|false|nil|null|empty|blank)\s*-?\}\})
        ([A-Za-z_]\w* (?: \.[\w-]+ | \[\d+\] | \["[^"{}]*"\] | \['[^'{}]*'\] )*)
        \s*-?\}\}""",
    re.VERBOSE,
)
_KEYS = re.compile(r"""\["([^"]*)"\]|\['([^']*)'\]|([\w-]+)""")
_INDEX = re.compile(r"[0-9]{1,9}")
_ENDS = {"first": 0, "last": -1}
_LIQUID = re.compile(r"\{\{|\{%")


def filter_names() -> list[str]:
    """All filters that templates may use, in alphabetical order."""
    return sorted(_environment.filters)


def check(config: Json) -> None:
    """Parse every template in a config. Raises TemplateError with the place of the first bad one."""
    _compile(config, "", MAX_DEPTH)


def render(config: JsonObject, context: Context) -> JsonObject:
    """The config with all templates replaced. Raises TemplateError."""
    return {key: compiled(value, f".{key}")(context) for key, value in config.items()}


def compiled(value: Json, path: str = "") -> _Renderer:
    """A renderer for one config value; worth keeping, as parsing costs more than rendering."""
    return _compile(value, path, MAX_DEPTH)


def is_lone_path(text: str) -> bool:
    """Whether a text is exactly one `{{ path }}`, which keeps the JSON type of what it names."""
    return _LONE_PATH.fullmatch(text.strip()) is not None


def _compile(value: Json, path: str, depth: int) -> _Renderer:
    if depth < 0:
        raise TemplateError(f"nested deeper than {MAX_DEPTH} levels", path)
    match value:
        case str():
            return _compile_string(value, path)
        case list():
            items = [_compile(item, f"{path}.{index}", depth - 1) for index, item in enumerate(value)]
            return lambda context: [item(context) for item in items]
        case dict():
            fields = {key: _compile(item, f"{path}.{key}", depth - 1) for key, item in value.items()}
            return lambda context: {key: item(context) for key, item in fields.items()}
        case _:
            return lambda _context: value


def _compile_string(text: str, path: str) -> _Renderer:
    if not _LIQUID.search(text):
        return lambda _context: text
    template = _parse(text, path)
    lone = _LONE_PATH.fullmatch(text.strip())
    if lone:
        keys = ["".join(key) for key in _KEYS.findall(lone[1])]
        return lambda context: _look_up(context, keys, lone[1], path)
    return lambda context: _render_text(template, context, path)


def _parse(text: str, path: str) -> BoundTemplate:
    try:
        return _parse_cached(text)
    except (LiquidError, RecursionError) as error:
        raise TemplateError(_first_line(error), path) from error


@lru_cache(maxsize=4096)
def _parse_cached(text: str) -> BoundTemplate:
    return _environment.template(text)


def _look_up(context: Context, keys: list[str], name: str, path: str) -> Json:
    found: Json = dict(context) if not isinstance(context, dict) else context
    for key in keys:
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and _INDEX.fullmatch(key) and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, list | dict | str) and key == "size":
            found = len(found)
        elif isinstance(found, list) and found and key in _ENDS:
            found = found[_ENDS[key]]
        else:
            raise TemplateError(f"{name} is undefined", path)
    return found


def _render_text(template: BoundTemplate, context: Context, path: str) -> str:
    try:
        return template.render(**context)
    except LiquidError as error:
        raise TemplateError(_first_line(error), path) from error
    except Exception as error:  # a filter that meets a value it was not made for raises anything; the run shows it
        raise TemplateError(f"{type(error).__name__}: {_first_line(error)}", path) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
