"""The protocol between a role and its rendering process: JSON frames, each after its length."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from domain.language.condition import Decision
from domain.values.json import Json, JsonObject

HEAD = 4
MAX_FRAME = 32 * 2**20
"""Bytes of a frame: twice the largest request, parsed."""


class Render(msgspec.Struct, frozen=True, tag="render"):
    """Replace the templates of a config."""

    config: Json
    context: JsonObject
    now: datetime


class Decide(msgspec.Struct, frozen=True, tag="decide"):
    """Evaluate a condition."""

    condition: Json
    context: JsonObject


class Check(msgspec.Struct, frozen=True, tag="check"):
    """Hold a value against a JSON Schema that a user wrote."""

    schema: JsonObject
    value: Json


class Shape(msgspec.Struct, frozen=True, tag="shape"):
    """Do a data step, see domain.data.work."""

    operation: str
    config: JsonObject
    now: datetime


Job: TypeAlias = Render | Decide | Check | Shape


class Rendered(msgspec.Struct, frozen=True, tag="rendered"):
    """The config without templates."""

    value: Json


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """The result of the condition."""

    decision: Decision


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """Where and how the value breaks the schema: JSON pointers and reasons."""

    violations: tuple[tuple[str, str], ...]


class Shaped(msgspec.Struct, frozen=True, tag="shaped"):
    """The output of the data step."""

    value: Json


class Wrong(msgspec.Struct, frozen=True, tag="wrong"):
    """The template failed, or the data does not fit the step."""

    message: str
    path: str


class TooMuch(msgspec.Struct, frozen=True, tag="too_much"):
    """The job reached a limit."""

    message: str


Answer: TypeAlias = Rendered | Decided | Checked | Shaped | Wrong | TooMuch


def head(body: bytes) -> bytes:
    """A frame's header: the length of its body."""
    return len(body).to_bytes(HEAD)
