"""The job: it can be watched, paused, aborted and resumed, and what it has recorded is never taken back."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.job.job import (
    INITIAL,
    STATUSES,
    AbortJob,
    CompleteJob,
    Job,
    JobAborted,
    JobCommand,
    JobCompleted,
    JobEvent,
    JobPaused,
    JobProgressed,
    JobRequested,
    JobResumed,
    PauseJob,
    RecordProgress,
    RequestJob,
    ResumeJob,
    RunJobKind,
    Selection,
    decide,
    evolve,
    statuses,
)
from domain.log.errors import Invalid, NotFound, WrongStatus
from tests.support.given import given_job

REQUESTED = JobRequested(kind="replay", filter=Selection(status="failed"), total=10, rate_per_s=5)
HALF = JobProgressed(cursor=UUID(int=5), done=4, failed=1, problem="no such zap")


def test_a_job_is_requested_once() -> None:
    given_job().when(RequestJob(REQUESTED)).then(REQUESTED)
    given_job(REQUESTED).when(RequestJob(REQUESTED)).then_nothing()


@pytest.mark.parametrize("command", [PauseJob(), ResumeJob(), AbortJob(), CompleteJob(), RecordProgress(HALF)])
def test_there_is_nothing_to_do_to_a_job_that_was_never_requested(command: JobCommand) -> None:
    given_job().when(command).then_raises(NotFound)


def test_a_paused_job_goes_on_when_it_is_resumed() -> None:
    given_job(REQUESTED).when(PauseJob()).then(JobPaused())
    given_job(REQUESTED, JobPaused()).when(PauseJob()).then_nothing()
    given_job(REQUESTED, JobPaused()).when(ResumeJob()).then(JobResumed())
    given_job(REQUESTED).when(ResumeJob()).then_nothing()


def test_an_aborted_job_can_go_on_but_not_be_paused() -> None:
    given_job(REQUESTED).when(AbortJob()).then(JobAborted())
    given_job(REQUESTED, JobPaused()).when(AbortJob()).then(JobAborted())
    given_job(REQUESTED, JobAborted()).when(AbortJob()).then_nothing()
    given_job(REQUESTED, JobAborted()).when(PauseJob()).then_raises(WrongStatus, "aborted")
    given_job(REQUESTED, JobAborted()).when(ResumeJob()).then(JobResumed())


@pytest.mark.parametrize("command", [PauseJob(), ResumeJob(), AbortJob()])
def test_a_completed_job_stays_completed(command: JobCommand) -> None:
    given_job(REQUESTED, JobCompleted()).when(command).then_raises(WrongStatus, "completed")


def test_only_a_running_job_completes() -> None:
    given_job(REQUESTED).when(CompleteJob()).then(JobCompleted())
    for end in (JobPaused(), JobAborted(), JobCompleted()):
        given_job(REQUESTED, end).when(CompleteJob()).then_nothing()


def test_what_was_under_way_is_recorded_after_a_pause_and_after_an_abort() -> None:
    for end in (JobPaused(), JobAborted()):
        given_job(REQUESTED, end).when(RecordProgress(HALF)).then(HALF)
    given_job(REQUESTED, JobCompleted()).when(RecordProgress(HALF)).then_nothing()


@pytest.mark.parametrize(
    "late",
    [JobProgressed(cursor=UUID(int=5), done=4, failed=1), JobProgressed(cursor=UUID(int=4), done=9, failed=9),
     JobProgressed(cursor=UUID(int=6), done=3, failed=2), JobProgressed(cursor=UUID(int=6), done=5, failed=0)],
)  # fmt: skip
def test_nothing_is_taken_back(late: JobProgressed) -> None:
    given_job(REQUESTED, HALF).when(RecordProgress(late)).then_nothing()


def test_a_selection_says_what_is_meant() -> None:
    for nothing in (Selection(), Selection(q=""), Selection(q=" \t"), Selection(status=()), Selection(q="", status=())):
        with pytest.raises(Invalid, match="at least one field"):
            statuses("replay", nothing)
    with pytest.raises(Invalid, match=r"filter\.status"):
        statuses("cancel", Selection(status="failed"))
    with pytest.raises(Invalid, match=r"filter\.status"):
        statuses("replay", Selection(status="queued"))
    assert statuses("replay", Selection(status="failed")) == ("failed",)
    assert statuses("cancel", Selection(error_code="x")) == ("queued", "running", "waiting")


def test_what_can_be_replayed_and_what_can_be_cancelled_is_every_status_once() -> None:
    from typing import get_args

    from domain.run.state import RunStatus

    assert sorted(status for kind in STATUSES for status in STATUSES[kind]) == sorted(get_args(RunStatus))
    assert set(STATUSES) == set(get_args(RunJobKind))


progress = st.builds(
    JobProgressed,
    cursor=st.integers(0, 30).map(lambda n: UUID(int=n)),
    done=st.integers(0, 12),
    skipped=st.integers(0, 12),
    failed=st.integers(0, 12),
)
commands = st.one_of(
    progress.map(RecordProgress), st.sampled_from([PauseJob(), ResumeJob(), AbortJob(), CompleteJob()])
)


@given(st.lists(commands, max_size=20))
def test_the_counts_never_pass_the_total_and_the_cursor_only_grows(wishes: "list[JobCommand]") -> None:
    state = evolve(INITIAL, REQUESTED)
    history: list[JobEvent] = [REQUESTED]
    for wish in wishes:
        assert isinstance(state, Job)
        try:
            events = decide(wish, state)
        except WrongStatus:
            continue
        for event in events:
            after = evolve(state, event)
            assert isinstance(after, Job)
            assert after.dealt_with <= after.total
            assert after.dealt_with >= state.dealt_with
            assert state.cursor is None or (after.cursor is not None and after.cursor >= state.cursor)
            assert state.status != "completed"
            state = after
            history.append(event)
    assert sum(isinstance(event, JobCompleted) for event in history) <= 1
