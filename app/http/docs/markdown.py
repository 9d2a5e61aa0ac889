"""Markdown to HTML: tables, code blocks, an anchor for each heading. Raw HTML in the text stays text."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_UNLINKABLE = re.compile(r"[^\w.-]")
_PAGE = re.compile(r"^([\w-]+)\.md(#[\w-]+)?\Z")


def to_html(text: str) -> str:
    """A page's text as HTML. Links between the files of the guide become links between its pages."""
    return str(_markdown().render(text))


def title(text: str) -> str:
    """The first heading."""
    return text.partition("\n")[0].removeprefix("# ").strip()


def _link(renderer: "RendererHTML", tokens: "list[Token]", index: int, options: Any, env: Any) -> str:
    page = _PAGE.match(str(tokens[index].attrs.get("href", "")))
    if page:
        tokens[index].attrs["href"] = f"/docs/guide/{page[1]}{page[2] or ''}"
    return renderer.renderToken(tokens, index, options, env)


def _slug(heading: str) -> str:
    return _UNLINKABLE.sub("", heading.lower().replace(" ", "-"))


@cache
def _markdown() -> "MarkdownIt":
    """Made when a page is read: few processes are asked for one."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.anchors import anchors_plugin

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.use(anchors_plugin, max_level=3, slug_func=_slug, permalink=True, permalinkSymbol="#", permalinkSpace=True)
    markdown.add_render_rule("link_open", _link)
    return markdown
