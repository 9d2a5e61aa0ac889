"""Rejected requests that are let in after all: each has one run, however often that is asked for."""

from uuid import UUID

from app.auth import Principal
from app.intake_runs import Arrival, Started, items_of, start, start_each
from app.live_zaps import LiveZaps
from app.zaps import Zaps
from domain.errors import NotFound, WrongStatus
from domain.event import ANY_VERSION, Append, NewEvent, StreamKind
from domain.intake import RequestAdmitted, RequestRejected, stream_of
from domain.ports import NewId
from domain.registry import decode
from projections.request_list import get_request
from sql.event_store import PgEventStore


class Requests:
    """Lets in what the intake kept whole."""

    def __init__(self, store: PgEventStore, zaps: Zaps, live_zaps: LiveZaps, new_id: NewId) -> None:
        self._store = store
        self._zaps = zaps
        self._live_zaps = live_zaps
        self._new_id = new_id

    async def admit(self, principal: Principal, zap_id: UUID, request_id: UUID) -> Started:
        """Start the run, of the version that is live now. Raises NotFound and WrongStatus.

        The sender may have been admitted with a repeat in the meantime: then that run is the answer.
        """
        await self._zaps.load(principal.tenant_id, zap_id)
        zap = await self._live_zaps.get(zap_id)
        if zap is None or not zap.version:
            raise WrongStatus("a request can be let in once the zap is published")
        rejected = await self._find(principal.tenant_id, zap_id, request_id)
        if rejected.request is None:
            raise WrongStatus("of this request only an excerpt was kept: its sender was not authentic")
        arrival = Arrival(
            zap_id=zap_id,
            zap=zap,
            request=rejected.request,
            delivery_id=rejected.dedupe_id,
            actor=principal.metadata.actor,
            request_id=request_id,
        )
        items = items_of(arrival, zap.hook.split) if zap.hook.split is not None else None
        if items is None:
            started = await start(self._store, self._new_id, arrival)
        else:
            started = (await start_each(self._store, self._new_id, items))[0]
        await self._record(principal, RequestAdmitted(zap_id=zap_id, request_id=request_id, run_id=started.run_id))
        return started

    async def _find(self, tenant_id: UUID, zap_id: UUID, request_id: UUID) -> RequestRejected:
        listed = await get_request(self._store.pool, tenant_id, zap_id, request_id)
        if listed is None:
            raise NotFound("no such request")
        (stored,) = await self._store.read_log(listed.position - 1, 1)
        event = decode(stored.type, stored.schema_version, stored.data)
        if not isinstance(event, RequestRejected):
            raise WrongStatus("this is a count of requests, of which none was kept")
        return event

    async def _record(self, principal: Principal, admitted: RequestAdmitted) -> None:
        await self._store.append(
            Append(
                kind=StreamKind.CORE,
                stream_id=stream_of(admitted.zap_id),
                expected=ANY_VERSION,
                tenant_id=principal.tenant_id,
                ordering_key=admitted.zap_id,
                events=(NewEvent(self._new_id(), admitted),),
                metadata=principal.metadata,
            )
        )
