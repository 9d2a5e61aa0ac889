"""The job: something done to many runs or held requests, one after the other, that can be watched and stopped.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.log.errors import Invalid, NotFound, WrongStatus
from domain.log.event import Event
from domain.log.stream import Loaded
from domain.run.events import Source
from domain.run.replay import ReplayVersion
from domain.run.state import RunStatus
from domain.search.query import search
from domain.values.shapes import LINE

RunJobKind: TypeAlias = Literal["replay", "cancel"]
JobKind: TypeAlias = Literal[
    "replay", "cancel", "release", "discard", "backtest", "search_keys", "erase", "import", "check", "retain"
]
"""What is done: to runs, or to the held requests of one zap. `backtest`: runs are held against a draft.

`search_keys`: what a zap declares is read from its runs of before. `erase`: one person's data is forgotten.
`import`, `check`: runs of an archive are brought back, or held against the log. `retain`: what is over goes now.
"""
JobStatus: TypeAlias = Literal["running", "paused", "completed", "aborted"]

MAX_RATE_PER_S = 1_000
MAX_PROBLEM = 300
"""Characters of the last refusal that a job keeps."""
STATUSES: Mapping[RunJobKind, tuple[RunStatus, ...]] = {
    "replay": ("completed", "filtered", "failed", "cancelled", "timed_out"),
    "cancel": ("queued", "running", "waiting"),
}
"""Which runs a job takes, by its kind: only what has ended can be replayed, only what has not can be cancelled."""

_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=LINE)]


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which runs are meant: those for which all fields that are set hold. For held requests only the zap counts.

    `from` and `finished_from` are inclusive, `to` and `finished_to` are not; `from` and `to` are about the run's
    request. `step_id` and `error_code` are those of the error that the run list shows. `tag`: of the zap. `q` and
    `where` are searched for in runs (`domain/search/query.py`). `recovered`: only runs that were made up for by a
    replay, or only others; while it is not set, others only unless `include_recovered` says otherwise.
    """

    zap_id: UUID | None = None
    status: RunStatus | tuple[RunStatus, ...] | None = None
    source: Source | None = None
    from_: datetime | None = msgspec.field(name="from", default=None)
    to: datetime | None = None
    finished_from: datetime | None = None
    finished_to: datetime | None = None
    min_duration_ms: int | None = None
    max_duration_ms: int | None = None
    tag: str | None = None
    zap_version: int | None = None
    step_id: _Code | None = None
    error_code: _Code | None = None
    recovered: bool | None = None
    parent: UUID | None = None
    q: str | None = None
    where: tuple[str, ...] = ()
    include_recovered: bool = False

    @property
    def statuses(self) -> tuple[RunStatus, ...]:
        """Any of these; empty for all there are."""
        given = self.status or ()
        return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))

    @property
    def is_all(self) -> bool:
        """Whether every run is meant: a list without a status and words of blanks select nothing."""
        said = msgspec.structs.replace(
            self, status=self.statuses or None, q=(self.q or "").strip() or None, include_recovered=False
        )
        return said == Selection()

    @property
    def is_search(self) -> bool:
        """Whether the search index is asked."""
        return bool(self.q or self.where)


def statuses(kind: RunJobKind, selection: Selection) -> tuple[RunStatus, ...]:
    """The statuses of the runs that such a job takes. Raises Invalid for a selection that it can not have."""
    if selection.is_all:
        raise _invalid("filter", 'give at least one field; for all there are, "from": "1970-01-01T00:00:00Z"')
    wanted = selection.statuses
    if not set(wanted) <= set(STATUSES[kind]):
        raise _invalid("filter.status", f"a {kind} takes runs that are {', '.join(STATUSES[kind])}")
    try:
        search(selection.q, selection.where)
    except Invalid as error:
        raise error.at("filter") from None
    return wanted or STATUSES[kind]


def _invalid(path: str, reason: str) -> Invalid:
    return Invalid(f"{path}: {reason}", errors=[{"path": path, "reason": reason}])


NO_SPAN = UUID(int=0), UUID(int=0)


class JobRequested(Event, frozen=True, kw_only=True):
    """Somebody asked for a job; it starts at once.

    `total` is how many there were to do at that moment, `rate_per_s` how many are done in a second at most. What has
    an id behind the job's own came later, and is left alone. `from_step` and `version` are for replays.
    """

    kind: JobKind
    filter: Selection
    total: int
    rate_per_s: int
    from_step: str | None = None
    version: ReplayVersion = "original"
    draft: int = 0
    """Of a backtest: the version of the zap's stream whose draft it is about."""
    span: tuple[UUID, UUID] = NO_SPAN
    """Of a backtest: the first and the last of the runs."""
    subject: str = ""
    """Of an erasure: the keyed hash of whose data is forgotten, in hex."""
    archive: str = ""
    """Of an import or a check: the file."""


