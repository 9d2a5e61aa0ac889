"""One example of every event, with every field set; golden samples are made from them."""

from datetime import timedelta
from uuid import UUID

from domain.account import identity
from domain.connection import events as connection
from domain.connection import variables
from domain.erasure import dropping, forgetting
from domain.failures import failures
from domain.flow.decisions import Filtered, Taken
from domain.hook.request import Request
from domain.intake import events as intake
from domain.job import job
from domain.log.event import Event
from domain.registration import events as registration
from domain.run import children
from domain.run import events as run_events
from domain.run import waits as run_waits
from domain.run.inputs import Kept, Omitted
from domain.zap import events as zap_events
from domain.zap import ticks
from tests.support.builders import ZAP, a_definition
from tests.support.clock import START

_ID = UUID("01900000-0000-7000-8000-0000000000aa")
_DEFINITION = a_definition(
    "look_up", "send", config={"url": "https://example.com/{{ trigger.body.id }}", "headers": {"x": "1"}, "n": 1.5}
)
_FAILURE = run_events.Failure(code="http_503", message="the target answered 503", output={"status": 503, "body": None})
_FLAG = zap_events.Flag(kind="target_gone", step_id="look_up", detail="https://example.com answers 410", since=START)
_REQUEST = Request(
    method="PUT",
    path="/hooks/catch/u/z",
    query="a=1&a=2",
    headers={"content-type": "application/json", "x-é": "ü"},
    body="/wA=",
    encoding="base64",
)


_RECOVERED = run_events.Recovered(run_id=_ID, position=7, step_id="look_up", code="http_503")
_SITE = registration.Site(
    at="github.webhook",
    input={"owner": "octocat", "repo": "hello", "events": ["push"]},
    connection=_ID,
    url="https://hub.example.com/hooks/catch/1/2",
)
_OVER = {"zap_id": ZAP, "parent": _ID, "orphans": True, "stops": True, "of_alert": True}
_KEPT = Kept(attempt=1, size=5_000, omitted={"/body": Omitted(size=5_000, at="trigger.body", sha256="00")})


def _attempt(number: int) -> dict[str, object]:
    return {
        "step_id": "look_up",
        "attempt": number,
        "started_at": START,
        "duration_ms": 12.375,
        "input": {"url": "https://example.com/1", "nested": [None, True, 1, 2.5, "é"]},
        "kept": _KEPT,
    }


