"""The mistakes in a template that show before any data: syntax, unknown filters, and names that can never exist."""

import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import TypeAlias, cast

import msgspec
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.filtered import Filter as Call
from liquid.builtin.expressions.filtered import TernaryFilteredExpression
from liquid.builtin.expressions.primitive import Literal
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from domain.language.filters import FILTERS, FilterError
from domain.language.leftovers import leftovers
from domain.language.scope import Keys
from domain.language.template import Place, environment, message_of, parse, templates
from domain.values.json import MAX_DEPTH, Json, JsonObject

MAX_TEXT = 300_000
"""Characters of all templates of one definition."""
MAX_TEMPLATES = 2_000
"""Templates of one definition."""
SLOW = 20_000
"""Characters of templates above which their check takes too long for an event loop."""


def place_of(path: str) -> Place:
    """The place that a path with dots and [indices] names, such as `all[0].field`."""
    return tuple(part for part in re.split(r"[.\[\]]+", path) if part)


class Mistake(msgspec.Struct, frozen=True):
    """A mistake and its place. The reason ends with `did you mean …?` where that can be guessed.

    `told`: the path as who has found it writes it, where that is not with dots only.
    """

    at: Place
    code: str
    reason: str
    told: str = ""

    @property
    def path(self) -> str:
        """Such as `steps.0.config.body`."""
        return self.told or ".".join(self.at)

    @property
    def pointer(self) -> str:
        """The same as JSON pointer (RFC 6901)."""
        return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in self.at)

    def as_json(self) -> JsonObject:
        """As a problem shows it."""
        detail: JsonObject = {"path": self.path, "pointer": self.pointer, "code": self.code, "reason": self.reason}
        guess = _GUESS.search(self.reason)
        return {**detail, "did_you_mean": guess[1]} if guess else detail


_GUESS = re.compile(r"did you mean ([^?]{1,500})\?")
Wrong: TypeAlias = Callable[[Keys], str | None]
"""The mistake in a path; None where a value may be there."""


def mistakes(value: Json, at: Place, wrong: Wrong) -> Iterator[Mistake]:
    """All mistakes in the templates of a config value."""
    for place, text in templates(value, at):
        yield from _of_template(text, place, wrong)


def too_deep(value: Json, depth: int = MAX_DEPTH) -> bool:
    """Whether a config value is nested deeper than it may be."""
    level: list[Json] = [value]
    for _ in range(depth + 1):
        inner: list[Json] = []
        for item in level:
            if isinstance(item, list | dict):
                inner += item.values() if isinstance(item, dict) else item
        level = inner
    return bool(level)


def _of_template(text: str, at: Place, names: Wrong) -> Iterator[Mistake]:
    try:
        nodes = parse(text).nodes
    except (LiquidError, RecursionError) as error:
        yield _syntax(error, at, text)
        return
    for reason in leftovers(text, nodes):
        yield Mistake(at, "template_syntax", reason)
    found = list(_walk(nodes))
    local = {str(name) for node in found for name in (*node.template_scope(), *node.block_scope())}
    seen: set[Mistake] = set()
    for node in found:
        for expression in node.expressions():
            for mistake in _of_expression(expression, at, names, local):
                if mistake not in seen:
                    seen.add(mistake)
                    yield mistake


_NO_COLON = re.compile(r"\|\s{0,9}(\w{1,40})\s{1,9}('[^']{0,40}'|\"[^\"]{0,40}\"|\d{1,9})")
_PARTS = frozenset({"else", "elsif", "when"})
_HINTS = {
    "unexpected '&'": "did you mean and?",
    "found dpipe": "did you mean or? In an output, default replaces what is missing: {{ a | default: b }}",
    "found assign": "did you mean ==?",
    "end of expression, found '='": "did you mean ==?",
    "end of expression, found '|'": "a condition has no filters: {% assign a = b | size %} before it",
    "end of expression, found '=='": "comparisons stand in {% if a == b %}",
    "unexpected '+'": "numbers are added by {{ a | plus: b }}, texts by {{ a | append: b }}",
    "unexpected '?'": "a choice is {% if a %}b{% else %}c{% endif %}",
    "disallowed ternary": "a choice is {% if a %}b{% else %}c{% endif %}",
    "unknown operator '!'": "did you mean != or {% unless a %}?",
    "disallowed parentheses": "conditions are nested by {% if %} in {% if %}",
}
"""What is meant by ends of messages that programmers of other languages meet."""


