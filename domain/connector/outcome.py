"""What an attempt of an action comes to."""

from datetime import datetime
from typing import TypeAlias, TypeVar

import msgspec

from domain.connection.blot import Blot
from domain.connector.http_client import HttpReply, Unreachable
from domain.files.file import FileError
from domain.values.json import Json, MalformedJson, parse

_BUSY = frozenset({408, 429})
MAX_SHOWN = 500


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


def refused(reply: HttpReply, service: str, now: datetime) -> Retry | Failed | None:
    """What an answer comes to that is no 2xx: again later where the service is busy or broken. None for a 2xx."""
    if 200 <= reply.status < 300:
        return None
    code, message, said = f"http_{reply.status}", f"{service} answered {reply.status}", answer(reply)
    if reply.status in _BUSY or reply.status >= 500:
        return Retry(code=code, message=message, after_s=reply.retry_after_s(now), output=said)
    return Failed(code=code, message=message, output=said)


def answer(reply: HttpReply) -> Json:
    """The JSON of an answer; the beginning of what is none."""
    try:
        return parse(reply.body)
    except MalformedJson:
        return reply.body[:MAX_SHOWN].decode("utf-8", "replace")
