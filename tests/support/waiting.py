"""Runs that wait for somebody, put into the log as a runner would."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.aggregates import RUN
from domain.hook.request import Request
from domain.log.event import Metadata
from domain.log.stream import Loaded, append, load
from domain.run.events import RunRequested
from domain.run.links import Links
from domain.run.state import LoadedRun
from domain.run.waits import ApprovalAsked, Asked, CallbackAwaited, WaitEvent
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.api import ENCRYPTION_KEY, HOOK_URL, Person
from tests.support.builders import ZAP, an_append

LINKS = Links(ENCRYPTION_KEY, HOOK_URL)
FORM = {
    "type": "object",
    "required": ["amount"],
    "properties": {
        "amount": {"type": "integer", "maximum": 100, "title": "Amount <in €>"},
        "reason": {"type": "string", "enum": ["late", "broken"]},
        "urgent": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


async def run_of(store: PgEventStore, tenant: Person | UUID) -> LoadedRun:
    """A run of somebody's that has done nothing yet."""
    tenant_id = tenant if isinstance(tenant, UUID) else UUID(tenant.id)
    requested = RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=Request(body="{}"))
    run_id = new_id()
    await store.append(msgspec.structs.replace(an_append(requested, stream_id=run_id), tenant_id=tenant_id))
    return await now_of(store, run_id)


async def now_of(store: PgEventStore, run_id: UUID) -> LoadedRun:
    """The run as it is now."""
    run = await load(store, RUN, run_id)
    assert isinstance(run, Loaded)
    return run


async def happens(store: PgEventStore, run: LoadedRun, event: Any) -> LoadedRun:
    """The run after an event."""
    assert await append(store, new_id, run, [event], Metadata(actor="test"))
    return await now_of(store, run.id)


async def asking(
    store: PgEventStore,
    tenant: Person | UUID,
    *to: Asked,
    required: int = 1,
    form: dict[str, Any] | None = None,
    within_s: float = 3600,
) -> LoadedRun:
    """A run that asks these for an approval, at the step `ok`."""
    run = await run_of(store, tenant)
    asked = tuple(
        msgspec.structs.replace(one, token_sha256=LINKS.new_token_hash(run.id, "ok", number))
        for number, one in enumerate(to or (Asked(email="ada@example.com"),))
    )
    event: WaitEvent = ApprovalAsked(
        zap_id=ZAP,
        step_id="ok",
        title="Refund <b>5</b>?",
        message="for order 7",
        to=asked,
        required=required,
        form=form or {},
        until=now() + timedelta(seconds=within_s),
    )
    return await happens(store, run, event)


async def awaiting(store: PgEventStore, person: Person, within_s: float = 3600) -> LoadedRun:
    """A run that waits for its callback, at the step `later`."""
    until = now() + timedelta(seconds=within_s)
    return await happens(store, await run_of(store, person), CallbackAwaited(step_id="later", until=until))


def link(run: LoadedRun, recipient: int = 0) -> str:
    """The page of one of those who are asked."""
    asked = run.state.approvals["ok"].asked
    url = LINKS.approval_url(run.id, "ok", recipient, asked.to[recipient].token_sha256)
    assert url is not None
    return url


def callback(run: LoadedRun, step_id: str = "later") -> str:
    """The URL of a step's callback."""
    return LINKS.callback_url(run.id, step_id)
