"""What can a zap be started by, and what can it do?

One file per connector: a module with a CONNECTOR, or a YAML file in the folder `declared`. All are in the catalog.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionDescriptor, Connector, TriggerDescriptor


class DuplicateType(Exception):
    """Two connectors offer the same trigger or action type."""


def catalog() -> Catalog:
    """All triggers and actions by type: those of modules, and those of files, which are read late."""
    from consumers.connectors.http import request
    from consumers.connectors.shipped import ShippedActions

    triggers: dict[str, TriggerDescriptor] = {}
    actions: dict[str, ActionDescriptor] = {}
    for connector in _connectors():
        for trigger in connector.triggers:
            if triggers.setdefault(trigger.type, trigger) is not trigger:
                raise DuplicateType(trigger.type)
        for action in connector.actions:
            if actions.setdefault(action.type, action) is not action:
                raise DuplicateType(action.type)
    return Catalog(dict(sorted(triggers.items())), _Both(actions, ShippedActions(request)))


def _connectors() -> list[Connector]:
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in found]
    connectors = [getattr(module, "CONNECTOR", None) for module in modules]
    return [connector for connector in connectors if isinstance(connector, Connector)]


class _Both(Mapping[str, ActionDescriptor]):
    """Two maps as one; the second is asked only for what the first does not have."""

    def __init__(self, first: Mapping[str, ActionDescriptor], second: Mapping[str, ActionDescriptor]) -> None:
        self._first = first
        self._second = second

    def __getitem__(self, type_: str) -> ActionDescriptor:
        return self._first[type_] if type_ in self._first else self._second[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._first, *self._second}))

    def __len__(self) -> int:
        return sum(1 for _ in self)
