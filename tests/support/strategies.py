"""Hypothesis strategies for everything the log can hold."""

import string
from datetime import UTC, datetime
from typing import get_args

from hypothesis import strategies as st

from domain.account import identity
from domain.connection import events as connection
from domain.connection import variables
from domain.connection.kinds import Kind
from domain.erasure import dropping, forgetting
from domain.failures import failures
from domain.flow.decisions import Filtered, Taken
from domain.flow.steps import ActionStep
from domain.hook.request import Request
from domain.intake import events as intake
from domain.job import job
from domain.log.event import Event, Metadata, StoredEvent, encode_metadata
from domain.registration import events as registration
from domain.registry import encode, event_type
from domain.run import children
from domain.run import events as run_events
from domain.run import waits as run_waits
from domain.run.inputs import Kept, Omitted
from domain.run.replay import ReplayVersion
from domain.run.state import RunStatus
from domain.zap import events as zap_events
from domain.zap import ticks
from domain.zap.definition import Definition, Trigger

texts = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked
numbers = st.integers(0, 2**31 - 1)
definitions = st.builds(
    Definition,
    st.builds(Trigger, texts, json_objects),
    st.lists(st.builds(ActionStep, texts, texts, json_objects), max_size=3).map(tuple),
)
decisions = st.builds(Filtered, passes=st.booleans(), reason=texts, path=texts) | st.builds(
    Taken, taken=st.lists(texts, max_size=2).map(tuple), reasons=st.dictionaries(texts, texts, max_size=2)
)
failure = st.builds(run_events.Failure, code=texts, message=texts, output=json_values)
recovered = st.lists(
    st.builds(run_events.Recovered, run_id=st.uuids(), position=numbers, step_id=texts, code=texts), max_size=3
).map(tuple)
requests = st.builds(
    Request,
    method=texts,
    path=texts,
    query=texts,
    headers=st.dictionaries(texts, texts, max_size=3),
    body=texts,
    encoding=st.sampled_from(["utf-8", "base64"]),
)
_codes = st.text(string.ascii_letters + string.digits + "_.é", min_size=1, max_size=8)
selections = st.builds(
    job.Selection,
    zap_id=st.none() | st.uuids(),
    status=st.none() | st.sampled_from(get_args(RunStatus)),
    source=st.none() | st.sampled_from(get_args(run_events.Source)),
    from_=st.none() | moments,
    to=st.none() | moments,
    step_id=st.none() | _codes,
    error_code=st.none() | _codes,
)
kept = st.none() | st.builds(
    Kept,
    attempt=st.integers(0, 99),
    size=st.integers(0, 2**40),
    omitted=st.dictionaries(texts, st.builds(Omitted, size=st.integers(0, 2**40), at=texts, sha256=texts), max_size=2),
)
_attempt = {
    "step_id": texts,
    "attempt": numbers,
    "started_at": moments,
    "duration_ms": st.floats(0, 1e9),
    "input": json_values,
    "kept": kept,
}

_group = {"zap_id": st.uuids(), "step_id": texts, "code": texts}
flags = st.builds(
    zap_events.Flag, kind=st.sampled_from(get_args(zap_events.FlagKind)), step_id=texts, detail=texts, since=moments
)
_refused = {"zap_id": st.uuids(), "reason": st.sampled_from(get_args(intake.Reason))}
_over = {"parent": st.none() | st.uuids(), "orphans": st.booleans()}
_end = {**_over, "zap_id": st.none() | st.uuids(), "of_alert": st.booleans()}
_counts = {"succeeded": numbers, "failed": numbers, "filtered": numbers, "cancelled": numbers}
parents = st.builds(
    children.Parent,
    run_id=st.uuids(),
    step_id=texts,
    waits=st.booleans(),
    index=numbers,
    count=numbers,
    version=numbers,
    callers=st.lists(st.uuids(), max_size=2).map(tuple),
)
reuses = st.builds(children.Reuse, step_id=texts, runs=st.lists(st.uuids(), max_size=2).map(tuple), items_sha256=texts)

EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    zap_events.ZapCreated: st.builds(zap_events.ZapCreated, name=texts, definition=definitions),
    zap_events.ZapDraftChanged: st.builds(zap_events.ZapDraftChanged, name=texts, definition=definitions),
    zap_events.ZapPublished: st.builds(
        zap_events.ZapPublished, number=numbers, name=texts, definition=definitions, note=texts
    ),
    zap_events.ZapRolledBack: st.builds(zap_events.ZapRolledBack, number=numbers),
    zap_events.ZapScheduled: st.builds(zap_events.ZapScheduled, trigger_id=texts),
    ticks.TriggerTicked: st.builds(
        ticks.TriggerTicked,
        zap_id=st.uuids(),
        trigger_id=texts,
        kind=st.sampled_from(get_args(ticks.TurnKind)),
        status=st.sampled_from(get_args(ticks.TurnStatus)),
        due_at=moments,
        fired_at=st.none() | moments,
        run_ids=st.lists(st.uuids(), max_size=3).map(tuple),
        new_items=numbers,
        detail=texts,
        count=numbers,
    ),
    zap_events.ZapEnabled: st.builds(zap_events.ZapEnabled),
    zap_events.ZapPaused: st.builds(zap_events.ZapPaused, reason=texts),
    zap_events.ZapDeleted: st.builds(zap_events.ZapDeleted),
    zap_events.ZapSecretsChanged: st.builds(zap_events.ZapSecretsChanged, count=numbers),
    zap_events.ZapFlagged: st.builds(zap_events.ZapFlagged, flag=flags),
    zap_events.ZapUnflagged: st.builds(
        zap_events.ZapUnflagged, kind=st.sampled_from(get_args(zap_events.FlagKind)), step_id=texts
    ),
    zap_events.ZapHookDue: st.builds(zap_events.ZapHookDue, anew=st.booleans()),
    registration.HookCalled: st.builds(
        registration.HookCalled,
        zap_id=st.uuids(),
        doing=st.sampled_from(["register", "remove"]),
        site=st.builds(registration.Site, at=texts, connection=st.none() | st.uuids(), url=texts),
    ),
    registration.HookRegistered: st.builds(registration.HookRegistered, zap_id=st.uuids(), hook_id=texts),
    registration.HookFailed: st.builds(
        registration.HookFailed, zap_id=st.uuids(), code=texts, message=texts, final=st.booleans()
    ),
    registration.HookRemoved: st.builds(registration.HookRemoved, zap_id=st.uuids(), left=texts),
    zap_events.DraftTested: st.builds(
        zap_events.DraftTested, zap_id=st.uuids(), draft=numbers, steps=st.lists(texts, max_size=2).map(tuple)
    ),
    failures.FailuresResolved: st.builds(failures.FailuresResolved, **_group, count=numbers),
    failures.FailuresNoted: st.builds(failures.FailuresNoted, **_group, note=texts),
    failures.AlertRaised: st.builds(
        failures.AlertRaised,
        zap_id=st.uuids(),
        zap_name=texts,
        since=moments,
        until=moments,
        causes=st.lists(st.builds(failures.Cause, message=texts), max_size=2).map(tuple),
        flags=st.lists(flags, max_size=2).map(tuple),
        flags_until=numbers,
        quiet_until=moments,
        chained=st.booleans(),
    ),
    failures.AlertAttempted: st.builds(
        failures.AlertAttempted,
        zap_id=st.uuids(),
        alert_id=st.uuids(),
        attempt=numbers,
        results=st.dictionaries(texts, texts, max_size=3),
        retry_at=st.none() | moments,
    ),
    intake.RequestRejected: st.builds(
        intake.RequestRejected,
        **_refused,
        status=numbers,
        detail=texts,
        method=texts,
        path=texts,
        content_type=texts,
        size=numbers,
        excerpt=texts,
        dedupe_id=texts,
        zap_version=numbers,
        request=st.none() | requests,
    ),
    intake.RequestsCounted: st.builds(
        intake.RequestsCounted,
        **_refused,
        count=numbers,
        since=moments,
        until=moments,
        repeats=st.dictionaries(texts, numbers, max_size=3),
    ),
    intake.RequestAdmitted: st.builds(
        intake.RequestAdmitted, zap_id=st.uuids(), request_id=st.uuids(), run_id=st.uuids()
    ),
    intake.RequestDiscarded: st.builds(intake.RequestDiscarded, zap_id=st.uuids(), request_id=st.uuids()),
    run_events.RunRequested: st.builds(
        run_events.RunRequested,
        zap_id=st.uuids(),
        zap_version=numbers,
        source=st.sampled_from(get_args(run_events.Source)),
        request=requests,
        dedupe_id=texts,
        replay_of=st.none() | st.uuids(),
        outputs=st.dictionaries(texts, json_values, max_size=3),
        errors=st.dictionaries(texts, failure, max_size=3),
        deadline=st.none() | moments,
        job_id=st.none() | st.uuids(),
        recovers=recovered,
        parent=st.none() | parents,
        item=json_values,
        reuses=st.none() | reuses,
    ),
    run_events.StepStarted: st.builds(
        run_events.StepStarted, step_id=texts, attempt=numbers, started_at=moments, input=json_values, kept=kept
    ),
    run_events.StepPostponed: st.builds(
        run_events.StepPostponed, step_id=texts, code=texts, message=texts, at=moments, until=moments
    ),
    run_events.StepDelayed: st.builds(run_events.StepDelayed, step_id=texts, until=moments),
    run_events.StepSucceeded: st.builds(run_events.StepSucceeded, **_attempt, output=json_values),
    run_events.StepAttemptFailed: st.builds(
        run_events.StepAttemptFailed, **_attempt, failure=failure, retry_at=moments
    ),
    run_events.StepFailed: st.builds(run_events.StepFailed, **_attempt, failure=failure),
    run_events.StepDecided: st.builds(run_events.StepDecided, step_id=texts, decision=decisions),
    children.LoopStarted: st.builds(
        children.LoopStarted, step_id=texts, count=numbers, items_sha256=texts, at=moments, version=numbers
    ),
    children.LoopProgressed: st.builds(children.LoopProgressed, step_id=texts, **_counts),
    children.LoopFinished: st.builds(
        children.LoopFinished,
        step_id=texts,
        **_counts,
        failures=st.lists(
            st.builds(children.ItemFailure, index=numbers, run_id=st.uuids(), code=texts, message=texts, step_id=texts),
            max_size=2,
        ).map(tuple),
    ),
    children.ZapCalled: st.builds(
        children.ZapCalled,
        step_id=texts,
        run_id=st.uuids(),
        zap_id=st.uuids(),
        zap_version=numbers,
        at=moments,
        waits=st.booleans(),
        until=st.none() | moments,
    ),
    run_events.RunResumed: st.builds(run_events.RunResumed, timer_id=st.uuids()),
    run_waits.ApprovalAsked: st.builds(
        run_waits.ApprovalAsked,
        zap_id=st.uuids(),
        step_id=texts,
        title=texts,
        message=texts,
        to=st.lists(st.builds(run_waits.Asked, email=texts, role=texts, token_sha256=texts), max_size=2).map(tuple),
        required=numbers,
        form=st.dictionaries(texts, json_values, max_size=2),
        until=moments,
    ),
    run_waits.ApprovalAnswered: st.builds(
        run_waits.ApprovalAnswered,
        step_id=texts,
        recipient=numbers,
        by=texts,
        user_id=st.none() | st.uuids(),
        decision=st.sampled_from(["approve", "reject"]),
        comment=texts,
        form=st.dictionaries(texts, json_values, max_size=2),
        at=moments,
        ip=texts,
        user_agent=texts,
        until=st.none() | moments,
    ),
    run_waits.ApprovalMailed: st.builds(
        run_waits.ApprovalMailed,
        step_id=texts,
        attempt=numbers,
        results=st.dictionaries(texts, texts, max_size=2),
        retry_at=st.none() | moments,
        until=st.none() | moments,
    ),
    run_waits.CallbackAwaited: st.builds(run_waits.CallbackAwaited, step_id=texts, until=moments),
    run_waits.CallbackReceived: st.builds(
        run_waits.CallbackReceived, step_id=texts, request=requests, at=moments, until=st.none() | moments
    ),
    run_events.RunCompleted: st.builds(run_events.RunCompleted, **_end, recovers=recovered, result=json_values),
    run_events.RunFiltered: st.builds(run_events.RunFiltered, **_end, step_id=texts, reason=texts),
    run_events.RunTimedOut: st.builds(run_events.RunTimedOut, **_end, step_id=texts, message=texts),
    run_events.RunCancelled: st.builds(run_events.RunCancelled, **_over, code=texts, message=texts),
    run_events.RunFailed: st.builds(run_events.RunFailed, **_end, step_id=texts, code=texts, message=texts),
    job.JobRequested: st.builds(
        job.JobRequested,
        kind=st.sampled_from(get_args(job.JobKind)),
        filter=selections,
        total=numbers,
        rate_per_s=numbers,
        from_step=st.none() | texts,
        version=st.sampled_from(get_args(ReplayVersion)),
        draft=numbers,
        span=st.tuples(st.uuids(), st.uuids()),
    ),
    job.JobProgressed: st.builds(
        job.JobProgressed, cursor=st.uuids(), done=numbers, skipped=numbers, failed=numbers, problem=texts
    ),
    job.JobPaused: st.builds(job.JobPaused),
    job.JobResumed: st.builds(job.JobResumed),
    job.JobAborted: st.builds(job.JobAborted),
    job.JobCompleted: st.builds(job.JobCompleted),
    connection.ConnectionCreated: st.builds(
        connection.ConnectionCreated, name=texts, kind=st.sampled_from(get_args(Kind)), config=json_objects
    ),
    connection.ConnectionChanged: st.builds(
        connection.ConnectionChanged, name=texts, config=json_objects, secrets=st.lists(texts, max_size=3).map(tuple)
    ),
    connection.ConnectionDeleted: st.builds(connection.ConnectionDeleted, forced=st.booleans()),
    connection.ConnectionAuthorized: st.builds(connection.ConnectionAuthorized, scope=texts),
    connection.ConnectionLost: st.builds(connection.ConnectionLost, reason=texts),
    variables.VariableSet: st.builds(
        variables.VariableSet, name=texts, secret=st.booleans(), value=st.none() | texts | numbers | st.booleans()
    ),
    variables.VariableDeleted: st.builds(variables.VariableDeleted, name=texts),
    identity.UserSignedUp: st.builds(identity.UserSignedUp, name=texts),
    identity.UserSignedIn: st.builds(identity.UserSignedIn),
    identity.UserSignedOut: st.builds(identity.UserSignedOut, session_id=st.uuids()),
    identity.UserPasswordChanged: st.builds(identity.UserPasswordChanged),
    identity.ApiKeyCreated: st.builds(identity.ApiKeyCreated, key_id=st.uuids(), name=texts),
    identity.ApiKeyDeleted: st.builds(identity.ApiKeyDeleted, key_id=st.uuids()),
    identity.SignInFailed: st.builds(identity.SignInFailed, reason=st.sampled_from(("wrong_password", "too_many"))),
    identity.AccessRefused: st.builds(identity.AccessRefused, method=texts, path=texts, needs=texts),
    identity.FileDownloaded: st.builds(identity.FileDownloaded),
    identity.AuditExported: st.builds(identity.AuditExported, format=st.sampled_from(("ndjson", "csv"))),
    forgetting.RunForgotten: st.builds(
        forgetting.RunForgotten, run_id=st.uuids(), zap_id=st.uuids(), events=st.integers(1, 99), digest=texts
    ),
    dropping.RunsDropped: st.builds(
        dropping.RunsDropped,
        month=texts,
        zaps=st.lists(st.builds(dropping.Dropped, st.uuids(), st.dictionaries(texts, st.integers(1, 99))), max_size=3),
        events=st.integers(1, 99),
        digest=texts,
        archive=texts,
    ),
}
events: st.SearchStrategy[Event] = st.one_of(*EVENTS.values())
metadata = st.builds(
    Metadata,
    actor=texts,
    correlation_id=st.none() | st.uuids(),
    causation_id=st.none() | st.uuids(),
    traceparent=st.text(string.hexdigits + "-", max_size=55),
)


@st.composite
def stored_events(draw: st.DrawFn) -> StoredEvent:
    """A row of the log."""
    event = draw(events)
    kind = event_type(event)
    return StoredEvent(
        position=draw(st.integers(1, 2**62)),
        kind=draw(st.sampled_from([0, 1])),
        stream_id=draw(st.uuids()),
        version=draw(st.integers(1, 2**31 - 1)),
        tenant_id=draw(st.uuids()),
        ordering_key=draw(st.uuids()),
        event_id=draw(st.uuids()),
        type=kind.name,
        schema_version=kind.schema_version,
        recorded_at=draw(moments),
        meta=encode_metadata(draw(metadata)),
        data=encode(event),
    )
