"""What the two sides of a rendering process say to each other: frames of JSON behind their length."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from domain.language.condition import Decision
from domain.values.json import Json, JsonObject

HEAD = 4
MAX_FRAME = 32 * 2**20
"""Bytes of what goes in or comes out: room for the largest request, parsed, and as much again."""


class Render(msgspec.Struct, frozen=True, tag="render"):
    """Replace the templates of a config."""

    config: Json
    context: JsonObject
    now: datetime


class Decide(msgspec.Struct, frozen=True, tag="decide"):
    """Settle a condition."""

    condition: Json
    context: JsonObject


Job: TypeAlias = Render | Decide


class Rendered(msgspec.Struct, frozen=True, tag="rendered"):
    """The config without templates."""

    value: Json


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """How the condition came out."""

    decision: Decision


class Wrong(msgspec.Struct, frozen=True, tag="wrong"):
    """The template's own fault."""

    message: str
    path: str


class TooMuch(msgspec.Struct, frozen=True, tag="too_much"):
    """The job would have taken more than it may."""

    message: str


Answer: TypeAlias = Rendered | Decided | Wrong | TooMuch


def head(body: bytes) -> bytes:
    """What goes before a frame's body."""
    return len(body).to_bytes(HEAD)
