"""The connectors that ship as files, in the folder `declared`. Each is read when somebody asks for what it has."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import TypeVar

from domain.connector.descriptor import ActionDescriptor, TriggerDescriptor
from domain.declared.action import Declared, Perform, declared, descriptor
from domain.declared.check import load
from domain.declared.file import ConnectorFile
from domain.starting.polling import Ways, polled
from domain.starting.registering import Registering, registering

_One = TypeVar("_One", ActionDescriptor, TriggerDescriptor)
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
    return registering(shipped(name), trigger) if name in names() else None


class _Shipped(Mapping[str, _One]):
    """What all files declare of one sort, by type. A file is read when somebody asks for what it has."""

    def __init__(self, of_file: Callable[[str], Iterable[_One]]) -> None:
        self._of_file: Callable[[str], Iterable[_One]] = of_file
        self._made: dict[str, dict[str, _One]] = {}

    def __getitem__(self, type_: str) -> _One:
        name, _, _id = type_.partition(".")
        if name not in names():
            raise KeyError(type_)
        return self._of(name)[type_]

    def __iter__(self) -> Iterator[str]:
        return (type_ for name in names() for type_ in self._of(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, name: str) -> dict[str, _One]:
        if name not in self._made:
            self._made[name] = {one.type: one for one in self._of_file(name)}
        return self._made[name]


class ShippedActions(_Shipped[ActionDescriptor]):
    """The actions of all files. `perform` sends what a config of http.request says."""

    def __init__(self, perform: Perform) -> None:
        super().__init__(lambda name: [descriptor(one, perform) for one in all_of(name)])


class ShippedTriggers(_Shipped[TriggerDescriptor]):
    """The triggers of all files that ask a service for what is new. `ways` are how they are asked."""

    def __init__(self, ways: Ways) -> None:
        super().__init__(lambda name: _polls(shipped(name), ways))


def _polls(file: ConnectorFile, ways: Ways) -> list[TriggerDescriptor]:
    return [polled(file, id_, preset, ways) for id_, preset in file.triggers.items() if preset.poll]


def all_of(name: str) -> list[Declared]:
    """The actions of one file."""
    return declared(shipped(name))
