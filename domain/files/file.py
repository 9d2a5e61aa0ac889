"""A file: bytes that are kept beside the log, which the log and all steps know by a small reference.

A reference is no right to a file: whoever uses one has it looked up, and only the files of the same run are found.
"""

import re
from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

import msgspec

from domain.values.json import Json, JsonObject

INLINE_BYTES = 256 * 1024
"""Content up to so many bytes stays in the value itself; above it, it is kept as a file."""
MAX_NAME = 255
MAX_TYPE = 200
ANY_TYPE = "application/octet-stream"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file. `sha256` is in hex, `size` in bytes; no name is empty."""

    id: UUID
    sha256: str
    size: int
    content_type: str = ANY_TYPE
    filename: str = ""

    def value(self) -> JsonObject:
        """The reference, as templates, inputs and outputs have it."""
        return {
            "$file": str(self.id),
            "sha256": self.sha256,
            "size": self.size,
            "content_type": self.content_type,
            "filename": self.filename,
        }


class FileError(Exception):
    """A file can't be kept, or not be used. `retry`: time may heal it. The text is for the zap's owner."""

    def __init__(self, code: str, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry


class Files(Protocol):
    """The files of one run. Every method raises FileError."""

    async def find(self, value: Json) -> File:
        """The file that a reference names: of this run, of one above or below it, or of one that it replays."""

    def read(self, file: File) -> AsyncIterator[bytes]:
        """The content, piece by piece. The last piece comes once the whole was found to be as it was kept."""

    async def keep(
        self, content: AsyncIterator[bytes], *, filename: str = "", content_type: str = "", most: int | None = None
    ) -> File:
        """Keep content as it comes, of `most` bytes where that is less than what a file may have."""


def is_file(value: Json) -> bool:
    """Whether a value is a reference to a file, or claims to be one."""
    return isinstance(value, dict) and "$file" in value


def file_of(value: Json) -> File | None:
    """The file as a reference describes it; None for what is none. Nobody has checked that it is true."""
    match value:
        case {"$file": str(id_), "sha256": str(sha256), "size": int(size)}:
            try:
                return File(id=UUID(id_), sha256=sha256, size=size)
            except ValueError:
                return None
    return None


def files_in(value: Json) -> list[JsonObject]:
    """All references in a value, however deep."""
    match value:
        case dict() if "$file" in value:
            return [value]
        case dict():
            return [found for inner in value.values() for found in files_in(inner)]
        case list():
            return [found for inner in value for found in files_in(inner)]
        case _:
            return []


def named(filename: str) -> str:
    """A file's name without folders, control characters, or more than MAX_NAME characters."""
    last = re.split(r"[/\\]", filename)[-1]
    return re.sub(r"[\x00-\x1f\x7f]", "", last)[:MAX_NAME]


def typed(content_type: str) -> str:
    """A content type as it is kept."""
    return " ".join(content_type.split())[:MAX_TYPE] or ANY_TYPE
