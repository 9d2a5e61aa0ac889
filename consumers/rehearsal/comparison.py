"""What a draft would have done with a run that was, beside what the run did."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.history.changes import Change, changes, equal
from domain.run.state import RunStatus
from domain.values.json import Json, JsonObject
from domain.values.redaction import shown
from projections.run_detail import RunDetail
from projections.run_list import RunError
from projections.step_detail import StepDetail

Verdict: TypeAlias = Literal["same", "different", "diverging"]
"""`diverging`: an action would send something else, or is new, so its real answer is not known."""
MAX_DIFF = 32 * 1024
"""Bytes of the changes of one run; those that come first are kept."""
INSTANT = timedelta(seconds=1)
"""Moments that are as close as this are one: the runner took the time of the steps, and the draft is given it."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How a run went: its end, and the steps that were done, in their order."""

    status: RunStatus
    error: RunError | None
    reason: str | None
    path: list[str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One run: how it went `then`, how the draft would go `now`, and what differs in status, steps, inputs and outputs.

    `diverging`: the actions whose rendered input differs from then, those that are new, and steps that ask somebody and
    were changed. What follows from their answers may differ from what is shown, as they were answered as then, or by a
    sample. `cut`: there are more changes.
    """

    run_id: UUID
    verdict: Verdict
    then: Course
    now: Course
    diff: list[Change]
    diverging: list[str]
    cut: bool = False

    @property
    def steps(self) -> list[str]:
        """The ids of the steps in which anything differs."""
        found = [one.path.split(".")[1].split("[")[0] for one in self.diff if one.path.startswith("steps.")]
        return list(dict.fromkeys(found))


def compare(then: RunDetail, now: RunDetail, changed: Collection[str] = ()) -> Comparison:
    """The comparison; both have their steps with their places.

    `changed`: steps that ask somebody else, and are not in the draft what they were.
    """
    all_changes = changes(_outline(then), _outline(now), _alike)
    diff = list(_within(all_changes, MAX_DIFF))
    diverging = list(_diverging(then, now, changed))
    verdict: Verdict = "diverging" if diverging else "different" if diff else "same"
    return Comparison(
        run_id=then.id,
        verdict=verdict,
        then=_course(then),
        now=_course(now),
        diff=diff,
        diverging=diverging,
        cut=len(diff) < len(all_changes),
    )


def _course(detail: RunDetail) -> Course:
    path = [step.id for step in detail.steps if _was_done(step)]
    return Course(status=detail.status, error=detail.error, reason=detail.reason, path=path)


def _outline(detail: RunDetail) -> JsonObject:
    """What is compared of a run. Times, attempts and texts that explain are not."""
    steps: JsonObject = {step.id: _outline_of(step) for step in detail.steps if _was_done(step)}
    outline: JsonObject = {"status": detail.status, "steps": steps}
    if detail.error:
        outline["error"] = {"code": detail.error.code, "step_id": detail.error.step_id}
    if not isinstance(detail.answer, msgspec.UnsetType):
        outline["answer"] = shown(detail.answer)
    return outline


def _outline_of(step: StepDetail) -> JsonObject:
    outline: JsonObject = {"status": step.status, "output": shown(step.output)}
    if step.kind == "action":  # what others ask is not rendered, as their answers are taken over
        outline["input"] = shown(step.input)
    if step.error:
        outline["error"] = {"code": step.error.code}
    return outline


def _was_done(step: StepDetail) -> bool:
    return step.status not in ("skipped", "pending")


def _diverging(then: RunDetail, now: RunDetail, changed: Collection[str]) -> Iterator[str]:
    before = {step.id: step for step in then.steps if step.attempts}
    for step in now.steps:
        if step.id in changed and _was_done(step):
            yield step.id
        if step.kind != "action" or not step.attempts:
            continue
        known = before.get(step.id)
        if known is None or step.answered_by == "sample" or changes(known.input, step.input, _alike, limit=1):
            yield step.id


def _alike(one: Json, other: Json) -> bool:
    if isinstance(one, str) and isinstance(other, str) and one != other and len(one) >= len("2026-01-01T00:00:00"):
        first, second = _moment(one), _moment(other)
        return first is not None and second is not None and abs(first - second) < INSTANT
    return equal(one, other)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _within(found: list[Change], room: int) -> Iterator[Change]:
    for change in found:
        room -= len(msgspec.json.encode(change))
        if room < 0:
            return
        yield change
