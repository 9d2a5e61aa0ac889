"""What another tenant notices of each attack: the answers and runs of 20 webhooks a second meanwhile."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

from app.roles.roles import ROLES
from tests.benchmarks.hostile import ATTACKS
from tests.benchmarks.instance import Instance, instance
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load, Sink, running_sink

RATE = 20
SECONDS = 8
PREPARED_S = 60.0
REST_S = 4.0
"""How long memory has to come back after an attack."""


async def run(*, quick: bool) -> Report:
    """Each attack runs beside the webhooks for some seconds. `ATTACKS=a,b` chooses some of them."""
    seconds = 3 if quick else SECONDS
    chosen = [name for name in os.environ.get("ATTACKS", "").split(",") if name] or list(ATTACKS)
    async with instance(*ROLES) as running, running_sink() as sink:
        victim = _Victim(await running.published_hook(sink.url), sink)
        await victim.seen(2)
        alone = await victim.seen(2 * seconds)
        rows = [*_rows("alone", alone, alone, "baseline")]
        for name in chosen:
            before = _megabytes(running)
            async with _attack(name, running.url):
                seen = await victim.seen(seconds)
            peak = _megabytes(running)
            await asyncio.sleep(REST_S)
            rows += _rows(name, seen, alone, f"MiB {before} → {peak} → {_megabytes(running)}")
        rows += _rows("alone, afterwards", await victim.seen(2 * seconds), alone, "")
        settings = (
            f"{await database_settings(running.dsn)}; embedded broker, one process per role; each attack for "
            f"{seconds} s beside {RATE} webhooks/s of another tenant, bodies of {len(BODY)} bytes. The ratio is of "
            "the 99th percentiles to those alone. MiB: PSS of all Python roles before the attack, at its end, and "
            f"{REST_S:.0f} s later."
        )
    return Report(settings, rows)


class _Seen:
    """What came of a load, in seconds."""

    def __init__(self, answers: Sequence[float], runs: Sequence[float], sent: int, refused: int) -> None:
        self.answers = answers
        self.runs = runs
        self.lost = sent - refused - len(runs)
        self.refused = refused


class _Victim:
    """A tenant whose webhooks come at an even rate."""

    def __init__(self, hook: str, sink: Sink) -> None:
        self._hook = hook
        self._sink = sink
        self._numbers = count(0, 100_000)

    async def seen(self, seconds: int) -> _Seen:
        load = Load(self._hook)
        await load.open_loop(RATE, RATE * seconds, connections=200, first=next(self._numbers))
        noted = await self._sink.wait_for(load.result.accepted, quiet_s=20)
        sent = load.result.sent_ns
        runs = [(noted.arrivals[n] - sent[n]) / 1e9 for n in load.result.accepted if n in noted.arrivals]
        return _Seen(load.result.latencies_s, runs, len(sent), len(load.result.failures))


def _rows(what: str, seen: _Seen, alone: _Seen, note: str) -> list[Row]:
    refused = f"{seen.refused} refused; " if seen.refused else ""
    lost = f"{seen.lost} not arrived; " if seen.lost else ""
    return [
        Row(
            what=f"{what}: send → answer",
            latencies_s=seen.answers,
            ratio=_p99(seen.answers) / _p99(alone.answers),
            note=f"{refused}{note}",
        ),
        Row(
            what=f"{what}: send → arrival",
            latencies_s=seen.runs,
            ratio=_p99(seen.runs) / _p99(alone.runs),
            note=lost.removesuffix("; "),
        ),
    ]


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))] if seconds else float("inf")


def _megabytes(running: Instance) -> int:
    memory = running.memory()
    return sum(memory[role][1] for role in ROLES if role in memory) // 2**20


@asynccontextmanager
async def _attack(name: str, url: str) -> AsyncIterator[None]:
    """The attack, from the moment that it has begun."""
    attacker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.hostile", name, url), stdout=asyncio.subprocess.PIPE
    )
    assert attacker.stdout is not None
    try:
        async with asyncio.timeout(PREPARED_S):
            line = await attacker.stdout.readline()
        assert line, f"the attack {name} did not begin"
        yield
    finally:
        if attacker.returncode is None:
            attacker.kill()
        await attacker.wait()
