"""All that definitions may use."""

from collections.abc import Mapping

import msgspec

from domain.connector.descriptor import ActionDescriptor, TriggerDescriptor


class Catalog(msgspec.Struct, frozen=True):
    """The triggers and actions that definitions may use, by type."""

    triggers: Mapping[str, TriggerDescriptor]
    actions: Mapping[str, ActionDescriptor]