def _syntax(error: BaseException, at: Place, text: str) -> Mistake:
    reason = message_of(error)
    colon = _NO_COLON.search(text) if reason.startswith("expected end of expression") else None
    if colon and colon[1] in FILTERS:
        return Mistake(at, "template_syntax", f"{reason}; did you mean {colon[1]}: {colon[2]}?")
    unknown = reason.removeprefix("unexpected tag ").partition(",")[0].strip("'")
    if unknown != reason and (unknown.startswith("end") or unknown in _PARTS):
        return Mistake(at, "template_syntax", f"{{% {unknown} %}} stands here without the tag that it belongs to")
    if unknown != reason and unknown not in environment.tags and re.fullmatch(r"\w+", unknown) and unknown != "EOF":
        known = sorted(tag for tag in environment.tags if tag.isalpha() and tag not in {"content", "output", "illegal"})
        return Mistake(
            at,
            "unknown_tag",
            f"there is no tag {unknown}: known are {', '.join(known)}{_guess(unknown, (*known, 'elsif'))}",
        )
    hint = next((hint for part, hint in _HINTS.items() if part in reason), "")
    return Mistake(at, "template_syntax", f"{reason}; {hint}" if hint else reason)


def _walk(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        # Only partial templates look at the context, and there are none.
        yield from _walk(node.children(cast(object, None), include_partials=False))  # type: ignore[arg-type]


def _of_expression(expression: Expression, at: Place, names: Wrong, local: set[str]) -> Iterator[Mistake]:
    for call in _calls(expression):
        yield from _of_call(call, at)
    if isinstance(expression, Path):
        keys = _fixed(expression)
        if keys and keys[0] not in local:
            reason = names(keys)
            if reason:
                yield Mistake(at, "unknown_path", reason)
    for part in expression.children():
        yield from _of_expression(part, at, names, local)


def _fixed(path: Path) -> Keys:
    """The keys of a path up to the first one that depends on data."""
    keys: list[str | int] = []
    for key in path.path:
        if isinstance(key, Path):
            break
        keys.append(key)
    return tuple(keys)


def _calls(expression: Expression) -> Iterator[Call]:
    if isinstance(expression, FilteredExpression):
        yield from expression.filters or ()
    if isinstance(expression, TernaryFilteredExpression):
        yield from (*(expression.left.filters or ()), *(expression.filters or ()), *(expression.tail_filters or ()))


def _of_call(call: Call, at: Place) -> Iterator[Mistake]:
    filter_ = FILTERS.get(call.name)
    if filter_ is None:
        yield Mistake(at, "unknown_filter", f"there is no filter {call.name}{_guess(call.name, FILTERS)}")
        return
    named = [argument.name for argument in call.args if isinstance(argument, KeywordArgument)]
    reason = filter_.misuse(len(call.args) - len(named), named) or _of_constants(call)
    if reason:
        yield Mistake(at, "filter_arguments", reason)


def _of_constants(call: Call) -> str | None:
    """Why a filter refuses arguments that are all constants, whatever it is given; None where it takes them."""
    values = [argument.value for argument in call.args]
    if not values or not all(isinstance(value, Literal) for value in values):
        return None
    given = [_constant(argument.value) for argument in call.args if not isinstance(argument, KeywordArgument)]
    options = {argument.name: _constant(argument.value) for argument in call.args
               if isinstance(argument, KeywordArgument)}  # fmt: skip
    try:
        FILTERS[call.name].call(0, *given, **options)  # there is no filter that refuses a 0
    except FilterError as error:
        return f"{call.name}: {error}"
    return None


def _constant(expression: Expression) -> object:
    return cast("Literal[object]", expression).value


def _guess(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word[:100], list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
