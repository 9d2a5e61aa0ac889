"""Field mapping: Liquid templates inside a step's config, rendered over the trigger and earlier outputs.

A string that is exactly one `{{ path }}`, also with `default`, keeps the JSON type of what it names, and what ends with
`parse_json` that of what was parsed; any other string with Liquid in it renders to text, with objects and lists as
JSON.
A path that is not there is false and nil in tags, and an error that names it where it is shown, unless the `default`
filter follows.
Liquid as in https://shopify.github.io/liquid/, by python-liquid, with limits for untrusted authors.

Substitutions (paths, text, filters over small values) are rendered in place. Everything else is `Heavy`: its work
depends on the data, so it has no place on an event loop. `render` does it all, in a process for that.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import ClassVar, TypeAlias, cast

import msgspec
from liquid import BoundTemplate
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.primitive import Literal, Nil, RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from domain.language.filters import FILTERS
from domain.language.liquid import LimitedEnvironment, apply, check_range, product
from domain.language.scope import Context, Heavy, Keys, Scope, worked_out
from domain.language.spelling import Absent, spelled, weight
from domain.values.json import MAX_DEPTH, Json

Place: TypeAlias = tuple[str, ...]
"""Where something stands in a definition: the keys from the outside in."""
Renderer: TypeAlias = Callable[[Scope], Json]
_Value: TypeAlias = Callable[[Scope], object]

MAX_SMALL = 10_000
"""Characters of a filter's input up to which it is applied in place."""
MAX_RENDERED = 4_000_000
"""Characters that all templates of one config may render to together."""
LARGE = 100_000
MAX_LARGE = 20
"""Values above LARGE characters that one config may insert whole."""
_TYPED = frozenset({"default"})
"""Filters behind which a value keeps its JSON type."""
_LIQUID = re.compile(r"\{\{|\{%")
_TYPE_NAMES = {"NoneType": "null", "str": "text", "dict": "an object", "list": "a list", "bool": "true or false"}
_FOUND = re.compile(r"(?<=found )(\w+)\b")
_HOW_MANY = 20


class TemplateError(ValueError):
    """A template that does not parse, shows a missing path, or outgrows its limits.

    `path` is where in the config it stands, like `.headers.x-id`.
    """

    code: ClassVar[str] = "template"

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class TooMuchWork(TemplateError):
    """The templates of one step need more time, memory or room than they may."""

    code = "template_limit"


environment = LimitedEnvironment()


class Compiled(msgspec.Struct, frozen=True, eq=False):
    """A config whose templates are parsed. `source` is the config itself, for a process that renders it elsewhere."""

    source: Json
    renderer: Renderer

    def quick(self, context: Context, now: datetime) -> Json:
        """The rendered config. Raises TemplateError, and Heavy where it would take too long here."""
        return self.renderer(Scope(context, now))


def compiled(value: Json, path: str = "") -> Compiled:
    """A config value with its templates parsed. Keep it: parsing costs more than rendering. Raises TemplateError."""
    return Compiled(value, _compile(value, path, MAX_DEPTH))


def check(config: Json) -> None:
    """Parse every template in a config. Raises TemplateError with the place of the first bad one."""
    _compile(config, "", MAX_DEPTH)
    for place, text in templates(config):
        try:
            parse(text)
        except (LiquidError, RecursionError) as error:
            raise TemplateError(message_of(error), "".join(f".{key}" for key in place)) from error


