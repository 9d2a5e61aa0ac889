"""The connectors of a workspace: those that everybody has, and those that it has added."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from consumers.connectors.http import request
from consumers.connectors.shipped import names, shipped
from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionDescriptor
from domain.declared.action import Declared, declared, descriptor
from domain.declared.check import BadFile, load, loaded
from domain.declared.fields import schema_of_fields
from domain.declared.file import ConnectorFile, Preset
from domain.declared.given import sample_of
from domain.log.errors import DomainError, Invalid, LimitReached, NotFound
from domain.log.ports import Clock
from domain.values.json import Json, JsonObject
from sql.process.recent import Recent
from sql.tables.connectors import ConnectorTables, Full, KeptAction, KeptConnector, NewConnector, Source

_kept_files = msgspec.json.Decoder(ConnectorFile)
MOST_KEPT = 16
KEPT_S = 600.0
"""How many workspaces' lists of actions are kept, and for how long: each may have megabytes."""
RESERVED = frozenset({"import"})
"""Names that could not be read back, as `/connectors/NAME` is something else."""
OWN_VERSION = "1.0.0"
"""Of the connectors that are code: they come with each release."""

Origin: TypeAlias = Literal["built_in", "uploaded", "imported"]


class VersionTaken(DomainError, code="version_taken"):
    """There is another file under this name and version."""


class ConnectorItem(msgspec.Struct, frozen=True, kw_only=True):
    """A connector as the list shows it. `connection_kinds`: what it can be used with, none where it needs nothing."""

    name: str
    version: str
    title: str
    description: str
    icon: str
    source: Origin
    connection_kinds: Sequence[str]
    actions: int


class ConnectorAction(msgspec.Struct, frozen=True, kw_only=True):
    """An action of a connector. `may_repeat`: after a crash it can come twice without harm, or the service knows it."""

    type: str
    name: str
    description: str
    may_repeat: bool
    config_schema: JsonObject
    example: Json = None
    sample: Json = None


class ConnectorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A connector with all that it can do. `file` is that of a version which the workspace has added.

    `setup`: the service's address, how a connection is made, and limits. `triggers`: settings of `webhook.catch`, with
    bodies such as the service sends.
    """

    connector: ConnectorItem
    versions: Sequence[str]
    actions: Sequence[ConnectorAction]
    triggers: JsonObject
    choices: Sequence[str]
    setup: JsonObject
    file: dict[str, Json] | None = None


class Connectors:
    """Every method takes the tenant, and raises NotFound for what is another one's."""

    def __init__(self, catalog: Catalog, tables: ConnectorTables, now: Clock) -> None:
        self._catalog = catalog
        self._tables = tables
        self._now = now
        self._everybodys: bytes | None = None
        self._own = Recent[tuple[UUID, str], bytes](MOST_KEPT, KEPT_S)
        self._modules: dict[str, list[ActionDescriptor]] | None = None

    async def list(self, tenant_id: UUID) -> Sequence[ConnectorItem]:
        """All, by name."""
        kept = [_of_kept(one) for one in await self._tables.list(tenant_id)]
        built_in = await asyncio.to_thread(lambda: [self._of_file(shipped(name)) for name in names()])
        modules = [_of_module(name, actions) for name, actions in self._code().items() if name not in names()]
        return sorted([*built_in, *modules, *kept], key=lambda one: one.name)

    async def detail(self, tenant_id: UUID, name: str, version: str | None) -> ConnectorDetail:
        """One, in its newest version unless one is named. Raises NotFound."""
        if name in names():
            file = shipped(name)
            if version not in (None, file.version):
                raise NotFound("no such version of this connector")
            shown = _detail(self._of_file(file), file, [file.version], shown=False)
            more = [_action(action) for action in self._code().get(name, ())]
            return msgspec.structs.replace(shown, actions=[*shown.actions, *more])
        if name in self._code():
            actions = self._code()[name]
            return ConnectorDetail(
                connector=_of_module(name, actions),
                versions=[OWN_VERSION],
                actions=[_action(action) for action in actions],
                triggers={},
                choices=[],
                setup={},
            )
        found = await self._tables.get(tenant_id, name, version)
        if found is None:
            raise NotFound("no such connector, or no such version of it")
        kept, content, _sha256 = found
        versions = await self._tables.versions(tenant_id, name)
        return await asyncio.to_thread(lambda: _detail(_of_kept(kept), _checked(content), versions, shown=True))

    async def file(self, tenant_id: UUID, name: str) -> ConnectorFile:
        """The file of the newest version. Raises NotFound."""
        if name in names():
            return shipped(name)
        found = await self._tables.get(tenant_id, name, None)
        if found is None:
            raise NotFound("no such connector")
        return await asyncio.to_thread(_checked, found[1])

    async def add(self, principal: Principal, given: str | dict[str, Json]) -> ConnectorDetail:
        """Keep a file as a version. The same file again changes nothing. Raises Invalid, VersionTaken, LimitReached.

        Here as below, files are read and written in a thread: one of a thousand actions takes a second.
        """
        try:
            file = await asyncio.to_thread(_given, given)
        except BadFile as error:
            raise Invalid(str(error), errors=[mistake.as_json() for mistake in error.mistakes]) from None
        return await self.keep(principal, file, "uploaded")

    async def keep(self, principal: Principal, file: ConnectorFile, source: Source) -> ConnectorDetail:
        """The same for a file that was checked."""
        if file.connector in RESERVED or file.connector in names() or file.connector in self._code():
            why = "stands for a path of the API" if file.connector in RESERVED else "is a connector that everybody has"
            reason = f"{file.connector} {why}: choose another name"
            at: JsonObject = {"path": "connector", "pointer": "/connector"}
            raise Invalid(reason, errors=[{**at, "code": "taken", "reason": reason}])
        new = await asyncio.to_thread(_new, file, source)
        try:
            added = await self._tables.add(principal.tenant_id, new)
        except Full:
            raise LimitReached("the workspace has as many connectors as it may have") from None
        if not added:
            found = await self._tables.get(principal.tenant_id, file.connector, file.version)
            if found is not None and found[2] != new.sha256:
                taken = f"version {file.version} of {file.connector}"
                raise VersionTaken(f"{taken} is another file: give this one a new version")
        return await self.detail(principal.tenant_id, file.connector, file.version)

    async def items(self, tenant_id: UUID) -> bytes:
        """What the catalog lists, as a JSON array: the actions that everybody has, and those of the workspace."""
        if self._everybodys is None:
            self._everybodys = await asyncio.to_thread(_items, self._catalog)
        stamp = await self._tables.stamp(tenant_id)
        known = self._own.get((tenant_id, stamp))
        if known is None:  # of thousands of imported actions it has megabytes
            known = await self._tables.items(tenant_id)
            self._own.put((tenant_id, stamp), known)
        return b"[%s]" % b",".join(filter(None, (self._everybodys, known)))

    def _of_file(self, file: ConnectorFile) -> ConnectorItem:
        """One that ships as a file, with the actions that are code beside it."""
        found = _of_file(file, "built_in")
        return msgspec.structs.replace(found, actions=found.actions + len(self._code().get(file.connector, ())))

    def _code(self) -> dict[str, Sequence[ActionDescriptor]]:
        """The actions that are code, by the first part of their types."""
        if self._modules is None:
            found = defaultdict[str, list[ActionDescriptor]](list)
            for type_, action in self._catalog.actions.items():
                name, _, id_ = type_.partition(".")
                if name not in names() or id_ not in shipped(name).actions:
                    found[type_.partition(".")[0]].append(action)
            self._modules = dict(found)
        return dict(self._modules)


def _given(given: str | dict[str, Json]) -> ConnectorFile:
    return load(given.encode("utf-8", "replace")) if isinstance(given, str) else loaded(given)


