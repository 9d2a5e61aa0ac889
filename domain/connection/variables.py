"""Variables: values with names that all zaps of a workspace share, plain or secret."""

from typing import Annotated, TypeAlias
from uuid import UUID, uuid5

from msgspec import Meta

from domain.log.event import Event
from domain.values.shapes import VARIABLE

MAX_VALUE = 32_000
VariableName = Annotated[str, Meta(max_length=64, pattern=VARIABLE)]
Scalar: TypeAlias = str | int | float | bool


class VariableSet(Event, frozen=True, kw_only=True):
    """A variable has this value now. That of a secret one is beside the log, sealed."""

    name: str
    secret: bool = False
    value: Scalar | None = None


class VariableDeleted(Event, frozen=True, kw_only=True):
    """There is no variable of this name any more."""

    name: str


VariableEvent: TypeAlias = VariableSet | VariableDeleted


def stream_of_variable(tenant_id: UUID, name: str) -> UUID:
    """The stream of a variable's events."""
    return uuid5(tenant_id, f"variable {name}")
