"""A hook that its service is told of: what a zap says of that, and the calls that follow from it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.connection.hosts import fixed_host
from domain.connection.kinds import HTTP_KINDS
from domain.connector.config import BadConfig
from domain.connector.descriptor import TriggerDescriptor
from domain.connector.uses import Uses
from domain.declared.action import filled
from domain.declared.fields import schema_of_fields
from domain.declared.file import ConnectorFile, Preset, Register, Request
from domain.declared.filling import fill_base, fill_fields, slots
from domain.declared.form import problems, read
from domain.values.json import Json, JsonObject


class Registering(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger of a connector whose service can be told of a hook."""

    file: ConnectorFile
    preset: Preset
    register: Register

    @property
    def chooses_secret(self) -> bool:
        """Whether we choose the secret that the service signs with."""
        return any(slot.name == "hook.secret" for slot in slots(msgspec.to_builtins(self.register.create)))

    @property
    def by_address(self) -> bool:
        """Whether the service has one hook only, which it knows by its address."""
        return self.register.find.id == self.register.find.url

    @property
    def needs_connection(self) -> bool:
        """Whether the service has to know who asks."""
        return self.file.connection.kind != "none" and self.file.connection.required

    def call(self, wanted: Request, given: JsonObject, hook: JsonObject) -> JsonObject:
        """The config of http.request for one of its calls. `hook`: url, name, secret and id. Raises BadConfig."""
        fields = read(schema_of_fields(self.register.input), given)
        scope: JsonObject = {
            "input": {**fields, "hook_id": hook.get("id"), "hook_name": hook.get("name")},
            "hook": hook,
        }
        sent = filled(self.file.base_url.rstrip("/"), wanted, scope, self.file.hosts)
        own = sent.get("headers")
        headers = {**fill_fields(self.file.headers, scope), **(own if isinstance(own, dict) else {})}
        return {**sent, "headers": headers} if headers else sent


PresetOf: TypeAlias = Callable[[str], Registering | None]
"""The trigger of a connector that is named like `github.webhook`; None for one that cannot be registered."""
PresetsOf: TypeAlias = Callable[[UUID, str], Awaitable[Registering | None]]
"""The same of a workspace, which may have added connectors. Raises StoreUnavailable."""


def registering(file: ConnectorFile, trigger: str) -> Registering | None:
    """A trigger of a file."""
    preset = file.triggers.get(trigger)
    if preset is None or not preset.register:
        return None
    return Registering(file=file, preset=preset, register=preset.register)


def registrable(hook: TriggerDescriptor, preset_of: PresetOf) -> TriggerDescriptor:
    """The trigger that catches hooks, once it may say where its hook is to be registered."""

    def check(config: JsonObject) -> dict[str, str]:
        found = hook.problems(config)
        if _named(config, preset_of) is not None:
            found.pop("register.at", None)  # another `preset_of` may not know it
        return {**found, **_problems(config, preset_of)}

    uses = Uses(
        host=lambda config: _host(config, preset_of),
        kinds=HTTP_KINDS,
        required_by=lambda config: (found := _named(config, preset_of)) is not None and found.needs_connection,
    )
    return msgspec.structs.replace(hook, check=check, connection=uses)


def wishes(configs: Iterable[JsonObject]) -> list[str]:
    """The triggers of connectors where hooks of these configs want to be registered."""
    return [at for config in configs if (at := wish_of(config)[0])]


def wish_of(config: JsonObject) -> tuple[str, JsonObject]:
    """Where a config wants its hook registered, and with which fields; an empty name for nowhere."""
    wish = config.get("register")
    if not isinstance(wish, dict):
        return "", {}
    given = wish.get("input")
    return str(wish.get("at", "")), given if isinstance(given, dict) else {}


def _named(config: JsonObject, preset_of: PresetOf) -> Registering | None:
    return preset_of(wish_of(config)[0])


def _host(config: JsonObject, preset_of: PresetOf) -> str:
    found = _named(config, preset_of)
    try:
        return fixed_host(fill_base(found.file.base_url, wish_of(config)[1])) if found else ""
    except BadConfig:
        return ""


def _problems(config: JsonObject, preset_of: PresetOf) -> dict[str, str]:
    if config.get("register") is None:
        return {}
    at, given = wish_of(config)
    found = preset_of(at)
    if found is None:
        return {"register.at": f"{at[:100]!r} is no trigger of a connector that registers hooks"}
    wrong = problems(schema_of_fields(found.register.input), given, rendered=True)
    broken = {f"register.input.{path}": reason for path, reason in wrong.items()}
    wanted = _scheme(found.preset.config)
    if _scheme(config) != wanted:
        broken["verification"] = f"what {at} sends is verified with the preset {wanted}"
    return broken


def _scheme(config: JsonObject) -> Json:
    verification = config.get("verification")
    return verification.get("preset") if isinstance(verification, dict) else "none"
