"""Logs for tests of the read side: runs that ended every way, and the batches in which the topic would bring them."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from domain.hook.request import Request
from domain.log.event import ANY_VERSION, Append, Appended, Event, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.partitioning import partition_of
from domain.log.ports import EventStore
from domain.run import events as run
from projections.engine.engine import Engine, GateMoved
from projections.engine.registry import PROJECTIONS
from sql.process.clock import new_id
from tests.support.clock import START
from tests.support.meanwhile import meanwhile

PARTITIONS = 3
NO_ANSWER = run.Failure(code="http_503", message="no answer")


def requested(zap_id: UUID, source: run.Source = "webhook") -> run.RunRequested:
    return run.RunRequested(zap_id=zap_id, zap_version=1, source=source, request=Request(body="{}"))


def succeeded(attempt: int = 1) -> run.StepSucceeded:
    return run.StepSucceeded(step_id="send", attempt=attempt, started_at=START, duration_ms=2.5, output={"ok": True})


def attempt_failed(attempt: int = 1, **fields: Any) -> run.StepAttemptFailed:
    return run.StepAttemptFailed(
        step_id="send",
        attempt=attempt,
        started_at=START,
        duration_ms=2.5,
        failure=NO_ANSWER,
        retry_at=START + timedelta(seconds=5),
        **fields,
    )


def resumed() -> run.RunResumed:
    return run.RunResumed(timer_id=new_id())


def failed(attempt: int = 1) -> tuple[Event, Event]:
    return (
        run.StepFailed(step_id="send", attempt=attempt, started_at=START, duration_ms=2.5, failure=NO_ANSWER),
        run.RunFailed(step_id="send", code="http_503", message="no answer"),
    )


LIVES: tuple[tuple[Event, ...], ...] = (
    (),
    (succeeded(),),
    (succeeded(), run.RunCompleted()),
    (attempt_failed(),),
    (attempt_failed(), resumed()),
    (attempt_failed(), resumed(), succeeded(2), run.RunCompleted()),
    (attempt_failed(), resumed(), *failed(2)),
    failed(),
)
"""What can follow a request: queued, running, completed, waiting, running again, completed, failed late, failed."""


async def append(
    store: EventStore, stream_id: UUID, *events: Event, tenant_id: UUID, key: UUID, kind: StreamKind = StreamKind.RUN
) -> int:
    """Add events to a stream; gives the position of the last."""
    result = await store.append(
        Append(
            kind=kind,
            stream_id=stream_id,
            expected=ANY_VERSION,
            tenant_id=tenant_id,
            ordering_key=key,
            events=tuple(NewEvent(new_id(), event, getattr(event, "retry_at", None)) for event in events),
            metadata=Metadata(actor="test"),
        )
    )
    assert isinstance(result, Appended)
    return result.position


def _tied(event: Event, zap_id: UUID) -> Event:
    return msgspec.structs.replace(event, zap_id=zap_id) if isinstance(event, run.RunEnd) else event


async def live_many(store: EventStore, tenant_id: UUID, count: int, seed: int = 1) -> list[UUID]:
    """Runs of some zaps, one event at a time, with their events mixed. Gives their ids."""
    dice = random.Random(seed)
    zaps = [new_id() for _ in range(5)]
    keys = {new_id(): zap for zap in zaps * (count // 5)}
    left = {run: [requested(zap), *(_tied(event, zap) for event in dice.choice(LIVES))] for run, zap in keys.items()}
    while left:
        run_id = dice.choice(list(left))
        await append(store, run_id, left[run_id].pop(0), tenant_id=tenant_id, key=keys[run_id])
        if not left[run_id]:
            del left[run_id]
    return list(keys)


def batch_of(events: Sequence[StoredEvent]) -> dict[int, list[StoredEvent]]:
    """Events as the topic's partitions bring them."""
    batch: dict[int, list[StoredEvent]] = {}
    for event in events:
        batch.setdefault(partition_of(event.ordering_key, PARTITIONS), []).append(event)
    return batch


async def rows_of(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, list[tuple[object, ...]]]:
    """Everything that the read models show, by projection."""
    return {
        projection.name: [
            tuple(row) for row in await connection.fetch(f"select * from rm.{projection.name} t order by t::text")
        ]
        for projection in PROJECTIONS
    }


async def tamper(dsn: str, statement: str) -> None:
    """Change what the database guards, as its superuser can."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        assert await connection.execute(statement) != "UPDATE 0"
    finally:
        await connection.close()


async def note_sent(connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[StoredEvent]) -> None:
    """What the relay notes about events that it has published."""
    sent = {partition: (0, part[-1].position) for partition, part in batch_of(events).items()}
    await connection.execute(
        "update relay.checkpoint set position = $1, offsets = offsets || $2::text::jsonb",
        events[-1].position,
        msgspec.json.encode(sent).decode(),
    )


@asynccontextmanager
async def following(dsn: str, store: EventStore) -> AsyncIterator[None]:
    """Read models that follow the log, without a topic between; they are built first."""
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        await engine.start()

        async def follow() -> None:
            position = 0
            while True:
                events = await store.read_log(position, 2_000)
                if events:
                    await note_sent(connection, events)
                    try:
                        await engine.apply(batch_of(events))
                    except GateMoved:  # a rebuild has switched: again, with the gates as they are
                        await engine.gates(range(PARTITIONS))
                        continue
                    position = events[-1].position
                else:
                    await asyncio.sleep(0.01)

        connection = await asyncpg.connect(dsn)
        try:
            async with meanwhile(follow()):
                yield
        finally:
            await connection.close()
