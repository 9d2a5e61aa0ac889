"""Takes the payloads of a run out of the log, so that chain and tree hold: hashes stay, and it is on record."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

import asyncpg
import msgspec

from domain.erasure.forgetting import RunForgotten, forgotten, forgotten_request
from domain.log.event import Metadata, StoredEvent, StreamKind, encode_metadata
from domain.log.ports import NewId, StoreUnavailable
from domain.registry import encode, event_type
from sql.log.hashing import event_hash
from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/forgetting.sql")


class AlreadyForgotten(StoreUnavailable):
    """Somebody else has forgotten a part of it meanwhile: who looks again sees that."""


async def is_forgotten(pool: Pool, position: int) -> bool:
    """Whether the payload of the event there is gone."""
    return bool(await pool.fetchval(_queries["is_forgotten"], position))


async def forgotten_among(pool: Pool, positions: Sequence[int]) -> set[int]:
    """The positions of those events whose payloads are gone."""
    return {row[0] for row in await pool.fetch(_queries["forgotten_among"], positions)}


async def forget(
    pool: Pool,
    new_id: NewId,
    events: Sequence[StoredEvent],
    zap_id: UUID,
    metadata: Metadata,
    *,
    request: StoredEvent | None = None,
) -> int:
    """Forget a run, all of whose events are given, and the request that became it after it was held or refused.

    Gives the position of the event that says so.

    Raises StoreUnavailable, also where the run has other events by now.
    """
    first, everything = events[0], [*([request] if request else []), *events]
    payloads = [forgotten(event.data) for event in events]
    if request:
        payloads.insert(0, forgotten_request(request.data))
    digests = [digest_of(event, data) for event, data in zip(everything, payloads, strict=True)]
    run = Of(first.stream_id, zap_id, first.tenant_id, first.ordering_key)
    positions = [event.position for event in everything]
    told = _told(new_id, run, positions, digests, metadata)
    return await _stored(pool, "forget", run.run_id, *told, positions, payloads)


class Of(msgspec.Struct, frozen=True):
    """The run whose payloads are forgotten."""

    run_id: UUID
    zap_id: UUID
    tenant_id: UUID
    ordering_key: UUID


async def forget_dropped(
    pool: Pool, new_id: NewId, run: Of, stays: Sequence[tuple[int, bytes]], metadata: Metadata
) -> int:
    """Record that of a run that has left the log nothing but this comes back, from an archive.

    `stays`: of each event its position, and the digest of what stays of it (`digest_of`). Raises StoreUnavailable, also
    where some of them are not dropped.
    """
    positions, digests = [one[0] for one in stays], [one[1] for one in stays]
    told = _told(new_id, run, positions, digests, metadata)
    return await _stored(pool, "forget_dropped", *told, positions, digests)


async def forget_request(
    pool: Pool, new_id: NewId, run: Of, request: StoredEvent, metadata: Metadata, *, of_request: bool = False
) -> int:
    """Forget only the request that became a run after it was held or refused; with `of_request` one that became none.

    Raises StoreUnavailable.
    """
    stays, positions = forgotten_request(request.data), [request.position]
    told = _told(new_id, run, positions, [digest_of(request, stays)], metadata, of_request=of_request)
    return await _stored(pool, "forget", run.run_id, *told, positions, [stays])


async def forgotten_of(pool: Pool, positions: Sequence[int]) -> tuple[int, int]:
    """How many of the events at some positions were forgotten, and how many are in the log."""
    row = await pool.fetchrow(_queries["forgotten_of"], positions)
    assert row is not None, "aggregates have one row"
    return row[0], row[1]


def _told(
    new_id: NewId,
    run: Of,
    positions: Sequence[int],
    digests: Sequence[bytes],
    metadata: Metadata,
    *,
    of_request: bool = False,
) -> tuple[object, ...]:
    """The event that says so, as es.append takes it: stream, tenant, key, id, type, metadata, payload and hash."""
    whole = sha256()
    for position, digest in zip(positions, digests, strict=True):
        whole.update(position.to_bytes(8, "big") + digest)
    told = RunForgotten(
        run_id=run.run_id, zap_id=run.zap_id, events=len(positions), digest=whole.hexdigest(), of_request=of_request
    )
    kind, stream_id, event_id = event_type(told), new_id(), new_id()
    data, meta = encode(told), encode_metadata(msgspec.structs.replace(metadata, correlation_id=run.run_id))
    hashed = event_hash(
        kind=StreamKind.CORE,
        stream_id=stream_id,
        tenant_id=run.tenant_id,
        ordering_key=run.ordering_key,
        event_id=event_id,
        type_=kind.name,
        schema_version=kind.schema_version,
        meta=meta,
        data=data,
    )
    return stream_id, run.tenant_id, run.ordering_key, event_id, kind.name, kind.schema_version, meta, data, hashed


async def _stored(pool: Pool, query: str, *values: object) -> int:
    try:
        position: int = await pool.fetchval(_queries[query], *values)
    except asyncpg.UniqueViolationError as error:
        raise AlreadyForgotten("others have forgotten a part of the run meanwhile") from error
    except (*CONNECTION_ERRORS, asyncpg.TransactionRollbackError) as error:
        raise StoreUnavailable(f"the run could not be forgotten: {error!r}") from error
    return position


def digest_of(event: StoredEvent, data: bytes) -> bytes:
    """The hash of an event of which these bytes stay."""
    return event_hash(
        kind=event.kind,
        stream_id=event.stream_id,
        tenant_id=event.tenant_id,
        ordering_key=event.ordering_key,
        event_id=event.event_id,
        type_=event.type,
        schema_version=event.schema_version,
        meta=event.meta,
        data=data,
    )