def _checked(content: bytes) -> ConnectorFile:
    """A file as it is kept: it was checked before it was."""
    return _kept_files.decode(content)


def _new(file: ConnectorFile, source: Source) -> NewConnector:
    content = msgspec.json.encode(file)
    return NewConnector(
        name=file.connector,
        version=file.version,
        source=source,
        title=file.name,
        description=file.description or "",
        icon=file.icon,
        kinds=_kinds(file),
        file=content,
        sha256=hashlib.sha256(content).digest(),
        actions=tuple([_kept(one) for one in declared(file)]),
    )


def _kept(known: Declared) -> KeptAction:
    item = msgspec.json.encode(catalog_item(descriptor(known, request)))
    return KeptAction(known.id, msgspec.json.encode(known), item)


def _items(catalog: Catalog) -> bytes:
    """The files of all connectors are read for it, which takes a second."""
    return b",".join(msgspec.json.encode(catalog_item(action)) for action in catalog.actions.values())


def catalog_item(action: ActionDescriptor) -> JsonObject:
    """An action as /actions/available lists it."""
    uses = action.connection
    return {
        "type": action.type,
        "name": action.name,
        "description": action.description,
        "icon": action.icon,
        "config_schema": action.form,
        "example": action.example,
        "connection": {"kinds": list(uses.kinds), "required": uses.required} if uses else None,
    }


def _kinds(file: ConnectorFile) -> tuple[str, ...]:
    return tuple(kind for kind in (file.connection.kind, *file.connection.kinds) if kind != "none")


def _of_file(file: ConnectorFile, source: Origin) -> ConnectorItem:
    return ConnectorItem(
        name=file.connector,
        version=file.version,
        title=file.name,
        description=file.description or "",
        icon=file.icon,
        source=source,
        connection_kinds=_kinds(file),
        actions=len(file.actions),
    )


def _of_kept(kept: KeptConnector) -> ConnectorItem:
    return ConnectorItem(
        name=kept.name,
        version=kept.version,
        title=kept.title,
        description=kept.description,
        icon=kept.icon,
        source=kept.source,
        connection_kinds=kept.kinds,
        actions=kept.actions,
    )


def _of_module(name: str, actions: Sequence[ActionDescriptor]) -> ConnectorItem:
    kinds = {kind: None for action in actions if action.connection for kind in action.connection.kinds}
    return ConnectorItem(
        name=name,
        version=OWN_VERSION,
        title=name,
        description="; ".join(action.name for action in actions[:5]),
        icon=actions[0].icon,
        source="built_in",
        connection_kinds=list(kinds),
        actions=len(actions),
    )


def _detail(item: ConnectorItem, file: ConnectorFile, versions: Sequence[str], *, shown: bool) -> ConnectorDetail:
    setup: JsonObject = msgspec.to_builtins(file.connection)
    return ConnectorDetail(
        connector=item,
        versions=versions,
        actions=[_action(descriptor(one, request)) for one in declared(file)],
        triggers={name: _preset(f"{file.connector}.{name}", preset) for name, preset in file.triggers.items()},
        choices=list(file.choices),
        setup={"base_url": file.base_url, "connection": setup, "limits": msgspec.to_builtins(file.limits or None)},
        file=msgspec.to_builtins(file) if shown else None,
    )


def _preset(at: str, preset: Preset) -> JsonObject:
    """As people use it: of how its service is told of hooks they see the fields."""
    shown: JsonObject = {"type": "webhook.catch", **msgspec.to_builtins(preset)}
    if preset.poll:
        return {**shown, "type": at}
    if preset.register:
        form = schema_of_fields(preset.register.input)
        shown["register"] = {"at": at, "config_schema": form, "example": sample_of(form, form)}
    return shown


def _action(action: ActionDescriptor) -> ConnectorAction:
    return ConnectorAction(
        type=action.type,
        name=action.name,
        description=action.description,
        may_repeat=action.idempotent,
        config_schema=action.form,
        example=action.example,
        sample=action.sample,
    )
