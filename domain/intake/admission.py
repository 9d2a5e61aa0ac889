"""Admission of requests: one run each, or one per item of a list; at once, or later where they are held.

Each request gets one run or is discarded once, however often and by whomever that is requested.
"""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.intake.arrival import Arrival, LiveZap, decision_key, items_of, key_of, require_few
from domain.intake.events import IntakeEvent, RequestAdmitted, RequestDiscarded, RequestRejected, admission_of
from domain.log.errors import NotFound, NothingToDo, WrongStatus
from domain.log.event import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    Duplicate,
    Metadata,
    NewEvent,
    StreamKind,
)
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.log.stream import Loaded, facts
from domain.run.events import RunRequested
from domain.run.request import request_append

WAVE = 100
"""Runs of one request that are appended at a time: all tenants share the queue to the log."""


class Started(msgspec.Struct, frozen=True, gc=False):
    """The run of a request, and whether an earlier delivery of the request started it."""

    run_id: UUID
    position: int
    duplicate: bool = False


class Held(msgspec.Struct, frozen=True, gc=False):
    """A held request, and whether it is an earlier delivery of the same request."""

    request_id: UUID
    position: int
    duplicate: bool = False


async def start(store: EventStore, new_id: NewId, arrival: Arrival) -> Started | Held:
    """Commit the run. Held: the delivery is held already, or was discarded. Raises StoreUnavailable."""
    append = run_append(new_id, arrival)
    return await _outcome(store, arrival, append.stream_id, await store.append(append))


async def start_each(store: EventStore, new_id: NewId, items: Sequence[Arrival]) -> list[Started] | Held:
    """Commit a run per item. After a failure some may be stored: a repeat of the delivery starts only the others.

    Raises StoreUnavailable and TooManyItems.
    """
    require_few(items)
    first: list[Started] = []
    if items[0].zap.ever_held:
        # The first item stands for the request: where it is held, no run starts.
        started = await start(store, new_id, items[0])
        if isinstance(started, Held):
            return started
        first = [started]
    for wave in range(len(first), len(items), WAVE):
        others = items[wave : wave + WAVE]
        appends = [run_append(new_id, item) for item in others]
        results = zip(others, appends, await store.append_each(appends), strict=True)
        outcomes = [await _outcome(store, item, append.stream_id, result) for item, append, result in results]
        first += [one for one in outcomes if isinstance(one, Started)]
    return first


async def hold(
    store: EventStore, new_id: NewId, arrival: Arrival, items: Sequence[Arrival] | None, rejected: RequestRejected
) -> Held | Started:
    """Commit the request to be released later; Started: an earlier delivery of it has its run.

    `items` is what it will be split into. Each request has a stream of its own, so that many can be held at once, and
    each is released or discarded once. Raises StoreUnavailable and TooManyItems.
    """
    require_few(items or ())
    request_id = arrival.id or new_id()
    append = facts(
        arrival.zap_id,
        arrival.zap.owner,
        NewEvent(request_id, rejected),
        metadata=Metadata(actor=arrival.actor, traceparent=arrival.traceparent),
        kind=StreamKind.REQUEST,
        stream_id=request_id,
        expected=0,
        dedupe_key=key_of(items[0] if items else arrival),
        dedupe_window_s=arrival.zap.hook.dedupe_window_s,
    )
    result = await store.append(append)
    if isinstance(result, Appended):
        return Held(request_id, result.position)
    return await _outcome(store, arrival, request_id, result)


def run_append(new_id: NewId, arrival: Arrival) -> Append:
    """The command that starts a run."""
    return request_append(
        RunRequested(
            zap_id=arrival.zap_id,
            zap_version=arrival.zap.version,
            source="webhook",
            request=arrival.request,
            dedupe_id=arrival.delivery_id,
            depth=arrival.hop.depth if arrival.hop else 0,
            via=arrival.hop.zaps if arrival.hop else (),
        ),
        arrival.zap.settings,
        tenant_id=arrival.zap.owner,
        new_id=new_id,
        metadata=Metadata(actor=arrival.actor, causation_id=arrival.request_id, traceparent=arrival.traceparent),
        dedupe_key=key_of(arrival),
        dedupe_window_s=arrival.zap.hook.dedupe_window_s,
        run_id=arrival.id,
    )