def templates(value: Json, at: Place = (), depth: int = MAX_DEPTH) -> Iterator[tuple[Place, str]]:
    """Every string with Liquid in it, with its place. Values nested deeper than a config may be are left out."""
    if isinstance(value, str):
        if has_template(value):
            yield at, value
    elif depth and isinstance(value, list | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from templates(item, (*at, str(key)), depth - 1)


def render(config: Json, context: Context, now: datetime | None = None) -> Json:
    """The config with all templates replaced, however long that takes. Raises TemplateError."""
    return _compile(config, "", MAX_DEPTH)(Scope(context, now, full=True))


def has_template(text: str) -> bool:
    """Whether a text has Liquid in it."""
    return _LIQUID.search(text) is not None


def is_lone_path(text: str) -> bool:
    """Whether a text is exactly one `{{ path }}`, which keeps the JSON type of what it names."""
    if not _LIQUID.search(text) or "{%" in text:
        return False
    try:
        nodes = [node for node in parse(text).nodes if not (isinstance(node, ContentNode) and not node.text.strip())]
    except (LiquidError, RecursionError):
        return False
    return len(nodes) == 1 and isinstance(nodes[0], OutputNode) and _keeps_type(nodes[0].expression)


def makes_text(text: str) -> bool:
    """Whether a template becomes text whatever its data are; false for one that does not parse."""
    try:
        parse(text)
    except (LiquidError, RecursionError):
        return False
    return not is_lone_path(text)


def is_substitution(text: str) -> bool:
    """Whether a text is rendered in place: paths, and filters over them."""
    return "{%" not in text and (not has_template(text) or _quick(text, "") is not None)


def _compile(value: Json, path: str, depth: int) -> Renderer:
    if depth < 0:
        raise TemplateError(f"nested deeper than {MAX_DEPTH} levels", path)
    match value:
        case str():
            return _compile_string(value, path)
        case list():
            items = [_compile(item, f"{path}.{index}", depth - 1) for index, item in enumerate(value)]
            return lambda scope: [item(scope) for item in items]
        case dict():
            fields = {key: _compile(item, f"{path}.{key}", depth - 1) for key, item in value.items()}
            return lambda scope: {key: item(scope) for key, item in fields.items()}
        case _:
            return lambda _scope: value


def _compile_string(text: str, path: str) -> Renderer:
    if not _LIQUID.search(text):
        return lambda _scope: text
    quick = None if "{%" in text else _quick(text, path)
    return quick or (lambda scope: _render_text(text, scope, path))


# --- substitutions


def _quick(text: str, path: str) -> Renderer | None:
    """A renderer in place; None for text with a range in it and what does not parse, which need Liquid itself."""
    try:
        nodes = parse(text).nodes
        parts: list[str | _Value] = [node.text if isinstance(node, ContentNode) else _output(node) for node in nodes]
    except (LiquidError, RecursionError, _NotQuick):
        return None
    if is_lone_path(text):
        value = next(part for part in parts if not isinstance(part, str))
        return lambda scope: _lone(value, scope, path)
    return lambda scope: _joined(parts, scope, path)


class _NotQuick(Exception):
    pass


def _keeps_type(expression: Expression) -> bool:
    """Whether nothing makes text of the value: other filters do, but for what `parse_json` makes of theirs."""
    if not isinstance(expression, FilteredExpression):
        return False
    names = [used.name for used in expression.filters or ()]
    parsed = max((index for index, name in enumerate(names) if name == "parse_json"), default=-1)
    return (parsed >= 0 or isinstance(expression.left, Path)) and all(name in _TYPED for name in names[parsed + 1 :])


def _output(node: object) -> _Value:
    if not isinstance(node, OutputNode) or not isinstance(node.expression, FilteredExpression):
        raise _NotQuick
    left = node.expression.left
    value = _range(left) if isinstance(left, RangeLiteral) and _keeps_type(node.expression) else _operand(left)
    for used in node.expression.filters or ():
        if used.name not in FILTERS:
            raise _NotQuick
        named = {arg.name: _operand(arg.value) for arg in used.args if isinstance(arg, KeywordArgument)}
        given = [_operand(arg.value) for arg in used.args if not isinstance(arg, KeywordArgument)]
        value = _filtered(used.name, value, given, named)
    return value


def _operand(expression: Expression) -> _Value:
    match expression:
        case Nil():
            return lambda _scope: None
        case Literal():
            constant: object = expression.value
            return lambda _scope: constant
        case Path() if any(isinstance(key, Path) for key in expression.path):
            return _computed([_operand(key) if isinstance(key, Path) else key for key in expression.path])
        case Path():
            keys = cast(Keys, tuple(expression.path))
            return lambda scope: scope.find(keys)
    raise _NotQuick


def _range(expression: RangeLiteral) -> _Value:
    """The numbers of a range of which `parse_json` makes a list."""
    start, stop = _operand(expression.start), _operand(expression.stop)

    def value(scope: Scope) -> object:
        made = expression._make_range(start(scope), stop(scope))  # noqa: SLF001 - as Liquid reads what is no number
        check_range(made, expression.token)
        scope.spend(len(made))
        return made

    return value


def _computed(path: Sequence[str | int | _Value]) -> _Value:
    """The value at a path some of whose keys are those at other paths."""

    def value(scope: Scope) -> object:
        keys = worked_out(key(scope) if callable(key) else key for key in path)
        return keys if isinstance(keys, Absent) else scope.find(keys)

    return value


def _filtered(name: str, operand: _Value, given: Sequence[_Value], named: dict[str, _Value]) -> _Value:
    any_size, work = FILTERS[name].any_size, FILTERS[name].work

    def value(scope: Scope) -> object:
        first = operand(scope)
        arguments = tuple([argument(scope) for argument in given])
        options = {key: option(scope) for key, option in named.items()}
        if not any_size:
            if not (scope.full or all(map(_is_small, (first, *arguments)))):
                raise Heavy
            scope.spend(weight(first) + product(name, first, arguments))
        made = apply(name, first, arguments, options, scope.data.get("now"))
        scope.spend(work if any_size else work + weight(made))
        return made

    return value


def _is_small(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_SMALL
    return value is None or isinstance(value, int | float | Absent)


def _lone(value: _Value, scope: Scope, path: str) -> Json:
    try:
        found = value(scope)
    except LiquidError as error:
        raise TemplateError(message_of(error), path) from error
    scope.spend(_HOW_MANY)
    if isinstance(found, Absent):
        raise TemplateError(found.hint or found.name, path)
    scope.unweighed.append(found)
    if scope.large + len(scope.unweighed) > MAX_LARGE:  # most configs insert few values, whose size is not asked for
        scope.large += sum(map(_is_large, scope.unweighed))
        scope.unweighed.clear()
        if scope.large > MAX_LARGE:
            raise TooMuchWork(f"more than {MAX_LARGE} values above {LARGE:,} characters in one step", path)
    return cast(Json, found)


def _is_large(value: object) -> bool:
    if isinstance(value, str):
        return len(value) > LARGE
    return isinstance(value, list | dict) and weight(value, LARGE) > LARGE


def _joined(parts: Sequence[str | _Value], scope: Scope, path: str) -> str:
    try:
        return "".join([part if isinstance(part, str) else _shown(part(scope), scope) for part in parts])
    except LiquidError as error:
        raise TemplateError(message_of(error), path) from error


def _shown(value: object, scope: Scope) -> str:
    if isinstance(value, dict | list) and not scope.full and weight(value, scope.work) > scope.work:
        raise Heavy
    text = spelled(value)
    scope.spend(_HOW_MANY + len(text))
    return text


# --- everything else


def parse(text: str) -> BoundTemplate:
    """The parsed template. Raises LiquidError and RecursionError."""
    return _parse_short(text) if len(text) <= _SHORT else _parse_long(text)


_SHORT = 2_000


@lru_cache(maxsize=1024)
def _parse_short(text: str) -> BoundTemplate:
    return environment.template(text)


@lru_cache(maxsize=16)  # of these each may take megabytes
def _parse_long(text: str) -> BoundTemplate:
    return environment.template(text)


def _render_text(text: str, scope: Scope, path: str) -> str:
    if not scope.full:
        raise Heavy
    try:
        made = parse(text).render(**scope.data)
    except (LiquidError, RecursionError) as error:
        raise TemplateError(message_of(error), path) from error
    except Exception as error:  # tags raise any exception for values that they do not expect; the run shows it
        raise TemplateError(f"{type(error).__name__}: {message_of(error)}", path) from error
    scope.work -= len(made)
    if scope.work < -MAX_RENDERED:
        raise TooMuchWork(f"the templates of one step render to more than {MAX_RENDERED:,} characters", path)
    return made


def message_of(error: BaseException) -> str:
    """The first line of the error, in words for users."""
    if isinstance(error, RecursionError):
        return "the template is nested too deep"
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return _FOUND.sub(lambda found: _TYPE_NAMES.get(found[0], found[0]), first)
