"""What listeners are told: small events without payloads, made of the beginnings of the log's rows.

A payload may have megabytes, so only its first bytes are read. What is told must be among the plain fields that a
payload begins with; a test holds this against every event that is stored.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

import msgspec

from domain.run.events import DEADLINE, Source
from domain.run.state import RunStatus
from projections.step_detail import StepStatus


class LiveRunRequested(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="run.requested"):
    """A run was requested. The runs of a loop's items have the source `item`."""

    position: int
    at: datetime
    zap_id: UUID
    run_id: UUID
    status: RunStatus = "queued"
    zap_version: int
    source: Source


class LiveRunStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run.step"):
    """A step went on.

    `waiting`: it is delayed, put off, waits for somebody or for other runs, or its attempt failed and another follows.

    `attempt` and `duration_ms` are those of an attempt that was made.
    """

    position: int
    at: datetime
    zap_id: UUID
    run_id: UUID
    step_id: str
    status: StepStatus
    attempt: int | None = None
    duration_ms: float | None = None


class LiveRunEnded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run.ended"):
    """A run ended. `step_id` is the step that ended it, `error_code` why it failed."""

    position: int
    at: datetime
    zap_id: UUID
    run_id: UUID
    status: RunStatus
    step_id: str = ""
    error_code: str = ""


ZapChange: TypeAlias = Literal[
    "created", "draft_changed", "published", "rolled_back", "enabled", "paused", "deleted", "secrets_changed",
    "flagged", "unflagged",
]  # fmt: skip


class LiveZapChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="zap.changed"):
    """A zap was changed: read it again, unless what you have is of this `position` or a later one."""

    position: int
    at: datetime
    zap_id: UUID
    change: ZapChange


class LiveReset(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reset"):
    """Events up to `position` are not told: read your lists again. What follows comes after it.

    `too_old`: there are too many since the position that you named. `unknown`: the log has not come to it.
    """

    position: int
    reason: Literal["too_old", "unknown"]


ClosedBecause: TypeAlias = Literal["too_slow", "expired", "revoked", "stopping"]


class LiveClosed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="closed"):
    """The last event of a stream that the server ends. Come again with the last id that you have.

    `too_slow`: too much was unread. `expired`: the stream has lasted as long as the access token, or an hour.
    `revoked`: the session or the API key ended. `stopping`: the process restarts.
    """

    reason: ClosedBecause


LiveEvent: TypeAlias = LiveRunRequested | LiveRunStep | LiveRunEnded | LiveZapChanged | LiveReset | LiveClosed
Told: TypeAlias = LiveRunRequested | LiveRunStep | LiveRunEnded | LiveZapChanged
NewsType: TypeAlias = Literal["run.requested", "run.step", "run.ended", "zap.changed"]

_REQUESTED, _DECIDED = "zap.run.requested", "zap.run.step_decided"
_STEPS: Mapping[str, StepStatus] = {
    "zap.run.step_started": "running", "zap.run.step_succeeded": "succeeded", "zap.run.step_failed": "failed",
    "zap.run.step_attempt_failed": "waiting", "zap.run.step_postponed": "waiting", "zap.run.step_delayed": "waiting",
    "zap.run.approval_asked": "waiting", "zap.run.approval_answered": "waiting",
    "zap.run.loop_started": "waiting", "zap.run.loop_progressed": "waiting", "zap.run.loop_finished": "waiting",
    "zap.run.zap_called": "waiting", "zap.run.callback_awaited": "waiting", "zap.run.callback_received": "waiting",
    _DECIDED: "succeeded",
}  # fmt: skip
_ENDS: Mapping[str, RunStatus] = {
    "zap.run.completed": "completed", "zap.run.filtered": "filtered", "zap.run.failed": "failed",
    "zap.run.timed_out": "timed_out", "zap.run.cancelled": "cancelled",
}  # fmt: skip
_CHANGES: Mapping[str, ZapChange] = {f"zap.{change}": change for change in get_args(ZapChange)}
TYPES = (_REQUESTED, *_STEPS, *_ENDS, *_CHANGES)
"""The events of the log that listeners are told of."""

_FIELD = rb'"[a-z_]+":(?:"[^"\\]*"|-?[0-9][0-9.eE+-]*|true|false|null)'
_PLAIN = re.compile(rb"\{(?:%b(?:,%b)*(?=[,}]))?" % (_FIELD, _FIELD))
_STOPPED = b'"decision":{"kind":"filter","passes":false'


class Beginning(msgspec.Struct, frozen=True):
    """The plain fields at the head of a payload, those that are told of."""

    zap_id: UUID | None = None
    zap_version: int = 0
    source: Source = "webhook"
    step_id: str = ""
    attempt: int | None = None
    duration_ms: float | None = None
    code: str = ""


_beginnings = msgspec.json.Decoder(Beginning)


def beginning(data: bytes) -> Beginning:
    """The plain fields that a payload's first bytes hold whole. Raises msgspec.DecodeError."""
    found = _PLAIN.match(data)
    return _beginnings.decode(found[0] + b"}" if found else b"{}")


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event of the log with the first bytes of its payload."""

    position: int
    stream_id: UUID
    tenant_id: UUID
    type: str
    at: datetime
    data: bytes

    @property
    def of_run(self) -> bool:
        """Whether it is a run's event, whose zap has to be known."""
        return self.type not in _CHANGES

    @property
    def requests(self) -> bool:
        """Whether it is the first event of a run."""
        return self.type == _REQUESTED


def told(row: Row, zap_id: UUID) -> Told:
    """What listeners are told of an event; of a run's event with the run's zap. Raises msgspec.DecodeError."""
    position, at = row.position, row.at
    if not row.of_run:
        return LiveZapChanged(position=position, at=at, zap_id=row.stream_id, change=_CHANGES[row.type])
    run_id, said = row.stream_id, beginning(row.data)
    if row.requests:
        return LiveRunRequested(
            position=position, at=at, zap_id=zap_id, run_id=run_id, zap_version=said.zap_version, source=said.source
        )
    if row.type in _STEPS:
        return LiveRunStep(
            position=position, at=at, zap_id=zap_id, run_id=run_id, step_id=said.step_id, status=_status(row),
            attempt=said.attempt, duration_ms=said.duration_ms,
        )  # fmt: skip
    return LiveRunEnded(
        position=position, at=at, zap_id=zap_id, run_id=run_id, status=_ENDS[row.type], step_id=said.step_id,
        error_code=DEADLINE if row.type == "zap.run.timed_out" else said.code,
    )  # fmt: skip


def _status(row: Row) -> StepStatus:
    stopped = row.type == _DECIDED and _STOPPED in row.data
    return "filtered" if stopped else _STEPS[row.type]


_encoder = msgspec.json.Encoder()


def frame(event: LiveEvent) -> bytes:
    """The event as a stream has it (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    lines = b"event: %b\ndata: %b\n\n" % (
        str(event.__struct_config__.tag).encode(), _encoder.encode(event)
    )  # fmt: skip
    return lines if isinstance(event, LiveClosed) else b"id: %d\n%b" % (event.position, lines)


def heartbeat(position: int) -> bytes:
    """A sign of life, by which a listener without news learns how far it has come."""
    return b": heartbeat\nid: %d\n\n" % position


def greeting(position: int, retry_ms: int) -> bytes:
    """The beginning of a stream: where it begins, and when to come again once it ends."""
    return b"retry: %d\nid: %d\n\n" % (retry_ms, position)
