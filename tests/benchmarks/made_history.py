"""A log of many runs: 20 zaps of one tenant with two search keys, payloads of 0.5 to 3 KB, four events a run."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain.hook.request import json_request
from domain.log.event import Append, Appended, Event, Metadata, NewEvent, StreamKind, Via, encode_metadata
from domain.registry import encode, event_type
from domain.run import events as run_events
from domain.zap.definition import Definition
from domain.zap.events import ZapDraftChanged, ZapEnabled, ZapPaused, ZapPublished
from domain.zap.settings import SearchKey, ZapSettings
from sql.log.event_store import PgEventStore
from sql.log.hashing import event_hash
from sql.postgres.pool import connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id, now
from tests.support.builders import a_definition, a_zap_created

EVENTS_PER_RUN = 4
TENANT = UUID("01900000-0000-7000-8000-000000000000")
ZAPS = [UUID(int=TENANT.int + 1 + n) for n in range(20)]
"""The same in each process: a database may be kept."""
COUNTRIES = ["DE", "FR", "IT", "ES", "SE", "NO", "PL", "NL", "BE", "AT"]
WORDS = [f"word{n}" for n in range(50_000)]
_DICE = random.Random(0)
TEXT = [WORDS[min(int(_DICE.paretovariate(0.5)), 49_999)] for _ in range(500_000)]
"""A long text, in which few words are frequent and many are rare; notes are stretches of it."""
RUNS_A_CALL = 1_000
EDITS = 400
"""Of each zap."""
_events = Queries("queries/events.sql")


def _definition(step_id: str) -> Definition:
    """All zaps have two search keys."""
    keys = SearchKey("order", "trigger.body.order.id", "number"), SearchKey("country", "trigger.body.customer.country")
    return msgspec.structs.replace(a_definition(step_id), settings=ZapSettings(search_keys=keys))


async def declare(store: PgEventStore) -> None:
    """The zaps, each with one version."""
    definition = _definition("send")
    for zap_id in ZAPS:
        events = a_zap_created(definition=definition), ZapPublished(number=1, name="Orders", definition=definition)
        appended = await store.append(
            Append(
                kind=StreamKind.CORE,
                stream_id=zap_id,
                expected=0,
                tenant_id=TENANT,
                ordering_key=zap_id,
                events=tuple(NewEvent(new_id(), event) for event in events),
                metadata=Metadata(actor="test"),
            )
        )
        assert isinstance(appended, Appended)


async def edit(store: PgEventStore) -> None:
    """Each zap is edited, published, paused and enabled by its owner, again and again: what the audit tells of."""
    by = Metadata(actor=f"user:{TENANT}", via=Via(ip="192.0.2.7", user_agent="Mozilla/5.0 (X11)"))
    for zap_id in ZAPS:
        versions = len(await store.read_stream(StreamKind.CORE, zap_id))
        for number in range(EDITS // 4):
            definition = _definition(f"send_{number}")
            events: list[Event] = [
                ZapDraftChanged(name=f"Orders {number}", definition=definition),
                ZapPublished(number=2 + number, name=f"Orders {number}", definition=definition),
                ZapPaused(),
                ZapEnabled(),
            ]
            await store.append(
                Append(
                    kind=StreamKind.CORE,
                    stream_id=zap_id,
                    expected=versions + number * len(events),
                    tenant_id=TENANT,
                    ordering_key=zap_id,
                    events=tuple(NewEvent(new_id(), event) for event in events),
                    metadata=by,
                )
            )


async def fill(dsn: str, first: int, runs: int) -> None:
    """Store the runs from a number on by `es.append`, as the store's writer does, but with more in each call."""
    dice = random.Random(first)
    connection = await connect(dsn, "history", statement_timeout="0")
    try:
        calling: asyncio.Task[str] | None = None
        for start in range(first, runs, RUNS_A_CALL):
            commands = [_run(n, dice) for n in range(start, min(start + RUNS_A_CALL, runs))]
            columns = await asyncio.to_thread(_columns, commands)
            if calling:
                await calling
            calling = asyncio.create_task(connection.execute(_events["append"], *columns))
        if calling:
            await calling
    finally:
        await connection.close()


def _columns(commands: Sequence[Append]) -> list[list[object]]:
    count = len(commands)
    streams: list[object] = [command.stream_id for command in commands]
    tenants: list[object] = [command.tenant_id for command in commands]
    nothing: list[object] = [None] * count
    events = [(n, *_event(command, new)) for n, command in enumerate(commands, 1) for new in command.events]
    by_event = [list(column) for column in zip(*events, strict=True)]
    return [[1] * count, streams, [0] * count, tenants, streams, nothing, nothing, [0] * count, *by_event]


def _event(command: Append, new: NewEvent) -> tuple[object, ...]:
    kind, data, meta = event_type(new.event), encode(new.event), encode_metadata(command.metadata)
    digest = event_hash(
        kind=command.kind,
        stream_id=command.stream_id,
        tenant_id=command.tenant_id,
        ordering_key=command.ordering_key,
        event_id=new.event_id,
        type_=kind.name,
        schema_version=kind.schema_version,
        meta=meta,
        data=data,
    )
    return new.event_id, kind.name, kind.schema_version, meta, data, digest, None


def _run(n: int, dice: random.Random) -> Append:
    zap_id = ZAPS[min(int(dice.expovariate(0.3)), 19)]
    begin = dice.randrange(len(TEXT) - 60)
    body: dict[str, Any] = {
        "order": {"id": n, "total": round(dice.uniform(1, 1_000), 2), "currency": "EUR"},
        "customer": {"id": f"c-{n % 997}", "country": dice.choice(COUNTRIES)},
        "lines": [{"sku": f"sku-{dice.randrange(5_000)}"} for _ in range(dice.randint(1, 3))],
        "note": " ".join(TEXT[begin : begin + dice.randint(20, 60)]),
        "padding": "x" * dice.randrange(0, 1_500),
    }
    attempt: dict[str, Any] = {
        "step_id": "send",
        "attempt": 1,
        "started_at": now(),
        "duration_ms": dice.expovariate(0.02),
    }
    failed = n % 50 == 0
    failure = run_events.Failure(code=f"http_{500 + n % 3}", message="the target is tired")
    happened: list[Event] = [
        run_events.RunRequested(zap_id=zap_id, zap_version=1 + n % 4, source="webhook", request=json_request(body)),
        run_events.StepStarted(step_id="send", attempt=1, started_at=now()),
        run_events.StepFailed(**attempt, failure=failure)
        if failed
        else run_events.StepSucceeded(**attempt, output={"status": 200, "body": {"receipt": f"r-{n}", "ok": True}}),
        run_events.RunFailed(zap_id=zap_id, step_id="send", code=failure.code, message=failure.message)
        if failed
        else run_events.RunCompleted(zap_id=zap_id),
    ]
    run_id = new_id()
    return Append(
        kind=StreamKind.RUN,
        stream_id=run_id,
        expected=0,
        tenant_id=TENANT,
        ordering_key=run_id,
        events=tuple(NewEvent(new_id(), event) for event in happened),
        metadata=Metadata(actor="hook", correlation_id=run_id),
    )
