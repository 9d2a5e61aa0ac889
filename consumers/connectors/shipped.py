"""The connectors that ship as files, in the folder `declared`. Each is read when somebody asks for what it has."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from domain.connector.descriptor import ActionDescriptor, TriggerDescriptor
from domain.declared.action import Declared, Perform, declared, descriptor
from domain.declared.check import load
from domain.declared.file import ConnectorFile
from domain.starting.polling import Ways, polled
from domain.starting.registering import Registering

_FOLDER = files("consumers.connectors").joinpath("declared")


@cache
def names() -> tuple[str, ...]:
    """The names of all files, in order."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml")))


@cache
def shipped(name: str) -> ConnectorFile:
    """The file of a connector. Raises BadFile, which a test of all files rules out."""
    return load(_FOLDER.joinpath(f"{name}.yaml").read_bytes())


def preset_of(at: str) -> Registering | None:
    """The trigger `connector.trigger` whose service can be told of a hook; None for any other."""
    name, _, trigger = at.partition(".")
    file = shipped(name) if name in names() else None
    preset = file.triggers.get(trigger) if file else None
    if file is None or preset is None or not preset.register:
        return None
    return Registering(file=file, preset=preset, register=preset.register)


class ShippedActions(Mapping[str, ActionDescriptor]):
    """The actions of all files by type. `perform` sends what a config of http.request says."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform
        self._made: dict[str, dict[str, ActionDescriptor]] = {}

    def __getitem__(self, type_: str) -> ActionDescriptor:
        name, _, _id = type_.partition(".")
        if name not in names():
            raise KeyError(type_)
        return self._of(name)[type_]

    def __iter__(self) -> Iterator[str]:
        return (type_ for name in names() for type_ in self._of(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, name: str) -> dict[str, ActionDescriptor]:
        if name not in self._made:
            self._made[name] = {one.type: descriptor(one, self._perform) for one in all_of(name)}
        return self._made[name]


class ShippedTriggers(Mapping[str, TriggerDescriptor]):
    """The triggers of all files that ask a service for what is new, by type. `ways` are how they are asked."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._made: dict[str, dict[str, TriggerDescriptor]] = {}

    def __getitem__(self, type_: str) -> TriggerDescriptor:
        name, _, _id = type_.partition(".")
        if name not in names():
            raise KeyError(type_)
        return self._of(name)[type_]

    def __iter__(self) -> Iterator[str]:
        return (type_ for name in names() for type_ in self._of(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, name: str) -> dict[str, TriggerDescriptor]:
        if name not in self._made:
            file = shipped(name)
            made = [polled(file, id_, preset, self._ways) for id_, preset in file.triggers.items() if preset.poll]
            self._made[name] = {one.type: one for one in made}
        return self._made[name]


def all_of(name: str) -> list[Declared]:
    """The actions of one file."""
    return declared(shipped(name))
