"""What an attempt of an action comes to."""

from typing import TypeAlias, TypeVar

import msgspec

from domain.connection.blot import Blot
from domain.connector.http_client import Unreachable
from domain.files.file import FileError
from domain.values.json import Json


class Succeeded(msgspec.Struct, frozen=True):
    """The action did its work; `output` is what later steps see."""

    output: Json


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that time may heal. `after_s` is the target's own wish (Retry-After), if it gave one."""

    code: str
    message: str
    after_s: float | None = None
    output: Json = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that a repeat would not heal."""

    code: str
    message: str
    output: Json = None


class Postponed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was sent, so it was no attempt: to be offered again after `after_s` seconds."""

    code: str
    message: str
    after_s: float


Outcome: TypeAlias = Succeeded | Retry | Failed | Postponed
X = TypeVar("X", Succeeded, Retry, Failed, Postponed, Outcome)


def blotted(outcome: X, blot: Blot) -> X:
    """The outcome without secrets, whatever an action has made of it."""
    if not blot:
        return outcome
    match outcome:
        case Succeeded(output):
            return msgspec.structs.replace(outcome, output=blot.json(output))
        case Postponed(message=message):
            return msgspec.structs.replace(outcome, message=blot.text(message))
        case Retry() | Failed():
            message, output = blot.text(outcome.message), blot.json(outcome.output)
            return msgspec.structs.replace(outcome, message=message, output=output)
        case _:
            return outcome


def unkept(error: FileError) -> Outcome:
    """What an attempt comes to whose file could not be kept or used."""
    return (Retry if error.retry else Failed)(code=error.code, message=error.message)


def unreached(error: Unreachable) -> Outcome:
    """What an attempt comes to that got no answer."""
    if error.permanent:
        return Failed(code=error.code, message=error.message)
    if error.after_s is not None:
        return Postponed(code=error.code, message=error.message, after_s=error.after_s)
    return Retry(code=error.code, message=error.message)
