"""What goes to the process that reads a document, and what comes back: JSON in frames as rendering has them."""

from typing import TypeAlias

import msgspec

from domain.declared.file import ConnectorFile
from domain.imported.document import Wish
from domain.imported.operations import OperationItem
from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json


class Wanted(msgspec.Struct, frozen=True):
    """What to make of the document: it follows on the next line, as it came."""

    wish: Wish


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
