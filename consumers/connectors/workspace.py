"""The connectors that a workspace has added, beside those that everybody has."""

import asyncio
import zlib
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.connector.catalog import Catalog, Shelf, wanted_of
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Outcome
from domain.declared.action import Declared, Perform, descriptor
from domain.values.json import JsonObject

D = TypeVar("D")
_declared: "msgspec.json.Decoder[Declared]" = msgspec.json.Decoder(Declared)
SLOW = 2**16
"""Bytes of a packed document that is read in a thread: operations with the largest forms take milliseconds."""


class Workspaces:
    """domain.connector.catalog.Catalogs: only the actions that are asked for are read."""

    def __init__(self, everybodys: Catalog, shelf: Shelf, perform: Perform) -> None:
        self._everybodys = everybodys
        self._shelf = shelf
        self._perform = perform

    async def of(self, tenant_id: UUID, types: Collection[str], at: datetime | None = None) -> Catalog:
        """See Catalogs."""
        others = [found for type_ in types if type_ not in self._everybodys.actions and (found := wanted_of(type_))]
        if not others:
            return self._everybodys
        documents = await self._shelf.documents(tenant_id, others, at)
        own = {type_: _lean(document, self._perform) for type_, document in documents.items()}
        return msgspec.structs.replace(self._everybodys, actions=Both(self._everybodys.actions, own))


def _lean(document: bytes, perform: Perform) -> ActionDescriptor:
    """An action whose `run` keeps its document packed, and reads it each time.

    A runner keeps the actions of thousands of zaps, and what is read of an operation takes ten times as much as it.
    """
    packed = zlib.compress(document)

    async def run(config: JsonObject, context: ActionContext) -> Outcome:
        known = await asyncio.to_thread(_unpacked, packed) if len(packed) > SLOW else _unpacked(packed)
        return await descriptor(known, perform).run(config, context)

    return msgspec.structs.replace(descriptor(_declared.decode(document), perform), run=run)


def _unpacked(packed: bytes) -> Declared:
    return _declared.decode(zlib.decompress(packed))


class Both(Mapping[str, D]):
    """Two maps as one; the second is asked only for what the first does not have."""

    def __init__(self, first: Mapping[str, D], second: Mapping[str, D]) -> None:
        self._first = first
        self._second = second

    def __getitem__(self, type_: str) -> D:
        return self._first[type_] if type_ in self._first else self._second[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._first, *self._second}))

    def __len__(self) -> int:
        return sum(1 for _ in self)
