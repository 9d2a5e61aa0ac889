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
from domain.declared.file import ConnectorFile
from domain.hook.compiled import HOOKS
from domain.starting.registering import PresetOf, PresetsOf, Registering, registering, registrable
from domain.values.json import JsonObject

D = TypeVar("D")
_files: "msgspec.json.Decoder[ConnectorFile]" = msgspec.json.Decoder(ConnectorFile)
_declared: "msgspec.json.Decoder[Declared]" = msgspec.json.Decoder(Declared)
SLOW = 2**16
"""Bytes of a packed document that is read in a thread: operations with the largest forms take milliseconds."""


class Workspaces:
    """domain.connector.catalog.Catalogs: only the actions that are asked for are read."""

    def __init__(self, everybodys: Catalog, shelf: Shelf, perform: Perform, presets_of: PresetsOf) -> None:
        self._everybodys = everybodys
        self._shelf = shelf
        self._presets_of = presets_of
        self._perform = perform

    async def of(
        self, tenant_id: UUID, types: Collection[str], at: datetime | None = None, *, hooks: Collection[str] = ()
    ) -> Catalog:
        """See Catalogs."""
        catalog = self._everybodys
        others = [found for type_ in types if type_ not in catalog.actions and (found := wanted_of(type_))]
        if others:
            documents = await self._shelf.documents(tenant_id, others, at)
            own = {type_: _lean(document, self._perform) for type_, document in documents.items()}
            catalog = msgspec.structs.replace(catalog, actions=Both(catalog.actions, own))
        told = {name: await self._presets_of(tenant_id, name) for name in hooks}
        if any(told.values()):
            catching = {type_: registrable(catalog.triggers[type_], told.get) for type_ in HOOKS}
            catalog = msgspec.structs.replace(catalog, triggers=Both(catching, catalog.triggers))
        return catalog


class Presets:
    """domain.starting.registering.PresetsOf: those that come along, and those of connectors that a workspace added."""

    def __init__(self, preset_of: PresetOf, shelf: Shelf) -> None:
        self._preset_of = preset_of
        self._shelf = shelf

    async def __call__(self, tenant_id: UUID, at: str) -> Registering | None:
        """See PresetsOf."""
        wanted, known = wanted_of(at), self._preset_of(at)
        if known is not None or wanted is None:
            return known
        content = await self._shelf.file(tenant_id, wanted.connector, wanted.version)
        if content is None:
            return None
        return registering(await asyncio.to_thread(_files.decode, content), wanted.action)


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
