"""The request list: what came to a zap's hook and started no run, newest first; runs are in the run list."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

import asyncpg
import msgspec

from domain.intake.events import (
    IntakeEvent,
    Reason,
    RequestAdmitted,
    RequestDiscarded,
    RequestRejected,
    RequestsCounted,
)
from domain.log.event import StoredEvent
from domain.registry import decode
from projections.engine.projection import Projection
from projections.engine.rows import execute, forgotten_apart, struct_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_queries = Queries("projections/request_list.sql")
FORGET_S = 600.0
"""How long it may take to forget a month's rows."""


class RequestListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected request, or `count` of them until `until` that were only counted.

    `admissible`: it was kept whole, and can be let in. `run_id`: it was. `discarded`: it was held, and will not be.
    `repeats`: run id → how often its delivery came again. `excerpt` is the beginning of the body, without what looks
    like a secret.
    """

    id: UUID
    reason: Reason
    count: int
    at: datetime
    until: datetime | None
    status: int | None
    detail: str
    method: str
    path: str
    content_type: str
    size: int
    excerpt: str
    delivery_id: str
    admissible: bool
    run_id: UUID | None
    discarded: bool
    repeats: dict[str, int]
    position: int


async def list_requests(
    pool: Pool, tenant_id: UUID, zap_id: UUID, *, reason: Reason | None, before: UUID | None, limit: int
) -> list[RequestListItem]:
    """A page of a zap's rejected requests, newest first."""
    rows = await pool.fetch(_queries["page"], tenant_id, zap_id, before, reason, limit)
    return [_item(row) for row in rows]


async def get_request(pool: Pool, tenant_id: UUID, zap_id: UUID, request_id: UUID) -> RequestListItem | None:
    """One of them."""
    row = await pool.fetchrow(_queries["one"], tenant_id, zap_id, request_id)
    return _item(row) if row else None


async def oldest_held(
    pool: Pool, tenant_id: UUID, zap_id: UUID, *, after: UUID | None, before: UUID, limit: int
) -> list[UUID]:
    """The next of a zap's requests that are still held, oldest first, with ids between the two."""
    rows = await pool.fetch(_queries["oldest_held"], tenant_id, zap_id, after, before, limit)
    return [row[0] for row in rows]


async def forget_month(connection: "Connection | PoolConnectionProxy[asyncpg.Record]", month: date) -> None:
    """Take the requests of a month out of the list, in the transaction that drops them from the log."""
    await connection.execute(_queries["forget_month"], month, timeout=FORGET_S)


async def request_of(pool: Pool, tenant_id: UUID, zap_id: UUID, run_id: UUID) -> int | None:
    """The position of the request that became a run after it had been held or refused; None where there was none."""
    found: int | None = await pool.fetchval(_queries["of_run"], tenant_id, zap_id, run_id)
    return found


async def kept_whole(pool: Pool, tenant_id: UUID, zap_id: UUID, *, after: UUID, limit: int) -> list[tuple[UUID, int]]:
    """The next requests of a zap that are kept whole and became no run, with their positions in the log."""
    rows = await pool.fetch(_queries["kept_whole"], tenant_id, zap_id, after, limit)
    return [(row[0], row[1]) for row in rows]


async def held_bytes(pool: Pool, tenant_id: UUID) -> dict[UUID, int]:
    """How many bytes of the log a tenant's zaps hold, by zap."""
    return {row[0]: row[1] for row in await pool.fetch(_queries["held_bytes"], tenant_id)}


async def count_held(pool: Pool, tenant_id: UUID, zap_id: UUID, limit: int) -> int:
    """How many of a zap's requests are still held, counted up to a limit."""
    count: int = await pool.fetchval(_queries["count_held"], tenant_id, zap_id, limit)
    return count


def _item(row: "asyncpg.Record") -> RequestListItem:
    return struct_of(RequestListItem, (*row[:-2], msgspec.json.decode(row[-2], type=dict[str, int]), row[-1]))


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    rows: list[tuple[object, ...]] = []
    admitted: list[tuple[object, ...]] = []
    discarded: list[tuple[object, ...]] = []
    happened, forgotten = forgotten_apart(events)
    for stored in happened:
        event = cast(IntakeEvent, decode(stored.type, stored.schema_version, stored.data))
        match event:
            case RequestRejected():
                rows.append(_rejected(stored, event))
            case RequestsCounted():
                rows.append(_counted(stored, event))
            case RequestAdmitted():
                admitted.append((stored.tenant_id, event.zap_id, event.request_id, event.run_id))
            case RequestDiscarded():
                discarded.append((stored.tenant_id, event.zap_id, event.request_id))
    await execute(connection, _queries["insert"], sorted(rows, key=lambda row: cast(tuple[UUID], row[:3])))
    await execute(connection, _queries["admit"], admitted)
    await execute(connection, _queries["discard"], discarded)
    gone = [(stored.tenant_id, event.zap_id, event.run_id) for stored, event in forgotten]
    await execute(connection, _queries["forget"], gone)


def _rejected(stored: StoredEvent, event: RequestRejected) -> tuple[object, ...]:
    texts = (event.detail, event.method, event.path, event.content_type)
    return (
        stored.tenant_id, event.zap_id, stored.event_id, event.reason, 1, stored.recorded_at, None, event.status,
        *map(_text, texts), event.size, _text(event.excerpt), _text(event.dedupe_id), event.request is not None, None,
        False, "{}", stored.position, len(stored.data),
    )  # fmt: skip


def _counted(stored: StoredEvent, event: RequestsCounted) -> tuple[object, ...]:
    return (
        stored.tenant_id, event.zap_id, stored.event_id, event.reason, event.count, event.since, event.until, None,
        "", "", "", "", 0, "", "", False, None, False, msgspec.json.encode(event.repeats).decode(), stored.position,
        len(stored.data),
    )  # fmt: skip


def _text(text: str) -> str:
    """The text without characters that Postgres cannot store."""
    return text.replace("\0", "\ufffd")


REQUEST_LIST = Projection(
    name="request_list",
    definition=5,
    handles=frozenset(
        {
            "zap.request.rejected",
            "zap.request.counted",
            "zap.request.admitted",
            "zap.request.discarded",
            "run.forgotten",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
