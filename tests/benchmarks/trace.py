"""One webhook at a time: where each of the wake-ups from sending it to the record of its action spends its time."""

import re
from collections.abc import Callable
from datetime import datetime

import asyncpg
import msgspec

from app.roles.roles import ROLES
from tests.benchmarks.instance import instance
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load, running_sink

RATE = 20
_NUMBER = re.compile(rb"order-(\d{8})")
_HISTORY = (
    "select stream_id, type, recorded_at, data from es.events"
    " where type in ('zap.run.requested', 'zap.run.step_succeeded') order by position"
)


class Passage(msgspec.Struct):
    """The moments of one webhook, in seconds since the epoch."""

    sent: float
    answered: float
    arrived: float = 0.0
    committing: float = 0.0
    started: float = 0.0
    recording: float = 0.0


_STAGES: tuple[tuple[str, Callable[[Passage], float]], ...] = (
    ("send → its append holds the log: read, checked, decided on, sent to the log", lambda p: p.committing - p.sent),
    (
        "→ the runner begins the action: commit, NOTIFY, the tail read, the run folded",
        lambda p: p.started - p.committing,
    ),
    ("→ arrival at the sink: template, HTTP client", lambda p: p.arrived - p.started),
    ("→ the outcome's append holds the log: the reply, decided on, sent to the log", lambda p: p.recording - p.arrived),
    ("send → answer, beside the above: commit and answer", lambda p: p.answered - p.sent),
    ("send → arrival, in all", lambda p: p.arrived - p.sent),
)


async def run(*, quick: bool) -> Report:
    """Times come from the log, the load and the sink, which share this machine's clock; nothing is instrumented."""
    count = RATE * (5 if quick else 20)
    async with instance(*ROLES) as running, running_sink() as sink:
        load = Load(await running.published_hook(sink.url))
        await load.closed_loop(1, iter(range(90_000_000, 90_000_050)), lambda: True)
        await sink.wait_for(load.result.accepted)
        load.result.sent_ns.clear()
        load.result.latencies_s.clear()
        await load.open_loop(RATE, count)
        noted = await sink.wait_for(load.result.accepted)
        offset = load.result.epoch_s
        passages = {
            number: Passage(sent=sent / 1e9 + offset, answered=load.result.answered_ns[number] / 1e9 + offset)
            for number, sent in load.result.sent_ns.items()
        }
        for number, passage in passages.items():
            passage.arrived = noted.arrivals[number] / 1e9 + offset
        await _read_log(running.dsn, passages)
        settings = f"{await database_settings(running.dsn)}; {count} webhooks of {len(BODY)} bytes at {RATE}/s."
    found = [passage for passage in passages.values() if passage.recording]
    return Report(settings, [Row(what=what, latencies_s=[stage(p) for p in found]) for what, stage in _STAGES])


async def _read_log(dsn: str, passages: dict[int, Passage]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(_HISTORY)
    finally:
        await connection.close()
    runs: dict[object, Passage] = {}
    for run_id, kind, recorded_at, data in rows:
        if kind == "zap.run.requested":
            number = _NUMBER.search(data)
            if number is not None and int(number[1]) in passages:
                runs[run_id] = passages[int(number[1])]
                runs[run_id].committing = recorded_at.timestamp()
        elif run_id in runs:
            runs[run_id].started = msgspec.json.decode(data, type=_Step).started_at.timestamp()
            runs[run_id].recording = recorded_at.timestamp()


class _Step(msgspec.Struct):
    started_at: datetime