EXAMPLES: tuple[Event, ...] = (
    zap_events.ZapCreated(name="Orders → CRM", definition=_DEFINITION),
    zap_events.ZapDraftChanged(name="Orders → CRM", definition=_DEFINITION),
    zap_events.ZapPublished(number=3, name="Orders → CRM", definition=_DEFINITION, note="Refunds, too"),
    zap_events.ZapRolledBack(number=2, sets_aside=True),
    zap_events.ZapEnabled(),
    zap_events.ZapScheduled(trigger_id="each_morning"),
    zap_events.ZapPaused(reason="no run has completed since 2026-01-01 12:00 UTC"),
    zap_events.ZapDeleted(),
    zap_events.ZapSecretsChanged(count=2),
    zap_events.ZapFlagged(flag=_FLAG),
    zap_events.ZapUnflagged(kind="target_gone", step_id="look_up"),
    zap_events.ZapHookDue(anew=True),
    registration.HookCalled(zap_id=ZAP, doing="remove", site=_SITE),
    registration.HookRegistered(zap_id=ZAP, hook_id="17"),
    registration.HookFailed(zap_id=ZAP, code="http_422", message="events: none of these", final=True),
    registration.HookRemoved(zap_id=ZAP, left="http_403: you may not"),
    zap_events.DraftTested(zap_id=ZAP, draft=3, steps=("look_up",)),
    ticks.TriggerTicked(
        zap_id=ZAP,
        trigger_id="each_morning",
        kind="poll",
        status="fired",
        due_at=START,
        fired_at=START + timedelta(seconds=1),
        run_ids=(_ID,),
        new_items=2,
        detail="two new items",
        count=2,
    ),
    failures.FailuresResolved(zap_id=ZAP, step_id="look_up", code="http_503", count=12),
    failures.FailuresNoted(zap_id=ZAP, step_id="look_up", code="http_503", note="asked the vendor"),
    failures.AlertRaised(
        zap_id=ZAP,
        zap_name="Orders → CRM",
        since=START,
        until=START + timedelta(minutes=1),
        causes=(
            failures.Cause(
                step_id="look_up",
                code="http_503",
                message="the target answered 503",
                run_id=_ID,
                count=5,
                total=12,
                of_alerts=2,
            ),
        ),
        flags=(_FLAG,),
        flags_until=7,
        quiet_until=START + timedelta(minutes=15),
        chained=True,
    ),
    failures.AlertAttempted(
        zap_id=ZAP,
        alert_id=_ID,
        attempt=1,
        results={"webhook": "", "email:ada@example.com": "no answer"},
        retry_at=START + timedelta(seconds=10),
    ),
    intake.RequestRejected(
        zap_id=ZAP,
        reason="filtered",
        status=200,
        detail="the filter does not match",
        method="PUT",
        path="a/b",
        content_type="text/plain",
        size=2,
        excerpt="hi",
        dedupe_id="evt_1",
        zap_version=3,
        request=_REQUEST,
    ),
    intake.RequestsCounted(
        zap_id=ZAP, reason="duplicate", count=7, since=START, until=START + timedelta(minutes=1), repeats={str(_ID): 7}
    ),
    intake.RequestAdmitted(zap_id=ZAP, request_id=_ID, run_id=_ID),
    intake.RequestDiscarded(zap_id=ZAP, request_id=_ID),
    run_events.RunRequested(
        zap_id=ZAP,
        zap_version=3,
        source="webhook",
        request=_REQUEST,
        dedupe_id="evt_1",
        replay_of=_ID,
        outputs={"look_up": {"id": 7}},
        errors={"send": _FAILURE},
        decisions={"big": Filtered(passes=True, reason="trigger.body.total greater_than 1: is 2", path="all[0]")},
        deadline=START + timedelta(hours=1),
        job_id=_ID,
        depth=3,
        via=(ZAP,),
        recovers=(_RECOVERED,),
        parent=children.Parent(run_id=_ID, step_id="each", waits=True, index=1, count=2, version=4, callers=(ZAP,)),
        item={"sku": "a"},
        reuses=children.Reuse(step_id="each", runs=(_ID,), items_sha256="00"),
    ),
    run_events.StepStarted(
        step_id="look_up", attempt=2, started_at=START, input={"url": "https://example.com/1"}, kept=_KEPT
    ),
    run_events.StepSucceeded(**_attempt(2), output={"status": 200, "body": {"id": 7}}),  # type: ignore[arg-type]
    run_events.StepAttemptFailed(**_attempt(1), failure=_FAILURE, retry_at=START + timedelta(seconds=5)),  # type: ignore[arg-type]
    run_events.StepFailed(**_attempt(5), failure=_FAILURE, gone_for=ZAP),  # type: ignore[arg-type]
    run_events.StepPostponed(
        step_id="look_up",
        code="circuit_open",
        message="the target failed too often",
        at=START,
        until=START + timedelta(seconds=30),
    ),
    run_events.StepDelayed(step_id="look_up", until=START + timedelta(days=30)),
    run_events.StepDecided(
        step_id="route", decision=Taken(taken=("eu",), reasons={"eu": 'trigger.body.country equals "DE": is "DE"'})
    ),
    children.LoopStarted(step_id="each", count=1_000, items_sha256="00", at=START, version=4),
    children.LoopProgressed(step_id="each", succeeded=400, failed=3, filtered=2, cancelled=1),
    children.LoopFinished(
        step_id="each",
        succeeded=980,
        failed=10,
        filtered=9,
        cancelled=1,
        failures=(
            children.ItemFailure(
                index=7, run_id=_ID, step_id="send", code="http_503", message="the target answered 503"
            ),
        ),
    ),
    children.ZapCalled(
        step_id="sub", run_id=_ID, zap_id=ZAP, zap_version=3, at=START, waits=True, until=START + timedelta(hours=1)
    ),
    run_events.RunResumed(timer_id=_ID),
    run_waits.ApprovalAsked(
        zap_id=ZAP,
        step_id="ok",
        title="Refund 5?",
        message="for order 7",
        to=(run_waits.Asked(email="ada@example.com", token_sha256="00"), run_waits.Asked(role="editor")),
        required=2,
        form={"type": "object", "properties": {"reason": {"type": "string"}}},
        until=START + timedelta(days=2),
    ),
    run_waits.ApprovalAnswered(
        step_id="ok",
        recipient=1,
        by="Ada",
        user_id=_ID,
        decision="approve",
        comment="fine",
        form={"reason": "late"},
        at=START,
        ip="192.0.2.7",
        user_agent="curl/8",
        until=START + timedelta(days=2),
    ),
    run_waits.ApprovalMailed(
        step_id="ok",
        attempt=1,
        results={"ada@example.com": "no answer"},
        retry_at=START + timedelta(seconds=60),
        until=START + timedelta(days=2),
    ),
    run_waits.CallbackAwaited(step_id="later", until=START + timedelta(days=2)),
    run_waits.CallbackReceived(step_id="later", request=_REQUEST, at=START, until=START + timedelta(seconds=5)),
    run_events.RunCompleted(
        zap_id=ZAP,
        of_alert=True,
        step_id="answer",
        returned=True,
        recovers=(_RECOVERED,),
        parent=_ID,
        orphans=True,
        stops=True,
        result={"id": 7},
    ),
    run_events.RunFiltered(
        zap_id=ZAP,
        parent=_ID,
        orphans=True,
        stops=True,
        of_alert=True,
        step_id="big",
        reason="trigger.body.total greater_than 1: is 0",
    ),
    run_events.RunTimedOut(
        zap_id=ZAP,
        parent=_ID,
        orphans=True,
        stops=True,
        of_alert=True,
        step_id="look_up",
        message="not ended within 3600 s",
    ),
    run_events.RunCancelled(
        parent=_ID, orphans=True, stops=True, code="superseded", message="a newer run was requested", step_id="halt"
    ),
    run_events.RunFailed(
        parent=_ID,
        orphans=True,
        stops=True,
        zap_id=ZAP,
        of_alert=True,
        step_id="look_up",
        code="http_503",
        message="the target answered 503",
    ),
    job.JobRequested(
        kind="replay",
        filter=job.Selection(
            zap_id=ZAP,
            status="failed",
            source="webhook",
            from_=START,
            to=START + timedelta(hours=1),
            step_id="look_up",
            error_code="http_503",
        ),
        total=5_000,
        rate_per_s=500,
        from_step="send",
        version="latest",
        draft=3,
        subject="ab" * 32,
        archive="runs-2026-01-0123456789ab-3.ndjson.gz",
        span=(_ID, ZAP),
    ),
    job.JobProgressed(cursor=_ID, done=40, skipped=2, failed=1, problem="no such zap"),
    job.JobPaused(),
    job.JobResumed(),
    job.JobAborted(),
    job.JobCompleted(),
    forgetting.RunForgotten(run_id=_ID, zap_id=ZAP, events=3, digest="5a" * 32, of_request=True),
    dropping.RunsDropped(
        month="2026-01", zaps=[dropping.Dropped(ZAP, {"completed": 7})], events=28, digest="5a" * 32, archive="runs.gz"
    ),
    connection.ConnectionCreated(name="Orders", kind="bearer", config={"hosts": ["api.example.com"]}),
    connection.ConnectionChanged(name="Orders", config={"hosts": ["api.example.com"]}, secrets=("token",)),
    connection.ConnectionDeleted(forced=True),
    connection.ConnectionAuthorized(scope="orders.read"),
    connection.ConnectionLost(reason="the token endpoint answered 400: invalid_grant"),
    variables.VariableSet(name="BASE", secret=True, value="https://api.example.com"),
    variables.VariableDeleted(name="BASE"),
    identity.UserSignedUp(name="Ada"),
    identity.UserSignedIn(),
    identity.UserSignedOut(session_id=_ID),
    identity.UserPasswordChanged(),
    identity.ApiKeyCreated(key_id=_ID, name="CI", scopes=("read", "write")),
    identity.ApiKeyDeleted(key_id=_ID),
    identity.SignInFailed(reason="wrong_password", count=7, since=START),
    identity.AccessRefused(method="DELETE", path="/api/v1/zaps/{zap_id}", needs="write", count=7, since=START),
    identity.AuditExported(format="csv", from_=START, to=START + timedelta(days=1), after=17),
    identity.FileDownloaded(file_id=UUID(int=1), run_id=UUID(int=2), size=1_048_576),
)
