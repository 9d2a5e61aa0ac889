"""What can a zap be started by, and what can it do?

One file per connector. Each module here that has a CONNECTOR is part of the catalog.
"""

import importlib
import pkgutil

from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionDescriptor, Connector, TriggerDescriptor


class DuplicateType(Exception):
    """Two connectors offer the same trigger or action type."""


def catalog() -> Catalog:
    """All triggers and actions of the modules in this folder, by type."""
    triggers: dict[str, TriggerDescriptor] = {}
    actions: dict[str, ActionDescriptor] = {}
    for connector in _connectors():
        for trigger in connector.triggers:
            if triggers.setdefault(trigger.type, trigger) is not trigger:
                raise DuplicateType(trigger.type)
        for action in connector.actions:
            if actions.setdefault(action.type, action) is not action:
                raise DuplicateType(action.type)
    return Catalog(dict(sorted(triggers.items())), dict(sorted(actions.items())))


def _connectors() -> list[Connector]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [module.CONNECTOR for module in modules if isinstance(module.CONNECTOR, Connector)]
