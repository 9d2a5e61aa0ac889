"""What goes to the process that reads a document, and what comes back: JSON, then the document itself."""

from typing import TypeAlias

import msgspec

from domain.declared.file import ConnectorFile
from domain.imported.document import Wish
from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json


class Wanted(msgspec.Struct, frozen=True):
    """What to make of the bytes that follow."""

    wish: Wish
    size: int


class OperationItem(msgspec.Struct, frozen=True):
    """An operation as people choose it."""

    id: str
    method: str
    path: str
    name: str
    tags: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True, tag="listed"):
    """The connector, and all operations of the document."""

    file: ConnectorFile
    operations: list[OperationItem]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The document cannot be used."""

    reason: str
    errors: list[JsonObject]


class Told(msgspec.Struct, frozen=True, tag="told"):
    """It took too much."""

    reason: str


Answer: TypeAlias = Listed | Refused | Told