class JobProgressed(Event, frozen=True, kw_only=True):
    """How far the job has come, since its start: all up to `cursor` is dealt with.

    `skipped`: there was nothing to do, for instance as the run had ended by itself. `failed`: it could not be done;
    `problem` is why, for the last one.
    """

    cursor: UUID
    done: int
    skipped: int = 0
    failed: int = 0
    problem: str = ""


class JobPaused(Event, frozen=True, kw_only=True):
    """The job rests until it is resumed."""


class JobResumed(Event, frozen=True, kw_only=True):
    """The job goes on behind its cursor."""


class JobAborted(Event, frozen=True, kw_only=True):
    """The job was given up; what it has done stays done."""


class JobCompleted(Event, frozen=True, kw_only=True):
    """Nothing was left to do. Final."""


JobEvent: TypeAlias = JobRequested | JobProgressed | JobPaused | JobResumed | JobAborted | JobCompleted


class RequestJob(msgspec.Struct, frozen=True):
    """Ask for a job."""

    requested: JobRequested


class RecordProgress(msgspec.Struct, frozen=True):
    """Record what was done; also what was under way when the job was paused or aborted."""

    progressed: JobProgressed


class PauseJob(msgspec.Struct, frozen=True):
    pass


class ResumeJob(msgspec.Struct, frozen=True):
    """Go on, also with a job that was aborted."""


class AbortJob(msgspec.Struct, frozen=True):
    pass


class CompleteJob(msgspec.Struct, frozen=True):
    """Record that nothing is left."""


JobCommand: TypeAlias = RequestJob | RecordProgress | PauseJob | ResumeJob | AbortJob | CompleteJob


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands. `total` rises where more turned up than were counted."""

    requested: JobRequested
    total: int
    status: JobStatus = "running"
    cursor: UUID | None = None
    done: int = 0
    skipped: int = 0
    failed: int = 0
    problem: str = ""

    @property
    def dealt_with(self) -> int:
        """How many are behind the cursor."""
        return self.done + self.skipped + self.failed


JobState: TypeAlias = Job | None
"""None while nothing has happened in the stream."""
INITIAL: JobState = None
LoadedJob: TypeAlias = Loaded[Job, JobEvent]


def decide(command: JobCommand, state: JobState) -> list[JobEvent]:
    """The events that the command leads to; none when it already holds. Raises NotFound or WrongStatus."""
    if isinstance(command, RequestJob):
        return [command.requested] if state is None else []
    if state is None:
        raise NotFound("no such job")
    match command:
        case RecordProgress(progressed):
            return [progressed] if _goes_on(state, progressed) else []
        case CompleteJob():
            return [JobCompleted()] if state.status == "running" else []
        case PauseJob():
            _require(state, "running", "paused", wish="be paused")
            return [JobPaused()] if state.status == "running" else []
        case ResumeJob():
            _require(state, "running", "paused", "aborted", wish="go on")
            return [] if state.status == "running" else [JobResumed()]
        case AbortJob():
            _require(state, "running", "paused", "aborted", wish="be aborted")
            return [] if state.status == "aborted" else [JobAborted()]
        case _:
            assert_never(command)


def _goes_on(job: Job, progressed: JobProgressed) -> bool:
    """Whether that is news: a cursor never goes back, and nothing is taken back either."""
    return (
        job.status != "completed"
        and (job.cursor is None or progressed.cursor > job.cursor)
        and progressed.done >= job.done
        and progressed.skipped >= job.skipped
        and progressed.failed >= job.failed
    )


def _require(job: Job, *allowed: JobStatus, wish: str) -> None:
    if job.status not in allowed:
        raise WrongStatus(f"the job is {job.status} and can not {wish}")


STATUS_AFTER: Mapping[type[Event], JobStatus] = {
    JobPaused: "paused",
    JobResumed: "running",
    JobAborted: "aborted",
    JobCompleted: "completed",
}
"""The status that an event leads to, whatever it was before."""


def evolve(state: JobState, event: JobEvent) -> JobState:
    """The state after the event. Total: never raises."""
    if isinstance(event, JobRequested):
        return Job(requested=event, total=event.total) if state is None else state
    if state is None:
        return state
    replace = msgspec.structs.replace
    match event:
        case JobProgressed():
            return replace(
                state,
                cursor=event.cursor,
                done=event.done,
                skipped=event.skipped,
                failed=event.failed,
                problem=event.problem,
                total=max(state.total, event.done + event.skipped + event.failed),
            )
        case JobPaused() | JobResumed() | JobAborted() | JobCompleted():
            return replace(state, status=STATUS_AFTER[type(event)])
        case _:
            assert_never(event)
