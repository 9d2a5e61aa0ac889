"""What the benchmarks share: rows and tables, and a log with runs in it."""

import asyncio
import os
import platform
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Protocol

import asyncpg
import msgspec

from domain.hook.request import Request
from domain.log.event import Append, Appended, Metadata, NewEvent, StreamKind
from domain.run.events import RunCompleted, RunRequested, StepSucceeded
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now

TENANT, ZAP = new_id(), new_id()
PARTITIONS = 12
EVENTS_PER_RUN = 3
ORDER = {
    "id": "order-00000000",
    "type": "order.created",
    "shop": "eu-1",
    "customer": {"id": 88123, "name": "Maria Lindqvist", "email": "maria.lindqvist@example.com", "tags": ["returning"]},
    "lines": [
        {"sku": "TEE-BLK-M", "title": "T-shirt black M", "quantity": 2, "price": 19.9},
        {"sku": "JKT-RAIN-L", "title": "Rain jacket L", "quantity": 1, "price": 129.0},
        {"sku": "SOCK-3P", "title": "Socks, 3 pairs", "quantity": 1, "price": 15.55},
    ],
    "total": {"currency": "EUR", "amount": 184.35, "paid": True},
    "ship_to": {"street": "Storgatan 12", "city": "Malmö", "postcode": "211 42", "country": "SE"},
    "note": "Leave it with the neighbour if nobody is home. "
    "The bell does not work: knock, please, or call us ahead of time.",
}
BODY = msgspec.json.encode(ORDER)
"""A webhook as shops send it; `order-00000000` is where its number goes."""


class Row(msgspec.Struct, kw_only=True):
    """One measurement. `ratio` is to the row of the same table that `note` calls the baseline."""

    what: str
    rate: float | None = None
    unit: str = ""
    latencies_s: Sequence[float] = ()
    ratio: float | None = None
    note: str = ""


class Report(msgspec.Struct):
    """What one benchmark found, and under which settings."""

    settings: str
    rows: list[Row]


class Benchmark(Protocol):
    """The `run` of each module here."""

    def __call__(self, *, quick: bool) -> Coroutine[None, None, Report]: ...


def table(rows: Sequence[Row]) -> str:
    """The rows in markdown."""
    lines = ["| what | rate | p50 / p95 / p99 ms | × baseline | note |", "|---|---|---|---|---|"]
    for row in rows:
        rate = f"{row.rate:,.0f} {row.unit}" if row.rate is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        lines.append(f"| {row.what} | {rate} | {percentiles(row.latencies_s)} | {ratio} | {row.note} |")
    return "\n".join(lines)


def percentiles(seconds: Sequence[float]) -> str:
    """Median, 95th and 99th percentile in milliseconds; empty for no values."""
    if not seconds:
        return ""
    ordered = sorted(seconds)
    return " / ".join(f"{1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))]:.2f}" for q in (0.5, 0.95, 0.99))


def machine() -> str:
    """What the figures depend on, beside the settings of each benchmark."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    started = now().strftime("%Y-%m-%d %H:%M UTC")
    return f"{os.cpu_count()} CPUs ({model}), Python {platform.python_version()}, load {load}, {started}"


async def database_settings(dsn: str) -> str:
    """Version and durability of the server in use."""
    connection = await asyncpg.connect(dsn)
    try:
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        values = [await connection.fetchval("select current_setting($1)", name) for name in names]
    finally:
        await connection.close()
    return "PostgreSQL {}, fsync {}, synchronous_commit {}, shared_buffers {}".format(*values)


def run_command(events: int = EVENTS_PER_RUN) -> Append:
    """A command that stores a run: its request only, or with its one step and its end."""
    run_id = new_id()
    request = Request(headers={"content-type": "application/json", "host": "127.0.0.1:8000"}, body=BODY.decode())
    requested = RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=request)
    step = StepSucceeded(
        step_id="send", attempt=1, started_at=now(), duration_ms=1.5, input={"body": BODY.decode()}, output={"ok": True}
    )
    chosen = (requested, step, RunCompleted(zap_id=ZAP))[:events]
    return Append(
        kind=StreamKind.RUN,
        stream_id=run_id,
        expected=0,
        tenant_id=TENANT,
        ordering_key=run_id,
        events=tuple(NewEvent(new_id(), event) for event in chosen),
        metadata=Metadata(actor="hook", correlation_id=run_id),
    )


async def fill(dsn: str, events: int, clients: int = 256) -> int:
    """Store finished runs until the log holds about this many events. Returns its head."""
    numbers = iter(range(events // EVENTS_PER_RUN))
    async with PgEventStore(dsn, "fill", patience_s=30) as store:

        async def client() -> None:
            for _ in numbers:
                assert isinstance(await store.append(run_command()), Appended)

        await asyncio.gather(*(client() for _ in range(clients)))
        return await store.head()


async def measured_rate(progress: Callable[[], Awaitable[float]], until: float, timeout_s: float = 120) -> float:
    """Units per second from the first sign of progress to `until`: starting up is not counted."""
    first: tuple[float, float] | None = None
    deadline = time.monotonic() + timeout_s
    while True:
        value, at = await progress(), time.monotonic()
        if first is None and value > 0:
            first = (value, at)
        if first is not None and value >= until:
            return (value - first[0]) / max(at - first[1], 1e-9)
        if at > deadline:
            raise TimeoutError(f"{value:,.0f} of {until:,.0f} within {timeout_s} s")
        await asyncio.sleep(0.01)
