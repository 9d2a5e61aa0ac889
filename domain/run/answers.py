"""What people outside may do to a run: answer what it asks, and call it back."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.steps import ApprovalStep, WaitForStep
from domain.hook.request import trigger_data
from domain.log.errors import DomainError, NotFound
from domain.run.events import RunEvent
from domain.run.state import ActiveRun, EndedRun
from domain.run.waits import Approval, ApprovalAnswered, ApprovalMailed, CallbackReceived
from domain.values.json import JsonObject

Run: TypeAlias = ActiveRun | EndedRun
_TITLES = {"approve": "approved", "reject": "rejected"}


class AlreadyDecided(DomainError, code="already_decided"):
    """Somebody was quicker; the message says who, and when."""


class TooLate(DomainError, code="gone"):
    """The deadline has passed, or the run has ended."""


def answer(run: Run, given: ApprovalAnswered) -> list[RunEvent]:
    """The event of an answer. Raises NotFound, AlreadyDecided and TooLate."""
    approval = asked_at(run, given.step_id)
    require_open(run, approval, given.at)
    for before in approval.answers:
        if before.recipient == given.recipient or (given.user_id and before.user_id == given.user_id):
            raise AlreadyDecided(said(before))
    after = Approval(approval.asked, (*approval.answers, given))
    return [msgspec.structs.replace(given, until=None if after.settled else approval.asked.until)]


def asked_at(run: Run, step_id: str) -> Approval:
    """The approval that a step has asked for. Raises NotFound."""
    approval = run.approvals.get(step_id)
    if approval is None:
        raise NotFound(f"the run has asked for no approval at the step {step_id}")
    return approval


def require_open(run: Run, approval: Approval, now: datetime) -> None:
    """Raises AlreadyDecided and TooLate where no answer counts any more."""
    if approval.settled:
        raise AlreadyDecided(said(approval.settled))
    step_id, until = approval.asked.step_id, approval.asked.until
    is_past = step_id in run.outputs or step_id in run.errors
    if isinstance(run, EndedRun) and not is_past:
        raise TooLate(f"the run has ended meanwhile: it is {run.status}")
    if is_past or now >= until:
        raise TooLate(f"the deadline has passed: it was {written(until)}")


def said(answered: ApprovalAnswered) -> str:
    """Who has decided what, and when."""
    return f"already {_TITLES[answered.decision]} by {answered.by} at {written(answered.at)}"


def written(moment: datetime) -> str:
    """A moment for people."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def mailed(run: Run, sent: ApprovalMailed) -> list[RunEvent]:
    """The record of an attempt to send mails, for as long as the approval is open."""
    if isinstance(run, EndedRun) or run.waits_at != sent.step_id or run.waits_until is None:
        return []
    before = run.approvals[sent.step_id].mailed
    if before is not None and before.attempt >= sent.attempt:
        return []
    return [msgspec.structs.replace(sent, until=run.waits_until)]


def receive(run: Run, received: CallbackReceived) -> list[RunEvent]:
    """The event of a callback; none where one was received before. Raises TooLate."""
    step_id = received.step_id
    if step_id in run.callbacks:
        return []
    if isinstance(run, EndedRun):
        raise TooLate(f"the run waits for no callback any more: it is {run.status}")
    if step_id in run.outputs or step_id in run.errors:
        raise TooLate("the run waits for this callback no longer")
    is_awaited = run.waits_at == step_id
    if is_awaited and run.delayed_until is not None and received.at >= run.delayed_until:
        raise TooLate(f"the deadline has passed: it was {written(run.delayed_until)}")
    return [msgspec.structs.replace(received, until=None if is_awaited else run.waits_until)]


def outcome_of_approval(step: ApprovalStep, approval: Approval) -> Outcome:
    """What comes of an approval whose wait is over."""
    decided = approval.settled
    if decided is not None:
        return Succeeded(_output(decided.decision, decided.by, decided.comment, dict(decided.form), decided.at))
    until = approval.asked.until
    if step.on_deadline == "fail":
        count = sum(answered.decision == "approve" for answered in approval.answers)
        message = f"{count} of {approval.asked.required} had approved by the deadline, {written(until)}"
        return Failed(code="approval_deadline", message=message)
    return Succeeded(_output(step.on_deadline, None, "", {}, until))


def _output(decision: str, by: str | None, comment: str, form: JsonObject, at: datetime) -> JsonObject:
    return {"decision": decision, "by": by, "comment": comment, "form": form, "at": at.isoformat()}


def outcome_of_callback(step: WaitForStep, received: CallbackReceived | None, until: datetime) -> Outcome:
    """What comes of a callback, or of none until the deadline. A large one takes a while to be parsed."""
    if received is not None:
        data = trigger_data(received.request)
        parts: JsonObject = {name: data[name] for name in ("body", "why_text", "headers", "query") if name in data}
        return Succeeded({**parts, "at": received.at.isoformat()})
    if step.on_deadline == "continue":
        return Succeeded({"timed_out": True})
    return Failed(code="callback_deadline", message=f"no callback had come by the deadline, {written(until)}")
