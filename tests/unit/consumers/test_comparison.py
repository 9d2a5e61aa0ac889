"""How a run that was is compared with what a draft would do: what counts as different, and what is only a guess."""

from typing import Any

from consumers.rehearsal import comparison
from consumers.rehearsal.comparison import Comparison, compare
from domain.run.events import Failure, RunCompleted, RunFailed, StepFailed, StepSucceeded
from domain.values.json import Json
from domain.zap.definition import Definition, Trigger
from projections.run_detail import RunDetail, fold
from projections.run_list import RunError
from projections.run_tree import place
from projections.step_detail import AnsweredBy
from tests.support.builders import a_run_requested
from tests.support.clock import START
from tests.support.flows import action
from tests.unit.projections.test_run_detail import stored


def run(*events: Any, answered: AnsweredBy | None = None, steps: tuple[str, ...] = ("send",)) -> RunDetail:
    detail = fold(stored([a_run_requested(), *events]))
    place(detail, Definition(Trigger("manual"), tuple(action(step_id) for step_id in steps)))
    for step in detail.steps:
        step.answered_by = answered or step.answered_by
    return detail


def sent(given: Json, output: Json = None, step_id: str = "send") -> StepSucceeded:
    return StepSucceeded(step_id=step_id, attempt=1, started_at=START, duration_ms=1.0, input=given, output=output)


def failed(code: str) -> tuple[StepFailed, RunFailed]:
    failure = Failure(code=code, message=f"said {code}")
    return (
        StepFailed(step_id="send", attempt=3, started_at=START, duration_ms=1.0, input={"n": 1}, failure=failure),
        RunFailed(step_id="send", code=code, message=f"said {code}"),
    )


def paths(found: Comparison) -> list[str]:
    return [change.path for change in found.diff]


def test_times_and_attempts_make_no_difference() -> None:
    again = StepSucceeded(step_id="send", attempt=4, started_at=START, duration_ms=99.0, input={"n": 1})
    found = compare(run(sent({"n": 1}), RunCompleted()), run(again, RunCompleted()))
    assert (found.verdict, found.diff, found.diverging) == ("same", [], [])


def test_another_output_is_a_difference_and_another_input_a_guess() -> None:
    found = compare(run(sent({"n": 1}, 1), RunCompleted()), run(sent({"n": 1}, 2), RunCompleted()))
    assert (found.verdict, paths(found), found.steps) == ("different", ["steps.send.output"], ["send"])
    found = compare(run(sent({"n": 1}), RunCompleted()), run(sent({"n": 2}), RunCompleted()))
    assert (found.verdict, paths(found), found.diverging) == ("diverging", ["steps.send.input.n"], ["send"])


def test_an_answer_that_was_made_up_is_a_guess() -> None:
    before = run(RunCompleted(), steps=())
    found = compare(before, run(sent({"n": 1}), RunCompleted(), answered="sample"))
    assert (found.verdict, found.diverging, paths(found)) == ("diverging", ["send"], ["steps.send"])


def test_the_answer_to_a_question_that_was_changed_is_a_guess() -> None:
    one = run(sent({"n": 1}), RunCompleted())
    assert compare(one, one, {"send"}).diverging == ["send"]
    assert compare(one, run(RunCompleted()), {"send"}).diverging == []


def test_how_a_run_ended_and_where_is_compared_but_not_the_words() -> None:
    one, other = run(*failed("http_404")), run(*failed("http_500"))
    assert paths(compare(one, other)) == ["steps.send.error.code", "error.code"]
    assert compare(one, one).then.error == RunError("http_404", "said http_404", "send")


def test_moments_of_the_same_instant_are_one() -> None:
    def at(moment: str) -> RunDetail:
        return run(sent({"at": moment, "text": f"at {moment}"[:2]}), RunCompleted())

    first = at("2026-01-01T12:00:00.000100+00:00")
    assert compare(first, at("2026-01-01T12:00:00.900000+00:00")).verdict == "same"
    assert compare(first, at("2026-01-01T12:00:02+00:00")).verdict == "diverging"
    assert compare(first, at("not a moment, though long")).verdict == "diverging"


def test_what_is_secret_is_not_kept() -> None:
    found = compare(
        run(sent({"headers": {"Authorization": "Bearer a"}}), RunCompleted()),
        run(sent({"headers": {"Authorization": "Bearer b"}}), RunCompleted()),
    )
    assert (found.diff, found.diverging) == ([], ["send"])


def test_changes_are_bounded_in_bytes(monkeypatch: Any) -> None:
    monkeypatch.setattr(comparison, "MAX_DIFF", 1_000)
    many = {f"k{n}": "x" * 100 for n in range(50)}
    found = compare(run(sent({}), RunCompleted()), run(sent(many), RunCompleted()))  # type: ignore[arg-type] # JSON
    assert found.cut
    assert 1 < len(found.diff) < 10
