"""What each event of the audit is called in words, without who did it: `published version 3 of zap Orders`.

Where an event does not say the name of what it is about, `{}` stands for it.
"""

from typing import TypeAlias, assert_never, get_args
from uuid import UUID

import msgspec

from domain.account import identity
from domain.audit.entry import EntityKind
from domain.connection import events as connection
from domain.connection import variables
from domain.erasure.dropping import RunsDropped
from domain.erasure.forgetting import RunForgotten
from domain.failures import failures
from domain.intake import events as intake
from domain.job import job
from domain.log.event import Event
from domain.registration import events as registration
from domain.run import events as run
from domain.run import waits
from domain.zap import events as zap

MAX_TEXT = 1_000
"""Characters of what is told."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to what. `named_by`: the stream of the zap or connection whose name `{}` is; None for no name."""

    kind: EntityKind
    id: UUID
    text: str
    named_by: UUID | None = None


_Hook: TypeAlias = registration.HookRegistered | registration.HookFailed | registration.HookRemoved
_Zap: TypeAlias = (
    zap.ZapCreated | zap.ZapDraftChanged | zap.ZapPublished | zap.ZapRolledBack | zap.ZapEnabled | zap.ZapPaused
    | zap.ZapDeleted | zap.ZapSecretsChanged | zap.ZapFlagged | zap.ZapUnflagged
)  # fmt: skip
_OfZap: TypeAlias = zap.DraftTested | failures.FailuresResolved | failures.FailuresNoted | _Hook
_Run: TypeAlias = run.RunRequested | run.RunCancelled | waits.ApprovalAnswered | RunForgotten | RunsDropped
_Request: TypeAlias = intake.RequestAdmitted | intake.RequestDiscarded
_Job: TypeAlias = job.JobRequested | job.JobPaused | job.JobResumed | job.JobAborted
_Shared: TypeAlias = connection.ConnectionEvent | variables.VariableEvent
AUDITED: tuple[type[Event], ...] = tuple(
    kind for union in (_Zap, _OfZap, _Run, _Request, _Job, _Shared, identity.IdentityEvent) for kind in get_args(union)
)
"""The events that entries of the audit come from. Runs are told of where somebody started, ended or answered them."""


def told(event: Event, stream_id: UUID) -> Told | None:
    """What an event says, None where it is none of the audit's."""
    if isinstance(event, _Zap):
        return Told(kind="zap", id=stream_id, text=_of_zap(event), named_by=stream_id)
    if isinstance(event, _OfZap):
        return Told(kind="zap", id=event.zap_id, text=_about_zap(event), named_by=event.zap_id)
    if isinstance(event, _Run):
        return _of_run(event, stream_id)
    if isinstance(event, _Request):
        done = "let in" if isinstance(event, intake.RequestAdmitted) else "discarded"
        return Told(kind="request", id=event.request_id, text=f"{done} a request to zap {{}}", named_by=event.zap_id)
    if isinstance(event, _Job):
        return Told(kind="job", id=stream_id, text=_of_job(event))
    if isinstance(event, connection.ConnectionEvent):
        return Told(kind="connection", id=stream_id, text=_of_connection(event), named_by=stream_id)
    if isinstance(event, variables.VariableEvent):
        return Told(kind="variable", id=stream_id, text=_of_variable(event))
    return _of_account(event, stream_id) if isinstance(event, identity.IdentityEvent) else None


def _of_zap(event: _Zap) -> str:
    match event:
        case zap.ZapCreated():
            return "created zap {}"
        case zap.ZapDraftChanged():
            return "changed the draft of zap {}"
        case zap.ZapPublished(number=number, note=note):
            return f"published version {number} of zap {{}}" + (f": {note}" if note else "")
        case zap.ZapRolledBack(number=number):
            return f"went back to version {number} of zap {{}}"
        case zap.ZapEnabled():
            return "enabled zap {}"
        case zap.ZapPaused(reason=reason):
            return "paused zap {}" + (f": {reason}" if reason else "")
        case zap.ZapDeleted():
            return "deleted zap {}"
        case zap.ZapSecretsChanged(count=count):
            return "replaced the secrets of zap {}: it has " + (f"{count} now" if count else "none now")
        case zap.ZapFlagged() | zap.ZapUnflagged():
            return _of_flag(event)
        case _:
            assert_never(event)


def _of_flag(event: zap.ZapFlagged | zap.ZapUnflagged) -> str:
    if isinstance(event, zap.ZapUnflagged):
        return f"took the flag {event.kind} off zap {{}}"
    return f"flagged zap {{}} as {event.flag.kind}: {event.flag.detail}"


def _about_zap(event: _OfZap) -> str:
    match event:
        case zap.DraftTested():
            return "tested the draft of zap {} with real effects"
        case failures.FailuresResolved(step_id=step_id, code=code, count=count):
            return f"resolved {count} failed runs of zap {{}}: {code}{_at(step_id)}"
        case registration.HookRegistered():
            return "registered the hook of zap {} at its service"
        case registration.HookFailed(message=message):
            return f"could not register or remove the hook of zap {{}} at its service: {message}"
        case registration.HookRemoved():
            return "removed the hook of zap {} from its service"
        case failures.FailuresNoted(step_id=step_id, code=code, note=note):
            done = "wrote a note about" if note else "removed the note about"
            return f"{done} failed runs of zap {{}}: {code}{_at(step_id)}"
        case _:
            assert_never(event)


