"""What stays of a run whose payloads are forgotten: what happened and when, and nothing of what was sent."""

import hmac
from collections.abc import Mapping
from uuid import UUID

import msgspec

from domain.hook.request import Request, trigger_data
from domain.log.event import Event
from domain.values.json import Json, JsonObject
from domain.values.path import look_up, parse_path

FORGOTTEN = "run.forgotten"
"""The stored name of the event below."""


class RunForgotten(Event, frozen=True, kw_only=True):
    """The payloads of a run that had ended were taken out of the log: the run's request, what its steps sent and got.

    A stream of its own holds this, ordered with the run. `events`: how many were changed. `digest`: SHA-256 over, of
    each of them in order, position (8 bytes) and the hash of what stays; so what stays can be proven, too.
    `of_request`: those of a request that was held or refused, and became no run; `run_id` is its id.
    """

    run_id: UUID
    zap_id: UUID
    events: int
    digest: str
    of_request: bool = False


def subject_of(request: Request, path: str) -> str:
    """Whose data a run carries, as its request says at a path of the zap's settings; empty where it says nothing."""
    found = look_up({"trigger": trigger_data(request)}, parse_path(path))
    return same(str(found)) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def same(subject: str) -> str:
    """A subject as it is compared: upper and lower case are one, as in addresses of mail."""
    return subject.strip().casefold()


def subject_key(secret: bytes, tenant_id: UUID, subject: str) -> bytes:
    """A keyed hash by which a subject's runs are found, so that an index does not tell whose they are."""
    return hmac.digest(secret, tenant_id.bytes + same(subject).encode("utf-8", "replace"), "sha256")


_STAYS = frozenset(
    {
        *("zap_id", "zap_version", "source", "replay_of", "deadline", "job_id", "depth", "recovers", "parent"),
        *("reuses", "step_id", "attempt", "started_at", "duration_ms", "retry_at", "gone_for", "code", "at", "until"),
        *("items_sha256", "version", "succeeded", "failed", "filtered", "cancelled", "run_id", "waits", "timer_id"),
        *("required", "recipient", "user_id", "orphans", "of_alert", "returned", "index", "role", "token_sha256"),
        *("passes", "taken", "kind", "due_at", "late_s", "trigger_id", "trigger_type", "tick", "count", "via"),
    }
)
"""Fields that hold nothing of a payload, in whichever struct they stand."""
_HOLDS = frozenset({"request", "failure", "decision"})
"""Fields whose own fields are looked at."""
_HOLDS_MANY = frozenset({"errors", "decisions", "failures", "to"})
_OF_REQUEST = frozenset({"zap_id", "reason", "status", "size", "zap_version"})
_GOES = frozenset({"input", "kept", "output", "item", "result", "local", "encoding", "raw"})
"""Fields that may be left out, as their default says nothing."""


def forgotten(data: bytes) -> bytes:
    """The stored payload of a run's event, of any release, without what users and targets sent.

    Whatever is not known to be harmless goes: a field that a later release adds is forgotten until it is listed here.
    """
    return msgspec.json.encode(_stripped(msgspec.json.decode(data, type=dict[str, Json])))


def forgotten_request(data: bytes) -> bytes:
    """The stored payload of a request that started no run at once, with nothing but why and when that was."""
    fields = msgspec.json.decode(data, type=dict[str, Json])
    kept: JsonObject = {}
    for name, value in fields.items():
        kept[name] = value if name in _OF_REQUEST else None if name == "request" or value is None else ""
    return msgspec.json.encode(kept)


def _stripped(fields: Mapping[str, Json]) -> JsonObject:
    kept: JsonObject = {}
    for name, value in fields.items():
        if name in _STAYS:
            kept[name] = value
        elif name == "outputs" and isinstance(value, dict):
            kept[name] = dict.fromkeys(value)
        elif name not in _GOES and isinstance(value, dict | list | str | bool):
            kept[name] = _inner(name, value)
    return kept


def _inner(name: str, value: Json) -> Json:
    match value:
        case dict() if name in _HOLDS:
            return _stripped(value)
        case dict() if name in _HOLDS_MANY:
            return {key: _stripped(one) if isinstance(one, dict) else None for key, one in value.items()}
        case list() if name in _HOLDS_MANY:
            return [_stripped(one) if isinstance(one, dict) else None for one in value]
        case str() if name == "decision":
            return value
        case dict():
            return {}
        case list():
            return []
        case str():
            return ""
        case _:
            return value
