"""XML as JSON: attributes as "@name", text as "#text", repeated elements as a list; a bare element is its text.

Names stay as they are written, prefixes included, as most converters for templates do it.
"""

from typing import TypeAlias
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from domain.values.json import MAX_DEPTH, Json, JsonObject

MAX_NODES = 100_000
"""Elements and attributes."""

_Children: TypeAlias = dict[str, list[Json]]


class MalformedXml(ValueError):
    """Not well-formed, with a document type, or past the limits."""


def parse_xml(body: bytes | str) -> Json:
    """`<a x="1"><b>2</b></a>` is `{"a": {"@x": "1", "b": "2"}}`. Raises MalformedXml, and nothing else.

    Text is read as it is, whatever the document says of its encoding.
    A document type is refused, because entities depend on it, and so do bombs and reads of files.
    """
    builder = _Builder()
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(builder)
    try:
        parser.feed(body)
        parser.close()
    except DefusedXmlException:
        raise MalformedXml("XML with a document type is not taken") from None
    except SAXParseException as error:
        place = f"line {error.getLineNumber()}, column {error.getColumnNumber()}"
        raise MalformedXml(f"{error.getMessage()} ({place})") from None
    except (SAXException, ValueError, LookupError) as error:
        raise MalformedXml(str(error) or type(error).__name__) from None
    return builder.document()


class _Element:
    __slots__ = ("attributes", "children", "text")

    def __init__(self, attributes: JsonObject) -> None:
        self.attributes = attributes
        self.children: _Children = {}
        self.text: list[str] = []

    def value(self) -> Json:
        text = "".join(self.text).strip()
        if not self.attributes and not self.children:
            return text
        children: JsonObject = {
            name: values if len(values) > 1 else values[0] for name, values in self.children.items()
        }
        return {**self.attributes, **children, **({"#text": text} if text else {})}


class _Builder(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self._open = [_Element({})]
        self._nodes = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: ARG002, N802 - SAX names it so
        self._nodes += 1 + len(attrs)
        if len(self._open) > MAX_DEPTH:
            raise MalformedXml(f"XML is nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise MalformedXml(f"XML has more than {MAX_NODES} elements and attributes")
        self._open.append(_Element({f"@{key}": value for key, value in attrs.items()}))

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX names it so
        element = self._open.pop()
        self._open[-1].children.setdefault(name, []).append(element.value())

    def characters(self, content: str) -> None:
        self._open[-1].text.append(content)

    def document(self) -> Json:
        return self._open[0].value()
