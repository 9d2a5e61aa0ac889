"""Every event's stored name and schema version, and the codec between structs and the log's bytes.

A retired shape keeps an upcaster here and its golden sample under tests/golden, for ever.
"""

from collections.abc import Callable, Mapping

import msgspec

from domain.account import identity
from domain.connection import events as connection
from domain.connection import variables
from domain.erasure import dropping, forgetting
from domain.failures import failures
from domain.intake import events as intake
from domain.job import job
from domain.log.event import Event
from domain.registration import events as registration
from domain.run import children
from domain.run import events as run_events
from domain.run import waits as run_waits
from domain.values.json import JsonObject
from domain.values.newer import understood
from domain.zap import events as zap_events
from domain.zap import ticks


class EventType(msgspec.Struct, frozen=True):
    """One kind of event: its name in the log, the version that is written today, and its struct."""

    name: str
    schema_version: int
    struct: type[Event]


EVENT_TYPES: tuple[EventType, ...] = (
    EventType("zap.created", 1, zap_events.ZapCreated),
    EventType("zap.draft_changed", 1, zap_events.ZapDraftChanged),
    EventType("zap.published", 1, zap_events.ZapPublished),
    EventType("zap.rolled_back", 1, zap_events.ZapRolledBack),
    EventType("zap.enabled", 1, zap_events.ZapEnabled),
    EventType("zap.paused", 1, zap_events.ZapPaused),
    EventType("zap.deleted", 1, zap_events.ZapDeleted),
    EventType("zap.scheduled", 1, zap_events.ZapScheduled),
    EventType("zap.hook_due", 1, zap_events.ZapHookDue),
    EventType("zap.secrets_changed", 1, zap_events.ZapSecretsChanged),
    EventType("zap.flagged", 1, zap_events.ZapFlagged),
    EventType("zap.unflagged", 1, zap_events.ZapUnflagged),
    EventType("zap.draft_tested", 1, zap_events.DraftTested),
    EventType("zap.failures.resolved", 1, failures.FailuresResolved),
    EventType("zap.failures.noted", 1, failures.FailuresNoted),
    EventType("zap.failures.alert_raised", 1, failures.AlertRaised),
    EventType("zap.failures.alert_attempted", 1, failures.AlertAttempted),
    EventType("zap.trigger.ticked", 1, ticks.TriggerTicked),
    EventType("zap.hook.called", 1, registration.HookCalled),
    EventType("zap.hook.registered", 1, registration.HookRegistered),
    EventType("zap.hook.failed", 1, registration.HookFailed),
    EventType("zap.hook.removed", 1, registration.HookRemoved),
    EventType("zap.request.rejected", 1, intake.RequestRejected),
    EventType("zap.request.counted", 1, intake.RequestsCounted),
    EventType("zap.request.admitted", 1, intake.RequestAdmitted),
    EventType("zap.request.discarded", 1, intake.RequestDiscarded),
    EventType("zap.run.requested", 1, run_events.RunRequested),
    EventType("zap.run.step_started", 1, run_events.StepStarted),
    EventType("zap.run.step_succeeded", 1, run_events.StepSucceeded),
    EventType("zap.run.step_attempt_failed", 1, run_events.StepAttemptFailed),
    EventType("zap.run.step_failed", 1, run_events.StepFailed),
    EventType("zap.run.step_postponed", 1, run_events.StepPostponed),
    EventType("zap.run.step_delayed", 1, run_events.StepDelayed),
    EventType("zap.run.step_decided", 1, run_events.StepDecided),
    EventType("zap.run.loop_started", 1, children.LoopStarted),
    EventType("zap.run.loop_progressed", 1, children.LoopProgressed),
    EventType("zap.run.loop_finished", 1, children.LoopFinished),
    EventType("zap.run.zap_called", 1, children.ZapCalled),
    EventType("zap.run.resumed", 1, run_events.RunResumed),
    EventType("zap.run.approval_asked", 1, run_waits.ApprovalAsked),
    EventType("zap.run.approval_answered", 1, run_waits.ApprovalAnswered),
    EventType("zap.run.approval_mailed", 1, run_waits.ApprovalMailed),
    EventType("zap.run.callback_awaited", 1, run_waits.CallbackAwaited),
    EventType("zap.run.callback_received", 1, run_waits.CallbackReceived),
    EventType("zap.run.completed", 1, run_events.RunCompleted),
    EventType("zap.run.filtered", 1, run_events.RunFiltered),
    EventType("zap.run.failed", 1, run_events.RunFailed),
    EventType("zap.run.timed_out", 1, run_events.RunTimedOut),
    EventType("zap.run.cancelled", 1, run_events.RunCancelled),
    EventType("run.forgotten", 1, forgetting.RunForgotten),
    EventType("runs.dropped", 1, dropping.RunsDropped),
    EventType("connection.created", 1, connection.ConnectionCreated),
    EventType("connection.changed", 1, connection.ConnectionChanged),
    EventType("connection.deleted", 1, connection.ConnectionDeleted),
    EventType("connection.authorized", 1, connection.ConnectionAuthorized),
    EventType("connection.lost", 1, connection.ConnectionLost),
    EventType("variable.set", 1, variables.VariableSet),
    EventType("variable.deleted", 1, variables.VariableDeleted),
    EventType("job.requested", 1, job.JobRequested),
    EventType("job.progressed", 1, job.JobProgressed),
    EventType("job.paused", 1, job.JobPaused),
    EventType("job.resumed", 1, job.JobResumed),
    EventType("job.aborted", 1, job.JobAborted),
    EventType("job.completed", 1, job.JobCompleted),
    EventType("user.signed_up", 1, identity.UserSignedUp),
    EventType("user.signed_in", 1, identity.UserSignedIn),
    EventType("user.signed_out", 1, identity.UserSignedOut),
    EventType("user.password_changed", 1, identity.UserPasswordChanged),
    EventType("user.api_key_created", 1, identity.ApiKeyCreated),
    EventType("user.api_key_deleted", 1, identity.ApiKeyDeleted),
    EventType("user.sign_in_failed", 1, identity.SignInFailed),
    EventType("user.access_refused", 1, identity.AccessRefused),
    EventType("user.audit_exported", 1, identity.AuditExported),
    EventType("user.file_downloaded", 1, identity.FileDownloaded),
)

