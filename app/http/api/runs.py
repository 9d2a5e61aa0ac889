"""Runs: /api/v1/runs."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.runs import Runs
from app.http.api.run_query import RunPaging, provide_run_paging, provide_selection
from app.http.inputs import AsOf, Injected
from app.http.openapi.notes import notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.job.job import Selection
from domain.log.errors import Invalid, NotFound
from domain.log.event import StoredEvent, StreamKind
from domain.search.query import Search, search
from domain.values.json import JsonObject
from domain.values.path import MAX_PATH, Missing, parse_path
from domain.values.redaction import shown
from projections import run_reading
from projections.past import Past
from projections.recoveries import recovered_by
from projections.run_detail import RunDetail
from projections.run_found import find_runs, with_matches
from projections.run_list import RunListItem
from projections.run_query import list_runs, replays_of
from projections.run_selected import count_selected, filter_of

MAX_VERSION = 2**31 - 1
"""The most events of a stream."""
STATES_BYTES = 2**20
"""Of the states on one page of events."""
MAX_COUNT = 10_000
"""Runs are counted up to here: a count reads each of them."""
SEARCH_PATIENCE_S = 5.0
"""For `min_position`: the index follows the log at its own pace."""


class RunCount(msgspec.Struct, frozen=True):
    """How many runs there are. Not `exact`: there are more than that."""

    count: int
    exact: bool


class EventOut(msgspec.Struct, kw_only=True):
    """A recorded event. `state`: the run after it, where that was asked for."""

    id: UUID
    position: int
    version: int
    type: str
    schema_version: int
    recorded_at: datetime
    meta: msgspec.Raw
    data: msgspec.Raw
    state: RunDetail | msgspec.UnsetType = msgspec.UNSET


def _shown(data: bytes) -> msgspec.Raw:
    fields: JsonObject = msgspec.json.decode(data)
    messages = {name: shown(fields[name]) for name in ("request", "input", "output") if name in fields}
    return msgspec.Raw(msgspec.json.encode(fields | messages))


def _event_out(event: StoredEvent) -> EventOut:
    return EventOut(
        id=event.event_id,
        position=event.position,
        version=event.version,
        type=event.type,
        schema_version=event.schema_version,
        recorded_at=event.recorded_at,
        meta=msgspec.Raw(event.meta),
        data=_shown(event.data),
    )


async def _is_fresh(services: Services, searched: Search, min_position: int | None) -> bool:
    pool = services.store.pool
    for name in ("run_list", "run_keys"):
        if not await is_fresh(pool, name, min_position):
            return False
    return not searched or await is_fresh(pool, "run_search", min_position, SEARCH_PATIENCE_S)


class RunController(Controller):
    """Reads runs."""

    path = "/runs"
    tags = ("Runs",)
    dependencies = {  # noqa: RUF012 - Litestar's own declaration
        "selection": Provide(provide_selection),
        "run_paging": Provide(provide_run_paging),
    }

    @get("/", summary="Search runs", operation_id="listRuns", opt=notes("invalid", headers=("Stale",)))
    async def list_runs(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        selection: Injected[Selection],
        run_paging: Injected[RunPaging],
        *,
        matches: Annotated[bool, QueryParameter(description="Tell where in each run a search found something")] = False,
        min_position: MinPosition = None,
    ) -> Response[Page[RunListItem]]:
        """All filters go together. Newest first unless `sort` and `order` say otherwise.

        With `min_position` the answer includes that position, or has the header `Stale: true`. A search that takes long
        ends with a page that is not full, and a cursor to go on with.
        """
        tenant_id, pool = request.user.tenant_id, services.store.pool
        wanted, searched = await filter_of(pool, tenant_id, selection, selection.statuses)
        fresh = await _is_fresh(services, searched, min_position)
        asked = run_paging.of(wanted)
        if searched:
            found = await find_runs(services.store, tenant_id, asked, searched)
            page = await run_paging.page(pool, tenant_id, found.items, found.resume)
            if matches:
                page = msgspec.structs.replace(page, items=await with_matches(services.store, page.items, searched))
            return marked(page, fresh=fresh)
        listed = await list_runs(pool, tenant_id, asked)
        return marked(await run_paging.page(pool, tenant_id, listed), fresh=fresh)

    @get("/count", summary="Count runs", operation_id="countRuns", opt=notes("invalid", headers=("Stale",)))
    async def count_runs(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        selection: Injected[Selection],
        *,
        min_position: MinPosition = None,
    ) -> Response[RunCount]:
        """How many runs the same filters of the list find."""
        fresh = await _is_fresh(services, search(selection.q, selection.where), min_position)
        found = await count_selected(services.store, request.user.tenant_id, selection, selection.statuses, MAX_COUNT)
        return marked(RunCount(found.count, found.exact), fresh=fresh)

    @get("/{run_id:uuid}", summary="Read a run", operation_id="getRun", opt=notes("busy"))
    async def read(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        runs: Injected[Runs],
        past: Injected[Past],
        *,
        as_of: FromQuery[AsOf | None] = None,
    ) -> RunDetail:
        """Trigger, and all steps with their place, input, output, attempts and timing, or why they were not done.

        Current, but for `replays` and `recovered_by`. With `as_of`, a time or a position of the log, as it was then:
        404 where the run was not there yet.
        """
        tenant_id, pool = request.user.tenant_id, services.store.pool
        replays = await replays_of(pool, tenant_id, run_id)
        recovered = await recovered_by(pool, tenant_id, run_id)
        if as_of is None:
            found = await runs.detail(tenant_id, run_id)
        else:
            point = await past.point(as_of.value)
            async with runs.turn(tenant_id):
                found = await past.run(tenant_id, run_id, point)
            found.as_of = point
            replays = await past.begun(replays, point)
            recovered = recovered if recovered and await past.completed(recovered, point) else None
        found.replays, found.recovered_by = replays, recovered
        return found

    @get("/{run_id:uuid}/value", summary="Read one value of a run", operation_id="getRunValue",
         opt=notes("invalid", "busy"))  # fmt: skip
    async def value(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        runs: Injected[Runs],
        *,
        path: Annotated[str, QueryParameter(max_length=MAX_PATH, description="Such as `steps.send.output.body`")],
    ) -> Response[msgspec.Raw]:
        """A large value that the run detail leaves out. Send the `path` that the detail shows in its place."""
        try:
            place = parse_path(path)
        except ValueError as error:
            raise Invalid(str(error)) from None
        async with runs.turn(request.user.tenant_id):
            found = await run_reading.value(services.store, request.user.tenant_id, run_id, place)
            if isinstance(found, Missing):
                raise NotFound(f"this run has no {path}")
            return Response(msgspec.Raw(msgspec.json.encode(found)))

    @get("/{run_id:uuid}/events", summary="List the events of a run", operation_id="listRunEvents",
         opt=notes("busy"))  # fmt: skip
    async def events(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        paging: Injected[Paging],
        *,
        runs: Injected[Runs],
        past: Injected[Past],
        with_state: Annotated[
            bool, QueryParameter(name="state", description="Also the run as it was after each event")
        ] = False,
    ) -> Page[EventOut]:
        """As recorded, oldest first. Known secrets are redacted; large events and states make short pages."""
        after = paging.before_number or 0
        stored, more = await services.store.stream_page(StreamKind.RUN, run_id, min(after, MAX_VERSION), paging.limit)
        owner = stored or (await services.store.stream_page(StreamKind.RUN, run_id, 0, 1))[0]
        if not owner or owner[0].tenant_id != request.user.tenant_id:
            raise NotFound("no such run")
        states: list[RunDetail] = []
        if with_state and stored:
            async with runs.turn(request.user.tenant_id):
                states = await past.states(request.user.tenant_id, run_id, stored, STATES_BYTES)
            more, stored = more or len(states) < len(stored), stored[: len(states)]
        items = await asyncio.to_thread(lambda: [_event_out(event) for event in stored])
        for item, after_it in zip(items, states, strict=False):
            item.state = after_it
        return Page(items, paging.cursor(UUID(int=stored[-1].version)) if more else None)
