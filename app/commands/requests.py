"""Requests that started no run, and what becomes of them: let in by hand, or held ones released or discarded.

Each has one run or one end, however often and by whomever that is asked for.
"""

from uuid import UUID

from app.commands.zaps import load_existing
from app.intake.live_zaps import LiveZap, live_zap
from app.intake.runs import Arrival, Held, Started, fate_key, items_of, start, start_each
from domain.intake.events import RequestAdmitted, RequestDiscarded, RequestRejected, stream_of
from domain.log.errors import NotFound, NothingToDo, WrongStatus
from domain.log.event import ANY_VERSION, Append, Appended, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.ports import NewId
from domain.registry import decode, decode_metadata
from projections.request_list import get_request
from sql.log.event_store import PgEventStore


class Requests:
    """Requests of all tenants; every method takes whose it must be, and raises NotFound for anybody else's."""

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def admit(self, tenant_id: UUID, zap_id: UUID, request_id: UUID, metadata: Metadata) -> Started:
        """Start the run, of the version that is live now. Raises NotFound and WrongStatus.

        The sender may have been admitted with a repeat in the meantime: then that run is the answer.
        """
        zap = await self.live_zap(tenant_id, zap_id)
        listed = await get_request(self._store.pool, tenant_id, zap_id, request_id)
        if listed is None:
            raise NotFound("no such request")
        (stored,) = await self._store.read_log(listed.position - 1, 1)
        arrival = _arrival(zap, stored, metadata)
        started = await self.start(arrival)
        await self.record(arrival, started, metadata)
        return started

    async def live_zap(self, tenant_id: UUID, zap_id: UUID) -> LiveZap:
        """The zap whose runs are to be started. Raises NotFound and WrongStatus."""
        loaded = await load_existing(self._store, tenant_id, zap_id)
        if not loaded.state.live:
            raise WrongStatus("a request can be let in once the zap is published")
        return live_zap(loaded.state, loaded.tenant_id)

    async def held(self, zap: LiveZap, zap_id: UUID, request_id: UUID, metadata: Metadata) -> Arrival:
        """A held request, as it came. Raises NotFound, and NothingToDo where it was released or discarded."""
        return _arrival(zap, await self._held(zap.owner, zap_id, request_id), metadata)

    async def start(self, arrival: Arrival) -> Started:
        """The request's run, or the first of those that it is split into. Raises NothingToDo."""
        split = arrival.zap.hook.split
        items = items_of(arrival, split) if split is not None else None
        if items is None:
            started = await start(self._store, self._new_id, arrival)
        else:
            each = await start_each(self._store, self._new_id, items)
            started = each if isinstance(each, Held) else each[0]
        if isinstance(started, Held):
            raise NothingToDo("it was discarded, or its delivery is held as another request")
        return started

    async def record(self, arrival: Arrival, started: Started, metadata: Metadata) -> None:
        """Put on record that the request has its run; of a held one that is said once."""
        assert arrival.request_id is not None
        event = RequestAdmitted(zap_id=arrival.zap_id, request_id=arrival.request_id, run_id=started.run_id)
        stream_id = arrival.request_id if arrival.held else stream_of(arrival.zap_id)
        expected = 1 if arrival.held else ANY_VERSION
        await self._store.append(self._append(arrival.zap.owner, stream_id, expected, event, metadata))

    async def discard(self, tenant_id: UUID, zap_id: UUID, request_id: UUID, metadata: Metadata) -> None:
        """Give a held request up. Raises NotFound, and NothingToDo where it was released or discarded."""
        await self._held(tenant_id, zap_id, request_id)
        event = RequestDiscarded(zap_id=zap_id, request_id=request_id)
        # Its run would be stored under the same key.
        key = fate_key(zap_id, request_id)
        if not isinstance(
            await self._store.append(self._append(tenant_id, request_id, 1, event, metadata, dedupe_key=key)), Appended
        ):
            raise NothingToDo("it was released or discarded meanwhile")

    async def _held(self, tenant_id: UUID, zap_id: UUID, request_id: UUID) -> StoredEvent:
        stream = await self._store.read_stream(StreamKind.CORE, request_id)
        first = decode(stream[0].type, stream[0].schema_version, stream[0].data) if stream else None
        if not isinstance(first, RequestRejected) or stream[0].tenant_id != tenant_id or first.zap_id != zap_id:
            raise NotFound("no such request")
        if len(stream) > 1:
            raise NothingToDo("it was released or discarded already")
        return stream[0]

    def _append(
        self,
        tenant_id: UUID,
        stream_id: UUID,
        expected: int,
        event: RequestAdmitted | RequestDiscarded,
        metadata: Metadata,
        *,
        dedupe_key: bytes | None = None,
    ) -> Append:
        return Append(
            kind=StreamKind.CORE,
            stream_id=stream_id,
            expected=expected,
            tenant_id=tenant_id,
            ordering_key=event.zap_id,
            events=(NewEvent(self._new_id(), event),),
            metadata=metadata,
            dedupe_key=dedupe_key,
        )


def _arrival(zap: LiveZap, stored: StoredEvent, metadata: Metadata) -> Arrival:
    """The request of a stored event, as if it came now. Raises WrongStatus."""
    event = decode(stored.type, stored.schema_version, stored.data)
    if not isinstance(event, RequestRejected):
        raise WrongStatus("this is a count of requests, of which none was kept")
    if event.request is None:
        raise WrongStatus("of this request only an excerpt was kept: its sender was not authentic")
    return Arrival(
        zap_id=event.zap_id,
        zap=zap,
        request=event.request,
        delivery_id=event.dedupe_id,
        traceparent=decode_metadata(stored.meta).traceparent,
        actor=metadata.actor,
        request_id=stored.event_id,
        held=event.reason == "held",
    )