Upcaster = Callable[[JsonObject], JsonObject]
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(name, retired version) → the payload as the next version has it. Pure, and chained until today's."""


class UnknownEvent(ValueError):
    """The log holds a type or schema version that this release does not know."""


_by_struct = {kind.struct: kind for kind in EVENT_TYPES}
_by_name = {kind.name: kind for kind in EVENT_TYPES}
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoders: dict[str, "msgspec.json.Decoder[Event]"] = {
    kind.name: msgspec.json.Decoder(kind.struct) for kind in EVENT_TYPES
}
_WITH_DEFINITION = frozenset({zap_events.ZapCreated, zap_events.ZapDraftChanged, zap_events.ZapPublished})
"""Definitions of a newer release are read as far as they are understood. A job's selection is not: without a part of
it the job would take other runs."""


def event_type(event: Event) -> EventType:
    """The stored name and schema version of an event."""
    return _by_struct[type(event)]


def knows(name: str, schema_version: int) -> bool:
    """Whether this release can read such an event."""
    kind = _by_name.get(name)
    return kind is not None and schema_version <= kind.schema_version


def is_current(name: str, schema_version: int) -> bool:
    """Whether such an event has today's shape, and needs no upcaster."""
    kind = _by_name.get(name)
    return kind is not None and schema_version == kind.schema_version


def encode(event: Event) -> bytes:
    """The payload bytes that the log keeps, hashes and hands on verbatim."""
    return _encoder.encode(event)


def decode(name: str, schema_version: int, data: bytes) -> Event:
    """The event as today's struct. Raises UnknownEvent, or msgspec.DecodeError with the path that is wrong."""
    kind = _by_name.get(name)
    if kind is None or schema_version > kind.schema_version:
        raise UnknownEvent(f"{name} v{schema_version} is not known to this release")
    if schema_version == kind.schema_version:
        try:
            return _decoders[name].decode(data)
        except msgspec.ValidationError:
            if kind.struct not in _WITH_DEFINITION:
                raise
    payload: JsonObject = msgspec.json.decode(data)
    payload = upcast(name, schema_version, kind.schema_version, payload, UPCASTERS)
    return msgspec.convert(understood(payload, kind.struct), kind.struct)


def upcast(
    name: str, retired: int, current: int, payload: JsonObject, upcasters: Mapping[tuple[str, int], Upcaster]
) -> JsonObject:
    """Carry an old payload forward, version by version. Raises UnknownEvent where the chain has a hole."""
    for version in range(retired, current):
        upcaster = upcasters.get((name, version))
        if upcaster is None:
            raise UnknownEvent(f"{name} v{version} is not known to this release")
        payload = upcaster(payload)
    return payload
