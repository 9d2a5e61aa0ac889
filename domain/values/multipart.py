"""multipart/form-data (RFC 7578): fields as text or JSON, files with their content."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress

from multipart import MultipartSegment, PushMultipartParser

from domain.values.charset import charset_of, text_of
from domain.values.headers import filename_of, is_json, plain_type
from domain.values.json import Json, MalformedJson, parse

MAX_PARTS = 1_000
MAX_PART_HEADERS = 8
MAX_PART_HEADER = 4 * 1024
"""Bytes of one header line of a part."""
MAX_FILE_CONTENT = 1024 * 1024
"""Bytes of a file up to which its content is kept in the value; larger files have name, type and size only."""
_MAX_BOUNDARY = 70  # RFC 2046 §5.1.1


def parse_multipart(boundary: str, body: bytes, charset: str = "") -> Iterator[tuple[str, Json]]:
    """Each part's name and value, in order; `charset` is that of parts which name none. Raises MultipartError."""
    parser = parser_of(boundary)
    with parser:
        segment: MultipartSegment | None = None
        chunks: list[bytes] = []
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                segment, chunks = event, []
            elif event is not None:
                chunks.append(bytes(event))
            elif segment is not None:
                yield text_name(segment.name or "", charset), _value(segment, b"".join(chunks), charset)


def parser_of(boundary: str) -> PushMultipartParser:
    """A parser that takes what comes piece by piece. Raises MultipartError, then and while it parses."""
    return PushMultipartParser(
        boundary[: _MAX_BOUNDARY + 1],
        max_header_size=MAX_PART_HEADER,
        max_header_count=MAX_PART_HEADERS,
        max_segment_count=MAX_PARTS,
        header_charset="latin-1",  # takes any bytes; names are read once they are known to be names
    )


def field_value(segment: MultipartSegment, content: bytes, charset: str) -> Json:
    """The value of a part that is no file: its text, or the object or list of one that says it is JSON."""
    text = text_of(content, charset_of(segment.charset or "") or charset)
    if text.lstrip().startswith(("{", "[")) and is_json(plain_type(segment.content_type or "").lower()):
        with suppress(MalformedJson):
            return parse(text.encode("utf-8", "replace"))
    return text


def _value(segment: MultipartSegment, content: bytes, charset: str) -> Json:
    filename = filename_of(segment.header("Content-Disposition", ""), lambda name: text_name(name, charset))
    if filename is None:
        return field_value(segment, content, charset)
    return {
        "filename": filename,
        "content_type": segment.content_type or "application/octet-stream",
        "size": len(content),
        "content": b64encode(content).decode() if len(content) <= MAX_FILE_CONTENT else None,
    }


def text_name(header: str, charset: str) -> str:
    """The text of a header that was read as Latin-1."""
    return header if header.isascii() else text_of(header.encode("latin-1"), charset)
