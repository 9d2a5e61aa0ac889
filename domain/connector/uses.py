"""What a trigger or an action says of the connection that goes with it."""

from collections.abc import Callable

import msgspec

from domain.connection.hosts import fixed_host
from domain.connection.kinds import HTTP_KINDS, Kind
from domain.values.json import Json, JsonObject


class Uses(msgspec.Struct, frozen=True, kw_only=True):
    """`kinds`: those that it can work with. `required`: it does nothing without one; `required_by`: of a config.

    `host`: where a config sends the credential, with a port that is not the scheme's; empty where only data can tell,
    or where the connection itself says so, as that of a mail server does.
    """

    host: Callable[[JsonObject], str]
    kinds: tuple[Kind, ...] = HTTP_KINDS
    required: bool = False
    required_by: Callable[[JsonObject], bool] | None = None

    def needed(self, config: JsonObject) -> bool:
        """Whether a config does nothing without a connection."""
        return self.required or (self.required_by is not None and self.required_by(config))


def host_at(*keys: str) -> Callable[[JsonObject], str]:
    """The host of the URL that stands at these keys of a config."""

    def host(config: JsonObject) -> str:
        value: Json = config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return fixed_host(value) if isinstance(value, str) else ""

    return host
