"""Runs that somebody starts by hand."""

from hashlib import sha256
from uuid import UUID

import msgspec

from app.intake.refusals import LoopDetected
from consumers.rendering.rendering import Rendering
from domain.aggregates import ZAP
from domain.hook.hops import MAX_DEPTH, OWN_PER_MINUTE, Hop, Hops, own_runs
from domain.language.template import TooMuchWork
from domain.log.errors import Invalid, WrongStatus
from domain.log.event import Appended, Duplicate, Metadata
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.log.stream import load_of
from domain.run.events import RunRequested
from domain.run.request import called_request, request_append
from domain.values.json import Json
from domain.zap.definition import Definition
from domain.zap.zap import existing
from sql.tables.rate_limits import RateLimits

MANUAL = frozenset({"manual"})


class ManualRun(msgspec.Struct, frozen=True):
    """The run; for a repeat with the same `idempotency` it is the first one."""

    run_id: UUID
    position: int


class ManualRuns:
    """Starts runs of enabled zaps, whatever their trigger is."""

    def __init__(self, store: EventStore, rendering: Rendering, new_id: NewId, hops: Hops, limits: RateLimits) -> None:
        self._store = store
        self._rendering = rendering
        self._new_id = new_id
        self._hops = hops
        self._limits = limits

    async def start(
        self, tenant_id: UUID, zap_id: UUID, payload: Json, metadata: Metadata, *, idempotency: str, depth_header: str
    ) -> ManualRun:
        """A run with this input as `trigger.body`. Raises NotFound, WrongStatus, Invalid and LoopDetected."""
        hop = self._hops.read(depth_header)
        if hop is not None:
            await self._require_no_loop(hop, zap_id)
        zap = existing(await load_of(self._store, ZAP, zap_id, tenant_id)).state
        if zap.status != "enabled":
            raise WrongStatus(f"the zap is {zap.status}: publish or enable it first")
        definition = zap.version(zap.live).definition
        await self._require_fitting(tenant_id, definition, payload)
        append = request_append(
            RunRequested(
                zap_id=zap_id,
                zap_version=zap.live,
                source="manual",
                request=called_request(payload, definition, MANUAL),
                dedupe_id=idempotency,
                depth=hop.depth if hop else 0,
                via=hop.zaps if hop else (),
            ),
            definition.behaviour,
            tenant_id=tenant_id,
            new_id=self._new_id,
            metadata=metadata,
            dedupe_key=sha256(zap_id.bytes + b"manual" + idempotency.encode()).digest() if idempotency else None,
        )
        match await self._store.append(append):
            case Appended(position=position):
                return ManualRun(append.stream_id, position)
            case Duplicate() as first:
                return ManualRun(first.stream_id, first.position)
            case _:
                raise StoreUnavailable("the new run's id was taken")

    async def _require_fitting(self, tenant_id: UUID, definition: Definition, payload: Json) -> None:
        """Raises Invalid where the trigger describes its input, and this is another one."""
        by_hand = definition.start_of(MANUAL)
        schema = by_hand.config.get("input_schema") if by_hand else None
        if not isinstance(schema, dict):
            return
        try:
            found = await self._rendering.check(tenant_id, schema, payload)
        except TooMuchWork as error:
            raise Invalid(f"payload: it can not be held against input_schema: {error.message}") from None
        if found:
            errors: list[Json] = [
                {
                    "path": f"payload{at.replace('/', '.')}",
                    "pointer": f"/payload{at}",
                    "code": "invalid",
                    "reason": reason,
                }
                for at, reason in found
            ]
            raise Invalid(f"payload{found[0][0].replace('/', '.')}: {found[0][1]}", errors=errors)

    async def _require_no_loop(self, hop: Hop, zap_id: UUID) -> None:
        if hop.depth > MAX_DEPTH:
            raise LoopDetected(f"{MAX_DEPTH} runs have started one another before this request, so it is refused")
        if zap_id in hop.zaps and await self._limits.take(own_runs(zap_id), OWN_PER_MINUTE) is not None:
            raise LoopDetected(f"this zap's own runs start it more than {OWN_PER_MINUTE} times a minute")