def _of_run(event: _Run, run_id: UUID) -> Told | None:
    match event:
        case run.RunRequested(source="manual", zap_id=zap_id):
            return Told(kind="run", id=run_id, text="started a run of zap {} by hand", named_by=zap_id)
        case run.RunRequested(source="replay", job_id=None, zap_id=zap_id, replay_of=replay_of):
            return Told(kind="run", id=run_id, text=f"replayed run {replay_of} of zap {{}}", named_by=zap_id)
        case run.RunRequested():
            return None
        case RunForgotten(run_id=forgotten, zap_id=zap_id, of_request=True):
            text = f"erased what request {forgotten} to zap {{}} had brought"
            return Told(kind="request", id=forgotten, text=text, named_by=zap_id)
        case RunForgotten(run_id=forgotten, zap_id=zap_id):
            return Told(
                kind="run", id=forgotten, text=f"erased the payloads of run {forgotten} of zap {{}}", named_by=zap_id
            )
        case RunsDropped(month=month, zaps=zaps):
            count = sum(sum(one.runs.values()) for one in zaps)
            return Told(kind="run", id=run_id, text=f"dropped {count:,} runs of {month}, whose time was over")
        case run.RunCancelled():
            return Told(kind="run", id=run_id, text=f"cancelled run {run_id}")
        case waits.ApprovalAnswered(decision=decision, step_id=step_id):
            done = "approved" if decision == "approve" else "rejected"
            return Told(kind="run", id=run_id, text=f"{done} step {step_id} of run {run_id}")
        case _:
            assert_never(event)


def _of_job(event: _Job) -> str:
    match event:
        case job.JobRequested(kind=kind, total=total):
            return f"started a job: {kind} {total:,}"
        case job.JobPaused():
            return "paused a job"
        case job.JobResumed():
            return "resumed a job"
        case job.JobAborted():
            return "aborted a job"
        case _:
            assert_never(event)


def _of_connection(event: connection.ConnectionEvent) -> str:
    match event:
        case connection.ConnectionCreated(kind=kind):
            return f"created connection {{}} of kind {kind}"
        case connection.ConnectionChanged(secrets=secrets):
            return "changed connection {}" + (f", with new secrets: {', '.join(secrets)}" if secrets else "")
        case connection.ConnectionDeleted(forced=forced):
            return "deleted connection {}" + (", although zaps used it" if forced else "")
        case connection.ConnectionAuthorized():
            return "consented to connection {}"
        case connection.ConnectionLost(reason=reason):
            return f"connection {{}} has to be reconnected: {reason}"
        case _:
            assert_never(event)


def _of_variable(event: variables.VariableEvent) -> str:
    match event:
        case variables.VariableSet(name=name, secret=secret):
            return f"set variable {name}" + (", which is secret" if secret else "")
        case variables.VariableDeleted(name=name):
            return f"deleted variable {name}"
        case _:
            assert_never(event)


def _of_account(event: identity.IdentityEvent, user_id: UUID) -> Told:
    match event:
        case identity.ApiKeyCreated(key_id=key_id, name=name, scopes=scopes):
            may = f", which may {', '.join(scopes)}" if scopes else ""
            return Told(kind="api_key", id=key_id, text=f"made API key {name}{may}")
        case identity.ApiKeyDeleted(key_id=key_id):
            return Told(kind="api_key", id=key_id, text=f"revoked API key {key_id}")
        case identity.AuditExported(format=wanted):
            return Told(kind="audit", id=user_id, text=f"exported the audit as {wanted.upper()}")
        case identity.FileDownloaded(file_id=file_id, run_id=run_id, size=size):
            return Told(kind="run", id=run_id, text=f"downloaded the file {file_id}, of {size:,} bytes")
        case _:
            return Told(kind="account", id=user_id, text=_about_account(event))


_AboutAccount: TypeAlias = (
    identity.UserSignedUp | identity.UserSignedIn | identity.UserSignedOut
    | identity.UserPasswordChanged | identity.SignInFailed | identity.AccessRefused
)  # fmt: skip


def _about_account(event: _AboutAccount) -> str:
    match event:
        case identity.UserSignedUp():
            return "signed up"
        case identity.UserSignedIn():
            return "signed in"
        case identity.UserSignedOut():
            return "signed out"
        case identity.UserPasswordChanged():
            return "changed the password"
        case identity.SignInFailed(reason=reason, count=count):
            why = "with a wrong password" if reason == "wrong_password" else "too often"
            return f"tried to sign in {why}{_times(count)}"
        case identity.AccessRefused(method=method, path=path, needs=needs, count=count):
            return f"was refused {method} {path}, for want of the scope {needs}{_times(count)}"
        case _:
            assert_never(event)


def _times(count: int) -> str:
    return f", {count:,} times" if count > 1 else ""


def _at(step_id: str) -> str:
    return f" at step {step_id}" if step_id else ""
