"""Valid values for tests, of which each test names only what it is about."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.flow.steps import ActionStep
from domain.hook.request import Request
from domain.log.event import ANY_VERSION, Append, Event, Metadata, NewEvent, StreamKind
from domain.run.events import RunRequested
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated
from sql.process.clock import new_id

TENANT = UUID("01900000-0000-7000-8000-000000000001")
ZAP = UUID("01900000-0000-7000-8000-000000000002")


def a_definition(*step_ids: str, config: "JsonObject | None" = None) -> Definition:
    """A zap of HTTP requests with these step ids."""
    steps = tuple(ActionStep(step_id, "http.request", config or {}) for step_id in step_ids)
    return Definition(Trigger("webhook.catch"), steps)


def a_zap_created(name: str = "Orders", definition: Definition | None = None) -> ZapCreated:
    """A first draft."""
    return ZapCreated(name=name, definition=definition or a_definition("send"))


def a_run_requested(body: str = "{}") -> RunRequested:
    """A run asked for by a webhook."""
    return RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=Request(body=body))


def new_events(
    *events: Event, ids: Sequence[UUID] | None = None, due_at: datetime | None = None
) -> tuple[NewEvent, ...]:
    """Events about to be appended, with fresh ids unless some are given."""
    return tuple(NewEvent(ids[number] if ids else new_id(), event, due_at) for number, event in enumerate(events))


def an_append(
    *events: Event,
    stream_id: UUID | None = None,
    expected: int = ANY_VERSION,
    kind: StreamKind = StreamKind.RUN,
    ids: Sequence[UUID] | None = None,
    due_at: datetime | None = None,
    timer_id: UUID | None = None,
    dedupe_key: bytes | None = None,
    ordering_key: UUID = ZAP,
    tenant_id: UUID = TENANT,
) -> Append:
    """A command for the store: one run request on a fresh stream, unless told otherwise."""
    return Append(
        kind=kind,
        stream_id=stream_id or new_id(),
        expected=expected,
        tenant_id=tenant_id,
        ordering_key=ordering_key,
        events=new_events(*(events or (a_run_requested(),)), ids=ids, due_at=due_at),
        metadata=Metadata(actor="test"),
        timer_id=timer_id,
        dedupe_key=dedupe_key,
    )
