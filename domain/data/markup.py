"""Markup as values: XML read and written, parts of a page of HTML."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.operation import MAX_TEXT, Operation, Unfit, bounded_text
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject
from domain.values.xml import MalformedXml, parse_xml

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_ELEMENTS = 100_000
MAX_TAKEN = 10_000
MAX_TAGS = 200_000
MAX_SELECTOR = 500
_NAME = re.compile(r"[^\W\d][\w.:-]{0,200}")
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
"""Characters that no XML can hold (XML 1.0 §2.2)."""


class Xml(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """XML as JSON: attributes are "@name", text beside them is "#text", repeated elements are a list."""

    mode: Annotated[Literal["read", "write"], Meta(title="Do")] = "read"
    text: Annotated[str, Meta(title="Text", description="To read; a document type is refused")] | Unset = UNSET
    value: (
        Annotated[
            dict[str, Json], Meta(title="Value", description="To write: an object with one field, the root element")
        ]
        | Unset
    ) = UNSET
    declaration: Annotated[bool, Meta(title="Begin with an XML declaration")] = True


def xml(wanted: Xml, _now: datetime) -> Json:
    """The `value` of a text, or the `text` of a value."""
    if wanted.mode == "read":
        try:
            return {"value": parse_xml(wanted.text or "")}
        except MalformedXml as error:
            raise Unfit(f"text: {error}") from None
    if not wanted.value or len(wanted.value) != 1:
        raise Unfit("value: an object with one field, the root element")
    ((name, value),) = wanted.value.items()
    if isinstance(value, list):
        raise Unfit("value: the root element can't be a list")
    writer = _Writer()
    writer.element(name, value, "value")
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if wanted.declaration else ""
    return {"text": head + "".join(writer.parts)}


class _Writer:
    """Collects the parts of a document, and counts them."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._elements = 0
        self._size = 0

    def element(self, name: str, value: Json, place: str) -> None:
        """Write an element; an object is its attributes, text and children. Raises Unfit."""
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise Unfit(f"{place}: more than {MAX_ELEMENTS:,} elements")
        fields: JsonObject = value if isinstance(value, dict) else {"#text": value}
        attributes = {key[1:]: item for key, item in fields.items() if key.startswith("@")}
        self._add(f"<{_named(name, place)}")
        for key, item in attributes.items():
            self._add(f" {_named(key, place)}={quoteattr(_text(item))}")
        inner = {key: item for key, item in fields.items() if not key.startswith("@")}
        if not any(item not in (None, "") for item in inner.values()):
            self._add("/>")
            return
        self._add(">")
        for key, item in inner.items():
            if key == "#text":
                self._add(escape(_text(item)))
                continue
            for one in item if isinstance(item, list) else [item]:
                if isinstance(one, list):
                    raise Unfit(f"{place}.{key}: a list in a list has no place in XML")
                self.element(key, one, f"{place}.{key}"[:200])
        self._add(f"</{name}>")

    def _add(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise Unfit(f"this makes more than {MAX_TEXT:,} characters")
        self.parts.append(text)


def _named(name: str, place: str) -> str:
    if not _NAME.fullmatch(name):
        raise Unfit(f"{place}: {name[:50]!r} is no name of an element or attribute")
    return name


def _text(value: Json) -> str:
    return _NOT_XML.sub("\ufffd", spelled(value))


class Taken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken of the elements that a selector names."""

    css: Annotated[str, Meta(min_length=1, max_length=MAX_SELECTOR)]
    take: Annotated[str, Meta(max_length=100, description="text, html, or an attribute: @href")] = "text"
    all: bool = False


class Html(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of a page, by CSS selectors."""

    text: Annotated[str, Meta(title="HTML")]
    select: Annotated[
        dict[str, Taken],
        Meta(title="Select", max_length=50, description="By name: {css: 'h1', take: text | html | @href, all: false}"),
    ] = {}
    within: (
        Annotated[
            str,
            Meta(
                title="For each element", max_length=MAX_SELECTOR, description="Then select gives an item per element"
            ),
        ]
        | Unset
    ) = UNSET


def html(wanted: Html, _now: datetime) -> Json:
    """The selected parts as `found`, or one item per element; without either, the page as `text`."""
    from selectolax.lexbor import LexborHTMLParser

    if wanted.text.count("<") > MAX_TAGS:
        raise Unfit(f"text: more than {MAX_TAGS:,} tags")
    page = LexborHTMLParser(wanted.text.encode("utf-8", "replace").decode())
    if wanted.within:
        scopes = _nodes(page, wanted.within, "within")
        items: list[Json] = [_selected(node, wanted) for node in scopes]
        return {"items": items, "count": len(items)}
    if wanted.select:
        return {"found": _selected(page, wanted)}
    for node in page.css("script, style, noscript, template"):
        node.decompose()
    text = page.body.text(separator="\n", strip=True).strip() if page.body is not None else ""
    return {"text": bounded_text(text)}


def _selected(scope: "LexborHTMLParser | LexborNode", wanted: Html) -> JsonObject:
    found: JsonObject = {}
    for name, one in wanted.select.items():
        values = [_taken(node, one.take) for node in _nodes(scope, one.css, f"select.{name}.css")]
        found[name] = list[Json](values) if one.all else next(iter(values), None)
    return found


def _nodes(scope: "LexborHTMLParser | LexborNode", selector: str, place: str) -> "Sequence[LexborNode]":
    try:
        found = scope.css(selector)
    except Exception as error:  # noqa: BLE001 - the library's error for a bad selector has no public class
        raise Unfit(f"{place}: not a CSS selector: {str(error)[:100]}") from None
    if len(found) > MAX_TAKEN:
        raise Unfit(f"{place}: more than {MAX_TAKEN:,} elements")
    return found


def _taken(node: "LexborNode", take: str) -> Json:
    if take.startswith("@"):
        return node.attributes.get(take[1:])
    return node.html if take == "html" else node.text(separator=" ", strip=True)


MARKUP = {
    "data.xml": Operation(
        name="Read or write XML",
        description="Makes values of XML, or XML of values.",
        icon="code",
        config=Xml,
        work=xml,
        example={"mode": "read", "text": "{{ trigger.body }}"},
        sample={"value": {"order": {"@id": "7", "total": "12"}}},
        heavy=True,
    ),
    "data.html": Operation(
        name="Take parts of HTML",
        description="Takes text, HTML and attributes of a page by CSS selectors.",
        icon="code",
        config=Html,
        work=html,
        example={
            "text": "{{ steps.fetch.output.body }}",
            "within": "article",
            "select": {"title": {"css": "h2"}, "link": {"css": "a", "take": "@href"}},
        },
        sample={"items": [{"title": "News", "link": "/news/1"}], "count": 1},
        heavy=True,
    ),
}
