"""What the parser of Liquid passes over, though it was meant: such a template never does what its author wants."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import cast

from liquid import Token, TokenStream
from liquid.ast import Node
from liquid.builtin.expressions import parse_primitive, tokenize
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.exceptions import LiquidError
from liquid.token import TOKEN_COMMA, TOKEN_EOF, TOKEN_EXPRESSION, TOKEN_OR, TOKEN_TAG

from domain.language.liquid import tidy
from domain.language.template import environment


def leftovers(text: str, nodes: Iterable[Node]) -> Iterator[str]:
    """The reasons against a template that parses."""
    for tag, behind in pairwise(environment.tokenizer()(tidy(text))):
        if tag.kind != TOKEN_TAG or behind.kind != TOKEN_EXPRESSION:
            continue
        if tag.value == "else":
            meant = behind.value.removeprefix("if ").strip()[:100]
            yield f"{{% else %}} has no condition; did you mean {{% elsif {meant} %}}?"
        elif tag.value == "when" and _has_more(behind):
            yield f"{{% when %}} takes values with commas or `or` between them, not {behind.value[:100]}"
    for name in _outside_loops(nodes):
        yield f"{{% {name} %}} stands outside of a loop"


def _has_more(behind: Token) -> bool:
    stream = TokenStream(tokenize(behind.value, parent_token=behind))
    try:
        parse_primitive(environment, stream)
        while stream.current.kind in (TOKEN_COMMA, TOKEN_OR):
            next(stream)
            parse_primitive(environment, stream)
    except LiquidError:
        return True
    return bool(stream.current.kind != TOKEN_EOF)


def _outside_loops(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, BreakNode | ContinueNode):
            yield "break" if isinstance(node, BreakNode) else "continue"
        elif not isinstance(node, ForNode | TablerowNode):
            # Only partial templates look at the context, and there are none.
            yield from _outside_loops(node.children(cast(object, None), include_partials=False))  # type: ignore[arg-type]
