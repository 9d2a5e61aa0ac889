"""The filters of runs, as a query gives them: /api/v1/runs and /api/v1/runs/count take the same ones."""

from datetime import datetime
from typing import Annotated, TypeAlias, assert_never
from uuid import UUID

import msgspec
from litestar.params import FromQuery, QueryParameter

from app.http.broken import broken_rule
from app.http.inputs import Moment, require_order
from app.http.paging import (
    NOT_OURS,
    AnyRequest,
    Cursor,
    Limit,
    Page,
    decode_cursor,
    decode_id,
    encode_cursor,
    list_of,
)
from app.http.problems import Problem
from app.http.requests import refused
from domain.job.job import Selection
from domain.run.events import Source
from domain.run.state import RunStatus
from domain.values.shapes import LINE
from projections.run_filter import After, Order, RunFilter, Sort
from projections.run_keys import key_of
from projections.run_list import RunListItem
from sql.postgres.pool import Pool

DEFAULT_LIMIT = 20
MAX_MS = 2**53

Code: TypeAlias = Annotated[
    str | None, QueryParameter(min_length=1, max_length=200, pattern=LINE, description="Of the error that runs show")
]
Inclusive = Annotated[Moment | None, QueryParameter(description="Inclusive")]
Exclusive = Annotated[Moment | None, QueryParameter(description="Exclusive")]
Milliseconds = Annotated[
    int | None, QueryParameter(ge=0, le=MAX_MS, description="From the request to the end, of runs that have ended")
]
SearchKeyColumn = Annotated[str, msgspec.Meta(pattern=r"^keys\.[a-z][a-z0-9_]{0,39}\Z")]
Tag = Annotated[str | None, QueryParameter(min_length=1, max_length=50, description="Only runs of zaps with this tag")]
Recovered = Annotated[
    bool | None, QueryParameter(description="Only runs of which a replay has completed, or only the others")
]
Parent = Annotated[
    UUID | None,
    QueryParameter(description="Only children of this run, also items of loops, which are not listed without it"),
]
Words = Annotated[
    str | None,
    QueryParameter(
        description="Words that the trigger, an output or an error of the run has, all of them; "
        '`"several words"` are a phrase, `begin*` is the beginning of a word'
    ),
]
Comparisons = Annotated[
    list[str] | None,
    QueryParameter(
        description="A path, an operator and a value, such as `trigger.body.order.id=4711`; operators are "
        "= != > >= < <= ~ (contains) and `path?` (is there). `keys.NAME` is a search key of the zap. Repeat the "
        "name for several: all have to hold"
    ),
]
Statuses = Annotated[list[RunStatus] | None, QueryParameter(description="Any of these; repeat the name for several")]


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Behind which run a page starts, where runs are not sorted by when they started. `of`: see `list_of`."""

    sort: str
    order: Order
    id: UUID
    value: datetime | float
    key: bytes = b""
    of: bytes = b""


_cursors = msgspec.msgpack.Decoder(_Cursor)


async def provide_selection(
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
    tag: Tag = None,
    zap_version: Annotated[int | None, QueryParameter(ge=0, le=2**31 - 1)] = None,
    step_id: Code = None,
    error_code: Code = None,
    recovered: Recovered = None,
    parent: Parent = None,
    q: Words = None,
    where: Comparisons = None,
) -> Selection:
    """A Litestar dependency: which runs are asked for, in no particular order. Jobs take the same (`SelectionIn`).

    Raises Problem.
    """
    _require_orders(from_, to, finished_from, finished_to)
    return Selection(
        zap_id=zap_id,
        status=tuple(status or ()),
        source=source,
        from_=from_.at if from_ else None,
        to=to.at if to else None,
        finished_from=finished_from.at if finished_from else None,
        finished_to=finished_to.at if finished_to else None,
        min_duration_ms=min_duration_ms,
        max_duration_ms=max_duration_ms,
        tag=tag,
        zap_version=zap_version,
        step_id=step_id,
        error_code=error_code,
        recovered=recovered,
        parent=parent,
        q=q,
        where=tuple(where or ()),
        include_recovered=True,
    )


_FINISHED = ("finished_from", "finished_to")


def _require_orders(
    from_: Moment | None, to: Moment | None, finished_from: Moment | None, finished_to: Moment | None
) -> None:
    for start, end, names in ((from_, to, ("from", "to")), (finished_from, finished_to, _FINISHED)):
        try:
            require_order(start, end, names)
        except ValueError as error:
            raise refused([broken_rule((names[1],), str(error))]) from None


class RunPaging(msgspec.Struct, frozen=True):
    """The order of a list of runs, and the page of it that is asked for. `key`: the search key that it is sorted by.

    `columns`: which search keys the items carry; None: all.
    """

    sort: Sort
    key: str
    order: Order
    after: After | None
    limit: int
    of_list: bytes
    columns: frozenset[str] | None = None

    def of(self, wanted: RunFilter) -> RunFilter:
        """The filter with this order and page; one more is looked for, as that tells whether there is another page."""
        return msgspec.structs.replace(
            wanted,
            sort=self.sort,
            sort_key=self.key,
            order=self.order,
            after=self.after,
            limit=self.limit + 1,
        )

    async def page(
        self, pool: Pool, tenant_id: UUID, items: list[RunListItem], resume: UUID | None = None
    ) -> Page[RunListItem]:
        """The page of what was found; it goes on before `resume` where that is given."""
        shown = items[: self.limit]
        if len(items) > self.limit:
            cursor = await self._cursor(pool, tenant_id, shown[-1])
        else:
            cursor = None if resume is None else encode_cursor(resume.bytes + self.of_list)
        return Page([self._shown(item) for item in shown], cursor)

    def _shown(self, item: RunListItem) -> RunListItem:
        if self.columns is None or self.columns >= item.keys.keys():
            return item
        kept = {name: value for name, value in item.keys.items() if name in self.columns}
        return msgspec.structs.replace(item, keys=kept)

    async def _cursor(self, pool: Pool, tenant_id: UUID, last: RunListItem) -> str | None:
        """The cursor of the page behind a run; none where it was erased meanwhile."""
        value: datetime | float | None = 0.0
        key: bytes | None = b""
        match self.sort:
            case "started_at":
                return encode_cursor(last.id.bytes + self.of_list)
            case "finished_at":
                value = last.finished_at
            case "duration_ms":
                value = last.duration_ms
            case "key":
                key = await key_of(pool, tenant_id, last.id, self.key)
            case _:
                assert_never(self.sort)
        if value is None or key is None:
            return None
        behind = _Cursor(f"{self.sort}.{self.key}", self.order, last.id, value, key, self.of_list)
        return encode_cursor(msgspec.msgpack.encode(behind))


async def provide_run_paging(
    request: AnyRequest,
    *,
    sort: Annotated[
        str,
        QueryParameter(
            pattern=r"^(started_at|finished_at|duration_ms|keys\.[a-z][a-z0-9_]{0,39})\Z",
            description="`started_at`, `finished_at`, `duration_ms` or `keys.NAME`, a search key of the zap. Only "
            "runs are listed that have what they are sorted by",
        ),
    ] = "started_at",
    order: FromQuery[Order] = "desc",
    columns: Annotated[
        list[SearchKeyColumn] | None,
        QueryParameter(max_items=20, description="Search keys, as `keys.NAME`, that items carry; all without it"),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RunPaging:
    """A Litestar dependency. Raises Problem `malformed`."""
    by, _, key = sort.partition(".")
    chosen: Sort = "key" if key else by  # type: ignore[assignment]  # one of those that the pattern lists
    shown = None if columns is None else frozenset(column.partition(".")[2] for column in columns)
    of = list_of(request)
    return RunPaging(chosen, key, order, _after(cursor, of, chosen, key, order), limit, of, shown)


def _after(cursor: str | None, of: bytes, sort: Sort, key: str, order: Order) -> After | None:
    if sort == "started_at":
        last = decode_id(cursor, of)
        return None if last is None else After(last)
    if cursor is None:
        return None
    try:
        read = _cursors.decode(decode_cursor(cursor))
    except (ValueError, msgspec.DecodeError):
        raise Problem("malformed", NOT_OURS) from None
    is_time = isinstance(read.value, datetime)
    is_same = (read.sort, read.order, is_time) == (f"{sort}.{key}", order, sort == "finished_at")
    if not is_same or read.of not in (b"", of):
        raise Problem("malformed", NOT_OURS)
    return After(read.id, read.key if sort == "key" else read.value)
