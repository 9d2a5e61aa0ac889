"""The filters of runs, as a query gives them: /api/v1/runs and /api/v1/runs/count take the same ones."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar.params import FromQuery, QueryParameter

from app.http.inputs import Moment
from app.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from app.http.problems import Problem
from domain.job.job import CODE
from domain.run.events import Source
from domain.run.state import RunStatus
from domain.search.query import Search, search
from projections.run_list import RunListItem
from projections.run_query import After, Order, RunFilter, Sort

DEFAULT_LIMIT = 20
MAX_MS = 2**53

Code: TypeAlias = Annotated[
    str | None, QueryParameter(min_length=1, max_length=200, pattern=CODE, description="Of the error that runs show")
]
Inclusive = Annotated[Moment | None, QueryParameter(description="Inclusive")]
Exclusive = Annotated[Moment | None, QueryParameter(description="Exclusive")]
Milliseconds = Annotated[
    int | None, QueryParameter(ge=0, le=MAX_MS, description="From the request to the end, of runs that have ended")
]
Statuses = Annotated[list[RunStatus] | None, QueryParameter(description="Any of these; repeat the name for several")]


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Behind which run a page starts, where runs are not sorted by when they started."""

    sort: Sort
    order: Order
    id: UUID
    value: datetime | float


_cursors = msgspec.msgpack.Decoder(_Cursor)


async def provide_run_filter(
    *,
    zap_id: FromQuery[UUID | None] = None,
    status: Statuses = None,
    source: FromQuery[Source | None] = None,
    from_: Annotated[Moment | None, QueryParameter(name="from", description="Inclusive")] = None,
    to: Exclusive = None,
    finished_from: Inclusive = None,
    finished_to: Exclusive = None,
    min_duration_ms: Milliseconds = None,
    max_duration_ms: Milliseconds = None,
    zap_version: Annotated[int | None, QueryParameter(ge=0, le=2**31 - 1)] = None,
    step_id: Code = None,
    error_code: Code = None,
    recovered: Annotated[
        bool | None, QueryParameter(description="Only runs of which a replay has completed, or only the others")
    ] = None,
    parent: Annotated[
        UUID | None,
        QueryParameter(description="Only children of this run, also items of loops, which are not listed without it"),
    ] = None,
) -> RunFilter:
    """A Litestar dependency: which runs are asked for, in no particular order."""
    return RunFilter(
        zap_ids=None if zap_id is None else (zap_id,),
        statuses=tuple(dict.fromkeys(status or ())),
        source=source,
        from_=from_.at if from_ else None,
        to=to.at if to else None,
        finished_from=finished_from.at if finished_from else None,
        finished_to=finished_to.at if finished_to else None,
        min_duration_ms=min_duration_ms,
        max_duration_ms=max_duration_ms,
        zap_version=zap_version,
        step_id=step_id,
        error_code=error_code,
        recovered=recovered,
        parent=parent,
    )


async def provide_search(
    *,
    q: Annotated[
        str | None,
        QueryParameter(
            description="Words that the trigger, an output or an error of the run has, all of them; "
            '`"several words"` are a phrase, `begin*` is the beginning of a word'
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        QueryParameter(
            description="A path, an operator and a value, such as `trigger.body.order.id=4711`; operators are "
            "= != > >= < <= ~ (contains) and `path?` (is there). Repeat the name for several: all have to hold"
        ),
    ] = None,
) -> Search:
    """A Litestar dependency: what is searched for in runs. Raises Invalid."""
    return search(q, where or ())


class RunPaging(msgspec.Struct, frozen=True):
    """The order of a list of runs, and the page of it that is asked for."""

    sort: Sort
    order: Order
    after: After | None
    limit: int

    def of(self, wanted: RunFilter) -> RunFilter:
        """The filter with this order and page; one more is looked for, as that tells whether there is another page."""
        return msgspec.structs.replace(wanted, sort=self.sort, order=self.order, after=self.after, limit=self.limit + 1)

    def page(self, items: list[RunListItem], resume: UUID | None = None) -> Page[RunListItem]:
        """The page of what was found; it goes on before `resume` where that is given."""
        if len(items) > self.limit:
            return Page(items[: self.limit], self.cursor(items[self.limit - 1]))
        return Page(items, None if resume is None else encode_cursor(resume))

    def cursor(self, last: RunListItem) -> str:
        """The cursor of the page behind a run."""
        if self.sort == "started_at":
            return encode_cursor(last.id)
        value = last.finished_at if self.sort == "finished_at" else last.duration_ms
        assert value is not None, "only runs that have ended are in this order"
        packed = msgspec.msgpack.encode(_Cursor(self.sort, self.order, last.id, value))
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")


async def provide_run_paging(
    *,
    sort: Annotated[
        Sort, QueryParameter(description="By `finished_at` and `duration_ms` only runs that have ended are listed")
    ] = "started_at",
    order: FromQuery[Order] = "desc",
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RunPaging:
    """A Litestar dependency. Raises Problem `malformed`."""
    return RunPaging(sort, order, _after(cursor, sort, order), limit)


def _after(cursor: str | None, sort: Sort, order: Order) -> After | None:
    if sort == "started_at":
        last = decode_cursor(cursor)
        return None if last is None else After(last)
    if cursor is None:
        return None
    try:
        packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        read = _cursors.decode(packed)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Problem("malformed", "cursor: not one that this list gave out") from None
    is_time = isinstance(read.value, datetime)
    if (read.sort, read.order, is_time) != (sort, order, sort == "finished_at"):
        raise Problem("malformed", "cursor: of a list in another order; send `sort` and `order` as for the first page")
    return After(read.id, read.value)
