"""What a draft is tested with: a run that was, a body that could come, or a request that started no run."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from app.commands.requests import Requests
from consumers.rehearsal.answers import recorded
from consumers.rehearsal.past import Past
from domain.aggregates import RUN, ZAP
from domain.connector.outcome import Outcome
from domain.hook.request import Request, json_request
from domain.log.errors import WrongStatus
from domain.log.ports import EventStore, NewId
from domain.log.stream import load_of
from domain.run.events import Source
from domain.run.state import ActiveRun, EndedRun
from domain.values.json import Json
from domain.zap.definition import Definition
from sql.log.event_store import PgEventStore


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Of a run also what came of its steps, and the version that they belong to."""

    request: Request
    source: Source = "manual"
    position: int | None = None
    run_id: UUID | None = None
    run: ActiveRun | EndedRun | None = None
    definition: Definition | None = None

    def recorded(self, draft: Definition) -> Mapping[str, Outcome]:
        """What is on record of those steps of a draft that the sample's version has, too."""
        if self.run is None or self.definition is None:
            return {}
        return recorded(self.run, self.definition, draft)

    def past(self, store: EventStore, now: UUID, draft: Definition) -> Past | None:
        """The same of the items of its loops, looked up as they come in the rehearsal in which `now` stands for it."""
        if self.run_id is None or self.definition is None:
            return None
        return Past(store, now, self.run_id, self.definition, draft)


class Samples:
    """Samples of all tenants. Every method takes the tenant, and raises NotFound for what is somebody else's."""

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._requests = Requests(store, new_id)

    async def of_run(self, tenant_id: UUID, run_id: UUID) -> Sample:
        """A run, with what it has on record by now. Raises WrongStatus for an item of a loop, which began midway."""
        run = await load_of(self._store, RUN, run_id, tenant_id)
        requested = run.state.requested
        if requested.source == "item" and requested.parent is not None:
            raise WrongStatus(f"this run is an item of a loop: take the run of the loop, {requested.parent.run_id}")
        zap = await load_of(self._store, ZAP, requested.zap_id, tenant_id)
        return Sample(
            request=requested.request,
            source=requested.source,
            position=run.last.position,
            run_id=run_id,
            run=run.state,
            definition=zap.state.version(requested.zap_version).definition,
        )

    def of_payload(self, payload: Json) -> Sample:
        """A request with this JSON body."""
        return Sample(request=json_request(payload))

    async def of_request(self, tenant_id: UUID, zap_id: UUID, request_id: UUID) -> Sample:
        """A request that the zap has not taken. Raises WrongStatus where no more than an excerpt was kept."""
        listed, kept = await self._requests.kept(tenant_id, zap_id, request_id)
        request = kept.state.rejected.request
        if request is None:
            raise WrongStatus("only an excerpt of this request was kept, because its sender was not authentic")
        return Sample(request=request, source="webhook", position=listed.position)
