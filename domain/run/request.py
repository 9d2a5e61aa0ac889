"""Requests of runs: the append that starts a run, and the key by which runs are ordered."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import msgspec

from domain.hook.request import Request, json_request, trigger_data
from domain.language.scope import Heavy
from domain.language.template import TemplateError, compiled
from domain.log.event import DEDUPE_WINDOW_S, Append, Metadata, NewEvent, StreamKind
from domain.log.ports import NewId
from domain.run.children import LoopStarted, Parent
from domain.run.commands import RequestRun
from domain.run.decide import decide
from domain.run.events import RunRequested, due_at
from domain.run.state import INITIAL, LoadedRun
from domain.values.json import Json
from domain.zap.definition import NO_STEPS, Definition
from domain.zap.settings import Concurrency, ZapSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def request_append(
    requested: RunRequested,
    settings: ZapSettings,
    *,
    tenant_id: UUID,
    new_id: NewId,
    metadata: Metadata,
    dedupe_key: bytes | None = None,
    dedupe_window_s: int = DEDUPE_WINDOW_S,
    run_id: UUID | None = None,
    at: datetime | None = None,
) -> Append:
    """A new run, whose id is the append's stream. Its deadline, if the zap has one, is a timer.

    It has a new id, of this moment, unless it is given another `run_id` and moment, `at`.
    """
    run_id = run_id or new_id()
    if settings.deadline_s is not None:
        deadline = (at or made_at(run_id)) + timedelta(seconds=settings.deadline_s)
        requested = msgspec.structs.replace(requested, deadline=deadline)
    events = decide(RequestRun(requested), INITIAL, NO_STEPS)
    return Append(
        kind=StreamKind.RUN,
        stream_id=run_id,
        expected=0,
        tenant_id=tenant_id,
        ordering_key=ordering_key(run_id, requested.zap_id, settings.concurrency, requested.request),
        events=tuple([NewEvent(new_id(), event, due_at(event)) for event in events]),
        metadata=msgspec.structs.replace(metadata, correlation_id=run_id),
        dedupe_key=dedupe_key,
        dedupe_window_s=dedupe_window_s,
    )


def item_append(
    loop: LoadedRun, started: LoopStarted, index: int, item: Json, *, run_id: UUID, new_id: NewId, metadata: Metadata
) -> Append:
    """One item of a loop as a run: of the loop's version, and ordered with its parent, so that one process has both."""
    parent = loop.state.requested
    requested = RunRequested(
        zap_id=parent.zap_id,
        zap_version=parent.zap_version,
        source="item",
        request=Request(),
        depth=parent.depth,
        via=parent.via,
        parent=Parent(
            run_id=loop.id,
            step_id=started.step_id,
            waits=True,
            index=index,
            count=started.count,
            version=started.version,
            callers=parent.parent.callers if parent.parent else (),
        ),
        item=item,
    )
    return Append(
        kind=StreamKind.RUN,
        stream_id=run_id,
        expected=0,
        tenant_id=loop.tenant_id,
        ordering_key=loop.ordering_key,
        events=(NewEvent(new_id(), requested),),
        metadata=metadata,
        carries=loop.first.position,
    )


def called_request(payload: Json, definition: Definition, types: Collection[str]) -> Request:
    """The request of a run that is started without a sender, by the trigger of these types where there is one."""
    trigger = definition.start_of(types)
    trigger_id, trigger_type = definition.origin(trigger) if trigger else ("", "")
    return msgspec.structs.replace(json_request(payload), trigger_id=trigger_id, trigger_type=trigger_type)


def made_at(run_id: UUID) -> datetime:
    """The moment of the request, which the run's id carries as a UUIDv7 (RFC 9562 §5.7)."""
    return _EPOCH + timedelta(milliseconds=run_id.int >> 80)


def ordering_key(run_id: UUID, zap_id: UUID, concurrency: Concurrency, request: Request) -> UUID:
    """The key that is equal for runs that one process must order or count.

    Requests for which a serial zap's key cannot be rendered are ordered among themselves.
    """
    if concurrency.mode == "parallel":
        return run_id if concurrency.limit is None else zap_id
    if concurrency.key is None:
        return zap_id
    try:
        value = compiled(concurrency.key).quick({"trigger": trigger_data(request)}, made_at(run_id))
    except (TemplateError, Heavy):
        value = None
    return uuid5(zap_id, msgspec.json.encode(value).decode())
