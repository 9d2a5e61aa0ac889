"""multipart/form-data (RFC 7578): fields as text, files with their content."""

from base64 import b64encode
from collections.abc import Iterator

from multipart import MultipartSegment, PushMultipartParser

from domain.values.charset import charset_of, text_of
from domain.values.json import Json

MAX_PARTS = 1_000
MAX_PART_HEADERS = 8
MAX_PART_HEADER = 4 * 1024
"""Bytes of one header line of a part."""
MAX_FILE_CONTENT = 1024 * 1024
"""Bytes of a file up to which its content is kept in the value; larger files have name, type and size only."""
_MAX_BOUNDARY = 70  # RFC 2046 §5.1.1


def parse_multipart(boundary: str, body: bytes) -> Iterator[tuple[str, Json]]:
    """Each part's name and value, in order. Raises MultipartError."""
    parser = PushMultipartParser(
        boundary[: _MAX_BOUNDARY + 1],
        max_header_size=MAX_PART_HEADER,
        max_header_count=MAX_PART_HEADERS,
        max_segment_count=MAX_PARTS,
    )
    with parser:
        segment: MultipartSegment | None = None
        chunks: list[bytes] = []
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                segment, chunks = event, []
            elif event is not None:
                chunks.append(bytes(event))
            elif segment is not None:
                yield segment.name or "", _value(segment, b"".join(chunks))


def _value(segment: MultipartSegment, content: bytes) -> Json:
    if segment.filename is None:
        return text_of(content, charset_of(segment.charset or ""))
    return {
        "filename": segment.filename,
        "content_type": segment.content_type or "application/octet-stream",
        "size": len(content),
        "content": b64encode(content).decode() if len(content) <= MAX_FILE_CONTENT else None,
    }
