"""Takes the payloads of a run out of the log, so that chain and tree hold: hashes stay, and it is on record."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

import asyncpg
import msgspec

from domain.erasure.forgetting import RunForgotten, forgotten, forgotten_request
from domain.log.event import Metadata, StoredEvent, StreamKind
from domain.log.ports import NewId, StoreUnavailable
from domain.registry import encode, encode_metadata, event_type
from sql.log.hashing import event_hash
from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/forgetting.sql")


async def is_forgotten(pool: Pool, position: int) -> bool:
    """Whether the payload of the event there is gone."""
    return bool(await pool.fetchval(_queries["is_forgotten"], position))


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
    run_id, digest_of_all = first.stream_id, _digest(everything, payloads)
    told = RunForgotten(run_id=run_id, zap_id=zap_id, events=len(everything), digest=digest_of_all)
    kind, stream_id = event_type(told), new_id()
    data, meta = encode(told), encode_metadata(msgspec.structs.replace(metadata, correlation_id=run_id))
    event_id = new_id()
    digest = event_hash(
        kind=StreamKind.CORE,
        stream_id=stream_id,
        tenant_id=first.tenant_id,
        ordering_key=first.ordering_key,
        event_id=event_id,
        type_=kind.name,
        schema_version=kind.schema_version,
        meta=meta,
        data=data,
    )
    try:
        position: int = await pool.fetchval(
            _queries["forget"], run_id, stream_id, first.tenant_id, first.ordering_key, event_id, kind.name,
            kind.schema_version, meta, data, digest, [event.position for event in everything], payloads,
        )  # fmt: skip
    except (*CONNECTION_ERRORS, asyncpg.SerializationError) as error:
        raise StoreUnavailable(f"the run could not be forgotten: {error!r}") from error
    return position


def _digest(events: Sequence[StoredEvent], payloads: Sequence[bytes]) -> str:
    whole = sha256()
    for event, data in zip(events, payloads, strict=True):
        whole.update(event.position.to_bytes(8, "big") + _stays(event, data))
    return whole.hexdigest()


def _stays(event: StoredEvent, data: bytes) -> bytes:
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
