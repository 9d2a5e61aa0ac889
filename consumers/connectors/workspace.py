"""The connectors that a workspace has added, beside those that everybody has."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.connector.catalog import Catalog, Shelf, wanted_of
from domain.declared.action import Declared, Perform, descriptor

D = TypeVar("D")
_declared: "msgspec.json.Decoder[Declared]" = msgspec.json.Decoder(Declared)


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
        own = {type_: descriptor(_declared.decode(document), self._perform) for type_, document in documents.items()}
        return msgspec.structs.replace(self._everybodys, actions=Both(self._everybodys.actions, own))


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
