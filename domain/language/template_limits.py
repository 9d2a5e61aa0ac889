"""Liquid for untrusted authors: what one render may cost, and JSON where a template puts a whole value into text.

python-liquid bounds output, loops and locals. It does not bound what a filter makes on the way, like `replace`
chained ten times, nor the sum of many loops; here each render has a budget of work besides.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO, cast

import msgspec
from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined, Token
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError

MAX_TEMPLATE = 100_000
"""Characters of one template."""

MAX_OUTPUT = 1_000_000
"""Characters that one template may render to."""

MAX_MADE = 5_000_000
"""What one filter may make: about its characters, and _ITEM for each item of a list."""

MAX_LOOP = 10_000
"""Rounds of nested loops, and the length of a range."""

BUDGET = 30_000_000
"""Work of one render, about a character handled each: well below a second."""

_ITEM = 20
_OPEN = re.compile(r"\{\{|\{%(?:-?\s*(raw|doc)\s*-?%\})?")
_ROUND = 50


class WorkLimitError(LiquidError):
    """The template makes too much of too little."""


class _Context(RenderContext):
    """A render's state, with what is left of its budget."""

    __slots__ = ("budget",)

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self.budget = BUDGET

    def spend(self, work: int, token: Token | None = None) -> None:
        """Take work off the budget. Raises WorkLimitError when too little is left."""
        self.budget -= work
        if self.budget < 0:
            raise WorkLimitError("the template does too much work", token=token)

    def filter(self, name: str, token: Token | None = None) -> Callable[..., object]:
        filter_ = super().filter(name, token)

        def limited(value: object, *arguments: Any, **options: Any) -> object:
            for given in (value, *arguments):
                _check_range(given, token)
            work = weight(value) + _product(name, value, arguments)
            self.spend(work, token)
            result = filter_(value, *arguments, **options)
            made = weight(result)
            if made > MAX_MADE:
                raise WorkLimitError(f"{name} makes more than {MAX_MADE} characters", token=token)
            self.spend(made, token)
            return result

        return limited

    def assign(self, key: str, val: Any) -> None:
        _check_range(val, None)
        super().assign(key, val)

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Iterator[RenderContext]:
        length = self.template.length if isinstance(self.template, _Template) else 0
        self.spend(forloop.length * (_ROUND + length))
        with super().loop(namespace, forloop) as context:
            yield context


class _Template(BoundTemplate):
    context_class = _Context
    length = 0


class _JsonOutputNode(OutputNode):
    """Objects and lists stand in text as JSON, not as Python writes them."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        if isinstance(value, dict | list | tuple):
            return buffer.write(msgspec.json.encode(value).decode())
        return super().render_to_output(context, buffer)


class _JsonOutput(Output):
    node_class = _JsonOutputNode


class LimitedEnvironment(Environment):
    """The dialect of Liquid that zaps are written in."""

    template_class = _Template
    output_stream_limit = MAX_OUTPUT
    loop_iteration_limit = MAX_LOOP
    local_namespace_limit = 1_000_000
    context_depth_limit = 20

    def __init__(self) -> None:
        super().__init__(undefined=StrictDefaultUndefined)
        self.add_tag(_JsonOutput)
        for tag in ("include", "render"):
            del self.tags[tag]

    def template(self, text: str) -> BoundTemplate:
        """Parse a template. Raises LiquidError."""
        if len(text) > MAX_TEMPLATE:
            raise LiquidError(f"a template may have {MAX_TEMPLATE} characters", token=None)
        parsed = self.from_string(_tidy(text))
        assert isinstance(parsed, _Template)
        parsed.length = len(text)
        return parsed


def _tidy(text: str) -> str:
    """The template with every tag closed, and trimmed inside: over anything else the lexer takes quadratic time."""
    parts: list[str] = []
    position = 0
    while opened := _OPEN.search(text, position):
        parts.append(text[position : opened.start()])
        closer = "}}" if opened[0] == "{{" else "%}"
        start = opened.end()
        if opened[1]:
            closed = re.compile(r"\{%-?\s*end" + opened[1] + r"\s*-?%\}").search(text, start)
            position = closed.end() if closed else -1
            parts.append(text[opened.start() : position])
        else:
            position = text.find(closer, start) + len(closer)
            parts.append(_trimmed(opened[0], text[start : position - len(closer)], closer))
        if position < start:
            raise LiquidError(f"{opened[0]} is never closed", token=None)
    return "".join((*parts, text[position:]))


def _trimmed(opener: str, inner: str, closer: str) -> str:
    before, after = "-" * inner.startswith("-"), "-" * (len(inner) > 1 and inner.endswith("-"))
    return f"{opener}{before} {inner[len(before) : len(inner) - len(after)].strip()} {after}{closer}"


def weight(value: object) -> int:
    """About how many characters a value stands for; counting stops past MAX_MADE."""
    total = 0
    todo = [value]
    while todo and total <= MAX_MADE:
        item = todo.pop()
        kind = type(item)  # and not isinstance: a strict undefined value raises at any touch
        if issubclass(kind, str):
            total += len(cast(str, item))
        elif issubclass(kind, list | tuple):
            items = cast("list[object]", item)
            total += _ITEM * len(items)
            todo.extend(items)
        elif issubclass(kind, dict):
            fields = cast("dict[str, object]", item)
            total += _ITEM * len(fields)
            todo.extend(fields.values())
        elif issubclass(kind, int):
            total += cast(int, item).bit_length() // 3
    return total


def _product(name: str, value: object, arguments: tuple[Any, ...]) -> int:
    """What the two filters that can multiply their input would make, before they make it."""
    if name == "replace" and len(arguments) == 2:
        text, old, new = str(value), str(arguments[0]), str(arguments[1])
        return text.count(old) * len(new)
    if name == "join" and arguments and isinstance(value, list | tuple):
        return len(value) * len(str(arguments[0]))
    return 0


def _check_range(value: object, token: Token | None) -> None:
    if type(value) is range and value.stop - value.start > MAX_LOOP:
        raise WorkLimitError(f"a range may have {MAX_LOOP} items", token=token)
