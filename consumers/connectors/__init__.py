"""What can a zap be started by, and what can it do?

One file per connector: a module with a CONNECTOR, or a YAML file in the folder `declared`. All are in the catalog.
"""

import importlib
import pkgutil

from domain.connector.catalog import Catalog, Catalogs, Shelf
from domain.connector.descriptor import ActionDescriptor, Connector, TriggerDescriptor
from domain.starting.registering import PresetsOf


class DuplicateType(Exception):
    """Two connectors offer the same trigger or action type."""


def catalog() -> Catalog:
    """All triggers and actions by type: those of modules, and those of files, which are read late."""
    from consumers.connectors.http import request
    from consumers.connectors.http.poll import WAYS
    from consumers.connectors.shipped import ShippedActions, ShippedTriggers, preset_of
    from consumers.connectors.workspace import Both
    from domain.hook.compiled import HOOKS
    from domain.starting.registering import registrable

    triggers: dict[str, TriggerDescriptor] = {}
    actions: dict[str, ActionDescriptor] = {}
    for connector in _connectors():
        for trigger in connector.triggers:
            if triggers.setdefault(trigger.type, trigger) is not trigger:
                raise DuplicateType(trigger.type)
        for action in connector.actions:
            if actions.setdefault(action.type, action) is not action:
                raise DuplicateType(action.type)
    triggers |= {type_: registrable(triggers[type_], preset_of) for type_ in HOOKS}
    known = dict(sorted(triggers.items()))
    return Catalog(Both(known, ShippedTriggers(WAYS)), Both(actions, ShippedActions(request)))


def catalogs(everybodys: Catalog, shelf: Shelf) -> Catalogs:
    """The same with what workspaces have added."""
    from consumers.connectors.http import request
    from consumers.connectors.workspace import Workspaces

    return Workspaces(everybodys, shelf, request, presets(shelf))


def presets(shelf: Shelf) -> PresetsOf:
    """The triggers whose services can be told of hooks: those of everybody, and of workspaces."""
    from consumers.connectors.shipped import preset_of
    from consumers.connectors.workspace import Presets

    return Presets(preset_of, shelf)


def _connectors() -> list[Connector]:
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in found]
    connectors = [getattr(module, "CONNECTOR", None) for module in modules]
    return [connector for connector in connectors if isinstance(connector, Connector)]
