"""Requests that start no run: facts about a zap's hook, in a stream beside the zap's own.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID, uuid5

from domain.hook.request import Request
from domain.log.event import Event

Reason: TypeAlias = Literal[
    "bad_signature",
    "malformed",
    "too_large",
    "over_limit",
    "paused",
    "filtered",
    "duplicate",
    "handshake",
    "held",
    "method",
    "too_slow",
    "left",
    "unavailable",
    "loop",
    "held_full",
]
"""Why a request started no run. A duplicate was answered with its first run, a handshake as its sender expects it.

`method`: the hook does not take this method. `left`: the connection closed before the body was complete.
`unavailable`: there was no room for the body, or the log was down. `loop`: too many runs had started one another.
`held_full`: the zap is paused, and holds as many bytes as it may.

A held request waits until the zap's owner releases or discards it.
"""

MAX_EXCERPT = 1_024
"""Characters of a refused body that are kept."""
MAX_DETAIL = 300
_STREAMS = UUID("7c9a5d1e-4f0b-5a6e-9d55-2f6f0f7f4a11")


class RequestRejected(Event, frozen=True, kw_only=True):
    """A request to a known zap started no run; the event's id is the request's, and that of its stream.

    `request` is kept whole when the sender is authentic, so that it can be admitted later. Otherwise only an excerpt of
    the body is kept. `status` is what the sender was answered; `size` is in bytes.
    """

    zap_id: UUID
    reason: Reason
    status: int
    detail: str = ""
    method: str = ""
    path: str = ""
    content_type: str = ""
    size: int = 0
    excerpt: str = ""
    dedupe_id: str = ""
    zap_version: int = 0
    request: Request | None = None


class RequestsCounted(Event, frozen=True, kw_only=True):
    """`count` more requests between two moments, of which nothing else is kept.

    For duplicates `repeats` counts them by the id of their run, up to a number of runs.
    """

    zap_id: UUID
    reason: Reason
    count: int
    since: datetime
    until: datetime
    repeats: Mapping[str, int] = {}


class RequestAdmitted(Event, frozen=True, kw_only=True):
    """A rejected request was admitted, or a held one released: it has its run."""

    zap_id: UUID
    request_id: UUID
    run_id: UUID


class RequestDiscarded(Event, frozen=True, kw_only=True):
    """A held request will never have a run."""

    zap_id: UUID
    request_id: UUID


IntakeEvent: TypeAlias = RequestRejected | RequestsCounted | RequestAdmitted | RequestDiscarded


def admission_of(request_id: UUID) -> UUID:
    """The stream that names the run of a request that an earlier release refused: those of a zap shared one stream."""
    return uuid5(_STREAMS, request_id.hex + "/admission")
