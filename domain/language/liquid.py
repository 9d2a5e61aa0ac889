"""The dialect of Liquid for zaps: it defines what python-liquid leaves to Python.

Values are compared and written as in JSON, a missing path is false and nil, and the filters are ours. python-liquid
bounds output, loops and locals. This module also bounds the text of a template before it is parsed, and the output of
filters. The process that renders bounds the time.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import Any, TextIO, cast

from liquid import BoundTemplate, Environment, RenderContext, Token, TokenStream
from liquid.builtin.expressions import LoopExpression, logical, parse_name
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags import case_tag, cycle_tag
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError, LiquidTypeError
from liquid.limits import to_int
from liquid.output import LimitedStringIO
from liquid.parser import get_parser
from liquid.token import TOKEN_EOF, TOKEN_TAG
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

from domain.language.filters import FILTERS, FilterError
from domain.language.operators import contains, same
from domain.language.scope import BUDGET, absent, step, worked_out
from domain.language.spelling import MAX_MADE, Absent, described, spelled, weight
from domain.values.path import MISSING

MAX_TEMPLATE = 100_000
"""Characters of one template."""

MAX_TAGS = 3_000
"""Tags and outputs of one template."""

MAX_TAG = 5_000
"""Characters inside one tag or output."""

MAX_BRACKETS = 50
"""Brackets in one tag: for each, the lexer looks to the end of the tag."""

MAX_BLOCKS = 30
"""Blocks inside each other."""

MAX_OUTPUT = 1_000_000
"""Characters that one template may render to."""

MAX_LOOP = 10_000
"""Rounds of nested loops, and the length of a range."""

_OPEN = re.compile(r"\{\{|\{%(?:-?\s*(raw|doc)\s*-?%\})?")
_BLOCK = re.compile(r"-?\s*(end)?(if|unless|for|case|capture|tablerow|ifchanged)\b")
_ROUND = 50


class WorkLimitError(LiquidError):
    """The template makes too much output or work."""


class _Context(RenderContext):
    """A render's state, with what is left of its budget."""

    __slots__ = ("budget", "now")

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self.budget = BUDGET
        self.now: object = self.globals.get("now")
        # Without python-liquid's own `now`, which is the local time of this machine.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    def spend(self, work: int, token: Token | None = None) -> None:
        """Take work off the budget. Raises WorkLimitError when too little is left."""
        self.budget -= work
        if self.budget < 0:
            raise WorkLimitError("the template does too much work", token=token)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """The value at a path; where there is none, `default` or else an Absent."""
        keys = worked_out(path)
        if isinstance(keys, Absent):
            return keys if default is UNDEFINED else default
        root = str(keys[0])
        try:
            found: object = self.scope[root]
        except KeyError:
            return absent(keys, 0, None) if default is UNDEFINED else default
        for index, key in enumerate(keys[1:], 1):
            check_range(found, token)
            below = step(found, key, keys[:index])
            if below is MISSING:
                return absent(keys, index, {root: self.scope[root]}) if default is UNDEFINED else default
            found = below
        return found

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return _as_written(MAX_OUTPUT - (buf.size if isinstance(buf, LimitedStringIO) else 0))

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        return lambda value, *arguments, **options: self._filtered(name, token, value, arguments, options)

    def _filtered(
        self, name: str, token: Token | None, value: object, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> object:
        for given in (value, *arguments):
            check_range(given, token)
        self.spend(weight(value) + sum(map(weight, arguments)) + product(name, value, arguments), token)
        result = apply(name, value, arguments, options, self.now)
        made = weight(result)
        if made > MAX_MADE:
            raise WorkLimitError(f"{name} makes more than {MAX_MADE} characters", token=token)
        self.spend(made, token)
        return result

    def assign(self, key: str, val: Any) -> None:
        check_range(val, None)
        super().assign(key, val)

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Iterator[RenderContext]:
        length = self.template.length if isinstance(self.template, Template) else 0
        self.spend(forloop.length * (_ROUND + length))
        with super().loop(namespace, forloop) as context:
            yield context


def apply(name: str, value: object, arguments: tuple[Any, ...], options: Mapping[str, Any], now: object) -> object:
    """The value after a filter. A missing value stays missing until it is shown or `default` replaces it.

    Raises LiquidError.
    """
    filter_ = FILTERS.get(name)
    if filter_ is None:
        raise LiquidError(f"unknown filter '{name}'", token=None)
    if name == "default":
        arguments = arguments or ("",)
    else:
        lost = next((given for given in (value, *arguments, *options.values()) if isinstance(given, Absent)), None)
        if lost is not None:
            return lost
    if name in ("date", "date_add") and value in ("now", "today"):
        value = now
    wrong = _misuse(name, len(arguments), tuple(options))
    if wrong:
        raise LiquidError(wrong, token=None)
    try:
        return filter_.call(value, *arguments, **options)
    except FilterError as error:
        raise LiquidError(f"{name}: {error}", token=None) from None


@lru_cache(maxsize=1024)
def _misuse(name: str, positional: int, named: tuple[str, ...]) -> str | None:
    return FILTERS[name].misuse(positional, named)


class Template(BoundTemplate):
    """A parsed template that knows how long it is."""

    context_class = _Context
    length = 0

    def _get_buffer(self) -> StringIO:
        return _as_written(MAX_OUTPUT)


def _as_written(limit: int) -> LimitedStringIO:
    """A place for output that keeps line ends as they are; python-liquid's own makes \\n of each \\r\\n."""
    return LimitedStringIO(limit, newline="")


class _Output(OutputNode):
    """Writes values into text as JSON does."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        check_range(value, None)
        if isinstance(context, _Context):
            context.spend(weight(value))
        return buffer.write(spelled(value))


class _OutputTag(Output):
    node_class = _Output


class _Echo(EchoTag):
    node_class = cast(type[EchoNode], _Output)


class _Capture(CaptureTag):
    """As in Liquid, the name may stand in quotes."""

    def parse(self, stream: TokenStream) -> CaptureNode:
        token = stream.eat(TOKEN_TAG)
        tokens = stream.into_inner(tag=token)
        name = parse_name(self.env, tokens)
        tokens.expect_eos()
        block = get_parser(self.env).parse_block(stream, frozenset(("endcapture", TOKEN_EOF)))
        stream.expect(TOKEN_TAG, value="endcapture")
        return self.node_class(token, name, block)


# --- which items of a list a loop has


def _whole(_loop: LoopExpression, value: object, *, token: Token) -> int | None:
    """A limit or an offset; None for nil and what is missing, which count as not given."""
    value = _value(value)
    if value is None:
        return None
    try:
        return to_int(value)
    except (ValueError, TypeError):
        raise LiquidTypeError(
            f"limit and offset of a loop are whole numbers, not {described(value)}", token=token
        ) from None


def _slice(
    loop: LoopExpression,
    items: Iterator[object],
    length: int,
    context: RenderContext,
    *,
    limit: int | None,
    offset: int | str | None,
) -> tuple[Iterator[object], int]:
    """As in Liquid: no item where the limit is 0 or less."""
    key = f"{loop.identifier}-{loop.iterable}"
    first = context.stopindex(key) if offset == "continue" else int(offset or 0)
    begin = min(max(first, 0), length)
    end = max(begin, length if limit is None else min(first + limit, length))
    context.stopindex(key=key, index=end)
    chosen, many = islice(items, begin, end), end - begin
    if not loop.reversed:
        return chosen, many
    if many > MAX_LOOP:
        raise WorkLimitError(f"a loop may have {MAX_LOOP:,} rounds", token=loop.token)
    return reversed(list(chosen)), many


# --- how values compare


def _value(value: object) -> object:
    return None if isinstance(value, Absent) else value


def _equal(left: object, right: object) -> bool:
    left, right = _value(left), _value(right)
    for one, other in ((left, right), (right, left)):
        if isinstance(other, Empty):
            return isinstance(one, Empty) or (isinstance(one, str | list | tuple | dict | range) and not one)
        if isinstance(other, Blank):
            blank = one is None or one is False or (isinstance(one, str) and not one.strip())
            return blank or isinstance(one, Blank) or (isinstance(one, list | tuple | dict | range) and not one)
    return same(left, right)


def _less(token: Token, left: object, right: object) -> bool:
    return _ordered(left, right, token) and _value(left) != _value(right)


def _at_most(left: object, right: object) -> bool:
    return _ordered(left, right, None)


def _ordered(left: object, right: object, token: Token | None) -> bool:
    """Whether the left value is at most the right one; null, empty and blank are neither less nor more."""
    match _value(left), _value(right):
        case (None | Empty() | Blank(), _) | (_, None | Empty() | Blank()):
            return False
        case (str() as one, str() as other):
            return one <= other
        case (bool(), _) | (_, bool()):
            pass
        case (int() | float() as low, int() | float() as high):
            return low <= high
    raise LiquidTypeError(f"{described(left)} can not be compared with {described(right)}", token=token)


def _contains(_token: Token, left: object, right: object) -> bool:
    left, right = _value(left), _value(right)
    if any(value is None or value is False for value in (left, right)):
        return False
    if isinstance(left, str):
        return spelled(right) in left
    return contains(list(left) if isinstance(left, range | tuple) else left, right)


# python-liquid has no hook for these functions: it calls them by name.
_OURS: dict[tuple[object, str], Callable[..., object]] = {
    (logical, "_eq"): _equal,
    (logical, "_lt"): _less,
    (logical, "_le"): _at_most,
    (logical, "_contains"): _contains,
    (case_tag, "_eq"): _equal,
    (LoopExpression, "_to_int"): _whole,
    (LoopExpression, "_slice"): _slice,
    (cycle_tag, "to_liquid_string"): lambda value, autoescape: spelled(value),  # noqa: ARG005
}
for (_module, _name), _function in _OURS.items():
    setattr(_module, _name, _function)


class LimitedEnvironment(Environment):
    """python-liquid with our filters, comparisons and limits."""

    template_class = Template
    output_stream_limit = MAX_OUTPUT
    loop_iteration_limit = MAX_LOOP
    local_namespace_limit = 1_000_000
    context_depth_limit = MAX_BLOCKS

    def __init__(self) -> None:
        super().__init__(undefined=Absent)
        self.filters = {name: filter_.call for name, filter_ in FILTERS.items()}
        self.add_tag(_OutputTag)
        self.add_tag(_Echo)
        self.add_tag(_Capture)
        for tag in ("include", "render"):
            del self.tags[tag]

    def template(self, text: str) -> Template:
        """Parse a template. Raises LiquidError."""
        if len(text) > MAX_TEMPLATE:
            raise LiquidError(f"a template may have {MAX_TEMPLATE:,} characters", token=None)
        parsed = self.from_string(tidy(text))
        assert isinstance(parsed, Template)
        parsed.length = len(text)
        return parsed


class _Tidy:
    """The template with every tag closed and trimmed inside, because the lexer needs quadratic time for anything else.

    Too many tags, or too much in one of them, is refused before the parser sees it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[str] = []
        self.tags = 0
        self.blocks = 0

    def tidied(self) -> str:
        position = 0
        while opened := _OPEN.search(self.text, position):
            self.parts.append(self.text[position : opened.start()])
            position = self._raw(opened) if opened[1] else self._tag(opened)
            self.tags += 1
            if self.tags > MAX_TAGS:
                raise LiquidError(f"a template may have {MAX_TAGS:,} tags and outputs", token=None)
        return "".join((*self.parts, self.text[position:]))

    def _raw(self, opened: "re.Match[str]") -> int:
        closed = re.compile(r"\{%-?\s{0,100}end" + opened[1] + r"\s{0,100}-?%\}").search(self.text, opened.end())
        if closed is None:
            raise LiquidError(f"{opened[0]} is never closed", token=None)
        self.parts.append(self.text[opened.start() : closed.end()])
        return closed.end()

    def _tag(self, opened: "re.Match[str]") -> int:
        closer = "}}" if opened[0] == "{{" else "%}"
        start, end = opened.end(), self.text.find(closer, opened.end())
        if end < 0:
            raise LiquidError(f"{opened[0]} is never closed", token=None)
        inner = self.text[start:end]
        if len(inner) > MAX_TAG:
            raise LiquidError(f"a tag may have {MAX_TAG:,} characters", token=None)
        if inner.count("(") + inner.count("[") > MAX_BRACKETS:
            raise LiquidError(f"a tag may have {MAX_BRACKETS} brackets", token=None)
        if closer == "%}":
            self._count_block(inner)
        self.parts.append(_trimmed(opened[0], inner, closer))
        return end + len(closer)

    def _count_block(self, inner: str) -> None:
        block = _BLOCK.match(inner)
        if block:
            self.blocks += -1 if block[1] else 1
        if self.blocks > MAX_BLOCKS:
            raise LiquidError(f"at most {MAX_BLOCKS} blocks may stand inside each other", token=None)


def tidy(text: str) -> str:
    """The template as the parser gets it. Raises LiquidError."""
    return _Tidy(text).tidied()


def _trimmed(opener: str, inner: str, closer: str) -> str:
    before, after = "-" * inner.startswith("-"), "-" * (len(inner) > 1 and inner.endswith("-"))
    return f"{opener}{before} {inner[len(before) : len(inner) - len(after)].strip()} {after}{closer}"


def product(name: str, value: object, arguments: tuple[Any, ...]) -> int:
    """How much output the filters that can multiply their input would make, before they do."""
    if name == "replace" and arguments and not any(isinstance(given, Absent) for given in (value, *arguments)):
        old, new = spelled(arguments[0]), spelled(arguments[1]) if len(arguments) > 1 else ""
        return spelled(value).count(old) * len(new)
    if name == "join" and arguments and isinstance(value, list | tuple):
        return len(value) * weight(arguments[0])
    return 0


def check_range(value: object, token: Token | None) -> None:
    """Raises WorkLimitError for a range that is longer than loops may be."""
    if isinstance(value, range) and value.stop - value.start > MAX_LOOP:
        raise WorkLimitError(f"a range may have {MAX_LOOP:,} items", token=token)
