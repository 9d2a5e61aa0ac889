"""Bodies of commands on runs, and of their answers."""

from typing import Annotated
from uuid import UUID

import msgspec

from app.http.api.run_query import MAX_MS
from app.http.inputs import Input, Moment, StepId, require_order
from domain.job.job import MAX_RATE_PER_S, Selection
from domain.run.events import Source
from domain.run.replay import ReplayItems, ReplayVersion
from domain.run.state import RunStatus
from domain.values.json import Json
from domain.values.shapes import LINE

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=LINE)]
Rate = Annotated[int, msgspec.Meta(ge=1, le=MAX_RATE_PER_S)]
MAX_SEARCH = 2_000
"""Characters of what is searched for, as the log keeps it with the job."""
DEFAULT_REPLAYS_PER_S = 50
"""Replays call other systems, so they are slow by default."""


class SelectionIn(Input, frozen=True):
    """Selects the runs that match every field that is set: the filters of the run list, by the same names.

    `status` and `where` may be several. A run that did not complete, but of which a replay has, is left out unless
    `recovered` says otherwise, or `include_recovered` is set.
    """

    zap_id: UUID | None = None
    status: RunStatus | Annotated[list[RunStatus], msgspec.Meta(max_length=20)] | None = None
    source: Source | None = None
    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None
    finished_from: Moment | None = None
    finished_to: Moment | None = None
    min_duration_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)] | None = None
    max_duration_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)] | None = None
    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=50)] | None = None
    zap_version: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    step_id: Code | None = None
    error_code: Code | None = None
    recovered: bool | None = None
    parent: UUID | None = None
    q: Annotated[str, msgspec.Meta(max_length=MAX_SEARCH)] | None = None
    where: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=MAX_SEARCH)], ...], msgspec.Meta(max_length=20)] = ()
    include_recovered: bool = False

    def __post_init__(self) -> None:
        require_order(self.from_, self.to)
        require_order(self.finished_from, self.finished_to, ("finished_from", "finished_to"))

    def selection(self) -> Selection:
        """The selection as the domain has it."""
        return Selection(
            zap_id=self.zap_id,
            status=tuple(self.status) if isinstance(self.status, list) else self.status,
            source=self.source,
            from_=self.from_.at if self.from_ else None,
            to=self.to.at if self.to else None,
            finished_from=self.finished_from.at if self.finished_from else None,
            finished_to=self.finished_to.at if self.finished_to else None,
            min_duration_ms=self.min_duration_ms,
            max_duration_ms=self.max_duration_ms,
            tag=self.tag,
            zap_version=self.zap_version,
            step_id=self.step_id,
            error_code=self.error_code,
            recovered=self.recovered,
            parent=self.parent,
            q=self.q,
            where=self.where,
            include_recovered=self.include_recovered,
        )


class BulkReplay(Input, frozen=True):
    """Replay all runs of a selection that have ended, at most so many in a second; with `preview`, only count them."""

    filter: SelectionIn
    rate_per_s: Rate = DEFAULT_REPLAYS_PER_S
    preview: bool = False
    from_step: StepId | None = None
    version: ReplayVersion = "original"


class BulkCancel(Input, frozen=True):
    """Cancel all runs of a selection that have not ended; with `preview`, only count them."""

    filter: SelectionIn
    rate_per_s: Rate = MAX_RATE_PER_S
    preview: bool = False


class BulkRelease(Input, frozen=True):
    """Start the runs of all requests that the zap holds, in the order of their arrival; with `preview`, only count."""

    rate_per_s: Rate = DEFAULT_REPLAYS_PER_S
    preview: bool = False


class BulkDiscard(Input, frozen=True):
    """Give up all requests that the zap holds; with `preview`, only count them."""

    rate_per_s: Rate = MAX_RATE_PER_S
    preview: bool = False


class Preview(msgspec.Struct, frozen=True):
    """How many items a job would take; `more`: counting stopped there."""

    count: int
    more: bool


class ReplayIn(Input, frozen=True):
    """How to replay: all steps, or from `from_step` on; with the same version or the latest; with another body.

    `items`, where `from_step` is a loop: do only those items again that did not succeed (default), or all. Of a loop's
    item, `payload` is another item.
    """

    from_step: StepId | None = None
    version: ReplayVersion = "original"
    payload: Json | msgspec.UnsetType = msgspec.UNSET
    items: ReplayItems | None = None


class ReplayOut(msgspec.Struct, frozen=True):
    """The new run, and the position of its request in the log."""

    id: UUID
    replay_of: UUID
    position: int
