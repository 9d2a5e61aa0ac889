"""Commands on requests that started no run: admit one by hand. Jobs release or discard held requests."""

from uuid import UUID

from domain.aggregates import REQUESTS, ZAP
from domain.intake.admission import LoadedRequest, Started, admission_stream, admit, arrival_of, record_admitted
from domain.intake.arrival import Arrival, live_zap
from domain.intake.events import RequestAdmitted
from domain.log.errors import NotFound, WrongStatus
from domain.log.event import Metadata, StreamKind, decode_metadata
from domain.log.ports import NewId
from domain.log.stream import fold, load_of
from domain.registry import decode
from domain.zap.zap import existing
from projections.request_list import RequestListItem, get_request
from sql.files.store import hand_over
from sql.log.event_store import PgEventStore


class Requests:
    """Requests of all tenants. Every method takes the tenant, and raises NotFound for a request of another one."""

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def admit(self, tenant_id: UUID, zap_id: UUID, request_id: UUID, metadata: Metadata) -> Started:
        """Start the run, of the version that is live now. Raises NotFound and WrongStatus.

        The sender may have been admitted with a repeat in the meantime: then that run is the answer.
        """
        zap = live_zap(existing(await load_of(self._store, ZAP, zap_id, tenant_id)))
        listed, kept = await self.kept(tenant_id, zap_id, request_id)
        arrival = arrival_of(kept, zap, traceparent=decode_metadata(kept.meta).traceparent, actor=metadata.actor)
        before = await self._admitted(arrival, listed.run_id)
        if before is not None:
            return before
        started = await admit(self._store, self._new_id, arrival)
        await record_admitted(self._store, self._new_id, arrival, started, metadata)
        if arrival.request.kept is not None:
            await hand_over(self._store.pool, request_id, started.run_id)
        return started

    async def kept(self, tenant_id: UUID, zap_id: UUID, request_id: UUID) -> tuple[RequestListItem, LoadedRequest]:
        """A request as it is listed, and as the log keeps it. Raises NotFound and WrongStatus."""
        listed = await get_request(self._store.pool, tenant_id, zap_id, request_id)
        if listed is None:
            raise NotFound("no such request")
        (stored,) = await self._store.read_log(listed.position - 1, 1) or (None,)
        if stored is None or stored.event_id != request_id:
            raise NotFound("the request was kept for as long as such requests are kept, and is gone")
        kept = fold(REQUESTS[StreamKind(stored.kind)], [stored])
        if kept is None:
            raise WrongStatus("this entry only counts requests; none of them was kept")
        return listed, kept

    async def _admitted(self, arrival: Arrival, listed_run: UUID | None) -> Started | None:
        """The run of an admitted request, however long ago that was: deduplication forgets its key after a time.

        `listed_run` is the run that the read model knows of.
        """
        for stored in await self._store.read_stream(arrival.kind, admission_stream(arrival)):
            event = decode(stored.type, stored.schema_version, stored.data)
            if isinstance(event, RequestAdmitted):
                return Started(event.run_id, stored.position, duplicate=True)
        if listed_run is None or arrival.held:
            return None
        requested = await self._store.read_stream(StreamKind.RUN, listed_run)
        return Started(listed_run, requested[0].position, duplicate=True) if requested else None