async def _outcome(store: EventStore, arrival: Arrival, stream_id: UUID, result: AppendResult) -> Started | Held:
    match result:
        case Appended():
            return Started(stream_id, result.position)
        case Duplicate():
            if arrival.zap.ever_held and await _is_request(store, result.stream_id):
                return Held(result.stream_id, result.position, duplicate=True)
            return Started(result.stream_id, result.position, duplicate=True)
        case Conflict():
            raise StoreUnavailable("the stream of a new id was not empty")


async def _is_request(store: EventStore, stream_id: UUID) -> bool:
    """Whether it is the stream of a request, not of a run."""
    for kind in (StreamKind.REQUEST, StreamKind.CORE):
        if await store.read_stream(kind, stream_id):
            return True
    return False


class KeptRequest(msgspec.Struct, frozen=True):
    """A recorded request that started no run when it arrived; `settled` once it has a run or was discarded."""

    rejected: RequestRejected
    settled: bool = False


LoadedRequest: TypeAlias = Loaded[KeptRequest, IntakeEvent]


def evolve(state: KeptRequest | None, event: IntakeEvent) -> KeptRequest | None:
    """The state after the event. Total: never raises."""
    if isinstance(event, RequestRejected):
        return KeptRequest(event)
    return state and KeptRequest(state.rejected, settled=True)


def require_held(kept: LoadedRequest, zap_id: UUID) -> LoadedRequest:
    """The request, which its zap still holds. Raises NotFound, and NothingToDo where it was released or discarded."""
    if kept.state.rejected.zap_id != zap_id:
        raise NotFound("no such request")
    if kept.state.settled:
        raise NothingToDo("the request was already released or discarded")
    return kept


def arrival_of(kept: LoadedRequest, zap: LiveZap, *, traceparent: str, actor: str) -> Arrival:
    """A recorded request as an arrival. Raises WrongStatus."""
    rejected = kept.state.rejected
    if rejected.request is None:
        raise WrongStatus("only an excerpt of this request was kept, because its sender was not authentic")
    return Arrival(
        zap_id=rejected.zap_id,
        zap=zap,
        request=rejected.request,
        delivery_id=rejected.dedupe_id,
        traceparent=traceparent,
        actor=actor,
        request_id=kept.first.event_id,
        held=rejected.reason == "held",
        kind=kept.aggregate.kind,
    )


async def admit(store: EventStore, new_id: NewId, arrival: Arrival) -> Started:
    """Start the run of a recorded request; for a split one, give the first of its runs. Raises NothingToDo."""
    split = arrival.zap.hook.split
    items = items_of(arrival, split) if split is not None else None
    if items is None:
        started = await start(store, new_id, arrival)
    else:
        each = await start_each(store, new_id, items)
        started = each if isinstance(each, Held) else each[0]
    if isinstance(started, Held):
        raise NothingToDo("the request was discarded, or its delivery is held as another request")
    return started


async def record_admitted(
    store: EventStore, new_id: NewId, arrival: Arrival, started: Started, metadata: Metadata
) -> None:
    """Record, once, that the request has its run."""
    assert arrival.request_id is not None
    event = RequestAdmitted(zap_id=arrival.zap_id, request_id=arrival.request_id, run_id=started.run_id)
    stream_id = admission_stream(arrival)
    await store.append(
        facts(
            arrival.zap_id,
            arrival.zap.owner,
            NewEvent(new_id(), event),
            metadata=metadata,
            kind=arrival.kind,
            stream_id=stream_id,
            expected=1 if stream_id == arrival.request_id else 0,
        )
    )


def admission_stream(arrival: Arrival) -> UUID:
    """The stream that names the run of a recorded request: its own, except for refused ones of earlier releases."""
    assert arrival.request_id is not None
    of_its_own = arrival.held or arrival.kind == StreamKind.REQUEST
    return arrival.request_id if of_its_own else admission_of(arrival.request_id)


async def discard(store: EventStore, new_id: NewId, held: LoadedRequest, metadata: Metadata) -> None:
    """Discard a held request. Raises NothingToDo where it was released or discarded meanwhile."""
    zap_id = held.state.rejected.zap_id
    append = facts(
        zap_id,
        held.tenant_id,
        NewEvent(new_id(), RequestDiscarded(zap_id=zap_id, request_id=held.id)),
        metadata=metadata,
        kind=held.aggregate.kind,
        stream_id=held.id,
        expected=held.version,
        dedupe_key=decision_key(zap_id, held.id),  # its run would be stored under the same key
    )
    if not isinstance(await store.append(append), Appended):
        raise NothingToDo("the request was released or discarded meanwhile")
