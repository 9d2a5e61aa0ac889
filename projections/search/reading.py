"""Reads what a run can be found by from its events: what started it, what its steps gave, what went wrong."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from domain.log.event import StoredEvent, StreamKind
from domain.values.json import Json, JsonObject
from domain.values.redaction import shown, shown_fields
from projections.run_detail import fold
from projections.step_detail import StepDetail
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

_queries = Queries("projections/run_search.sql")
FIRST = "zap.run.requested"


class First(msgspec.Struct, frozen=True):
    """Of the first event of a run, what read models look for before they read all of it."""

    zap_id: UUID
    zap_version: int
    source: str


first_of = msgspec.json.Decoder(First).decode
"""From the payload of that event. Raises msgspec.DecodeError."""


async def streams_of(
    source: "Connection | PoolConnectionProxy[asyncpg.Record] | Pool", run_ids: Sequence[UUID], until: int
) -> dict[UUID, list[StoredEvent]]:
    """Runs up to a position, each in order; of each the first mebibyte, and none whose request is above 256 KiB."""
    streams: dict[UUID, list[StoredEvent]] = {}
    for row in await source.fetch(_queries["streams"], run_ids, StreamKind.RUN, until):
        event = StoredEvent(*row)
        streams.setdefault(event.stream_id, []).append(event)
    return {run_id: events for run_id, events in streams.items() if events[0].type == FIRST}


def values_of(events: Sequence[StoredEvent]) -> JsonObject:
    """The values of a run by the paths that a search gives them; secrets are blotted out as where runs are shown."""
    detail = fold(events)
    values: JsonObject = {"trigger": shown_fields(detail.trigger)}
    values["steps"] = {step.id: _step(step) for step in detail.steps}
    if detail.error is not None:
        values["error"] = _error(detail.error.code, detail.error.message, detail.error.step_id)
    return values


def _step(step: StepDetail) -> JsonObject:
    found: JsonObject = {} if step.output is None else {"output": shown(step.output)}
    return found if step.error is None else found | {"error": _error(step.error.code, step.error.message)}


def _error(code: str, message: str, step_id: str | None = None) -> JsonObject:
    error: JsonObject = {"code": code, "message": message}
    return error | ({"step_id": step_id} if step_id else {})


def says(values: Mapping[str, Json], phrase: str) -> bool:
    """Whether a text or number in the values has a phrase, which is in lower case."""
    return any(_says(value, phrase) for value in values.values())


def _says(value: Json, phrase: str) -> bool:
    match value:
        case dict():
            return any(_says(inner, phrase) for inner in value.values())
        case list():
            return any(_says(inner, phrase) for inner in value)
        case str():
            return phrase in " ".join(value.casefold().split())
        case bool() | None:
            return False
        case _:
            return phrase in repr(value)
