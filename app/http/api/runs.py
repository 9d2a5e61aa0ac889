"""Runs: /api/v1/runs."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.runs import Runs
from app.http.inputs import Injected, Moment
from app.http.openapi.notes import notes
from app.http.paging import MinPosition, Page, Paging, encode_cursor, is_fresh, marked
from app.http.services import Services
from domain.job.job import CODE
from domain.log.errors import Invalid, NotFound
from domain.log.event import StoredEvent, StreamKind
from domain.run.events import Source
from domain.run.state import RunStatus
from domain.values.json import JsonObject
from domain.values.path import MAX_PATH, Missing, parse_path
from domain.values.redaction import shown, shown_fields
from projections import run_reading
from projections.recoveries import recovered_by
from projections.run_detail import RunDetail
from projections.run_list import RunFilter, RunListItem, list_runs, replays_of

MAX_VERSION = 2**31 - 1
"""The most events of a stream."""
Code = Annotated[
    str | None, QueryParameter(min_length=1, max_length=200, pattern=CODE, description="Of the error that runs show")
]


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event."""

    id: UUID
    position: int
    version: int
    type: str
    schema_version: int
    recorded_at: datetime
    meta: msgspec.Raw
    data: msgspec.Raw


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


class RunController(Controller):
    """Reads runs."""

    path = "/runs"
    tags = ("Runs",)

    @get("/", summary="Search runs", operation_id="listRuns", opt=notes(headers=("Stale",)))
    async def list_runs(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        paging: Injected[Paging],
        *,
        zap_id: FromQuery[UUID | None] = None,
        status: FromQuery[RunStatus | None] = None,
        source: FromQuery[Source | None] = None,
        from_: Annotated[Moment | None, QueryParameter(name="from", description="Inclusive")] = None,
        to: Annotated[Moment | None, QueryParameter(description="Exclusive")] = None,
        step_id: Code = None,
        error_code: Code = None,
        recovered: Annotated[
            bool | None, QueryParameter(description="Only runs of which a replay has completed, or only the others")
        ] = None,
        parent: Annotated[
            UUID | None,
            QueryParameter(
                description="Only children of this run, also items of loops, which are not listed without it"
            ),
        ] = None,
        min_position: MinPosition = None,
    ) -> Response[Page[RunListItem]]:
        """Newest first. With `min_position` the answer includes that position, or has the header `Stale: true`."""
        pool = services.store.pool
        fresh = await is_fresh(pool, "run_list", min_position)
        wanted = RunFilter(
            zap_id=zap_id,
            status=status,
            source=source,
            from_=from_.at if from_ else None,
            to=to.at if to else None,
            step_id=step_id,
            error_code=error_code,
            recovered=recovered,
            parent=parent,
            before=paging.before,
            limit=paging.enough,
        )
        items = await list_runs(pool, request.user.tenant_id, wanted)
        return marked(paging.page(items, lambda item: item.id), fresh=fresh)

    @get("/{run_id:uuid}", summary="Read a run", operation_id="getRun")
    async def read(
        self, run_id: FromPath[UUID], request: AuthedRequest, services: Injected[Services], runs: Injected[Runs]
    ) -> RunDetail:
        """Trigger, and all steps with their place, input, output, attempts and timing, or why they were not done.

        Current, but for `replays` and `recovered_by`.
        """
        found = await runs.detail(request.user.tenant_id, run_id)
        found.trigger = shown_fields(found.trigger)
        for step in found.steps:
            step.input, step.output = shown(step.input), shown(step.output)
        pool = services.store.pool
        found.replays = await replays_of(pool, request.user.tenant_id, run_id)
        found.recovered_by = await recovered_by(pool, request.user.tenant_id, run_id)
        return found

    @get("/{run_id:uuid}/value", summary="Read one value of a run", operation_id="getRunValue", opt=notes("invalid"))
    async def value(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        *,
        path: Annotated[str, QueryParameter(max_length=MAX_PATH, description="Such as `steps.send.output.body`")],
    ) -> Response[msgspec.Raw]:
        """A large value that the run detail leaves out. Send the `path` that the detail shows in its place."""
        try:
            found = await run_reading.value(services.store, request.user.tenant_id, run_id, parse_path(path))
        except ValueError as error:
            raise Invalid(str(error)) from None
        if isinstance(found, Missing):
            raise NotFound(f"this run has no {path}")
        return Response(msgspec.Raw(msgspec.json.encode(found)))

    @get("/{run_id:uuid}/events", summary="List the events of a run", operation_id="listRunEvents")
    async def events(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        paging: Injected[Paging],
    ) -> Page[EventOut]:
        """All events as recorded, oldest first. Known secrets are redacted; large events make short pages."""
        after = paging.before_number or 0
        stored, more = await services.store.stream_page(StreamKind.RUN, run_id, min(after, MAX_VERSION), paging.limit)
        owner = stored or (await services.store.stream_page(StreamKind.RUN, run_id, 0, 1))[0]
        if not owner or owner[0].tenant_id != request.user.tenant_id:
            raise NotFound("no such run")
        items = await asyncio.to_thread(lambda: [_event_out(event) for event in stored])
        return Page(items, encode_cursor(UUID(int=stored[-1].version)) if more else None)
