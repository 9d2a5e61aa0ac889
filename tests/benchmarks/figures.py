"""What `compare` measures of a running instance, from outside: webhooks in, requests at a sink, and process times."""

import asyncio
import time

import msgspec

from tests.benchmarks.end_to_end import settled
from tests.benchmarks.instance import Instance
from tests.benchmarks.traffic import Load, Sink

CONNECTIONS = 32
RATES = {"1/s": 1.0, "20/s": 20.0, "200/s": 200.0}

Figures = dict[str, float]
"""By what was measured, with its unit."""


class Sizes(msgspec.Struct, frozen=True):
    """How much is measured."""

    idle_s: float = 15.0
    rate_s: float = 15.0
    full: int = 10_000


QUICK = Sizes(idle_s=5.0, rate_s=5.0, full=2_000)


class Bench(msgspec.Struct):
    """One instance with one zap, whose orders are numbered on from figure to figure."""

    running: Instance
    hook: str
    sink: Sink
    sizes: Sizes
    lost: int = 0
    repeated: int = 0
    _next: int = 0

    async def warm_up(self) -> None:
        """Connections, plans and caches, which are made once."""
        await self._closed(300)
        await asyncio.sleep(3)

    async def measure(self, name: str) -> Figures:
        """One of the figures by its name."""
        if name == "idle":
            return await self._idle()
        if name == "memory":
            return self._memory()
        return await (self._full() if name == "full" else self._rate(name))

    async def _idle(self) -> Figures:
        before = self.running.cpu_seconds()
        await asyncio.sleep(self.sizes.idle_s)
        return _per(before, self.running.cpu_seconds(), self.sizes.idle_s / 100, "idle", "% of a CPU")

    def _memory(self) -> Figures:
        """After all that was measured before."""
        memory = self.running.memory()
        each = {f"RSS {name}, MiB": rss / 2**20 for name, (rss, _pss) in memory.items()}
        rss, pss = (sum(values) / 2**20 for values in zip(*memory.values(), strict=True))
        return {"RSS, all, MiB": rss, "PSS, all, MiB": pss, **each}

    async def _rate(self, name: str) -> Figures:
        count = int(RATES[name] * self.sizes.rate_s)
        before = self.running.cpu_seconds()
        load = Load(self.hook)
        await load.open_loop(RATES[name], count, connections=32, first=self._numbers(count))
        after = self.running.cpu_seconds()
        arrivals = await self._arrivals(load)
        return {
            **_percentiles(f"{name}: send → answer", load.result.latencies_s),
            **_percentiles(f"{name}: send → arrival", arrivals),
            **_per(before, after, count / 1000, name, "CPU s per 1,000"),
        }

    async def _full(self) -> Figures:
        before = self.running.cpu_seconds()
        started = time.monotonic_ns()
        load, took_s = await self._closed(self.sizes.full)
        after = self.running.cpu_seconds()
        noted = await self.sink.noted()
        last = max(noted.arrivals[number] for number in load.result.accepted if number in noted.arrivals)
        return {
            "full: accepted/s": len(load.result.accepted) / took_s,
            "full: runs/s": len(load.result.accepted) / (last - started) * 1e9,
            **_percentiles("full: send → answer", load.result.latencies_s),
            **_per(before, after, self.sizes.full / 1000, "full", "CPU s per 1,000"),
        }

    async def _closed(self, count: int) -> tuple[Load, float]:
        """Over kept connections as fast as answers come; back when all runs are recorded."""
        first = self._numbers(count)
        load = Load(self.hook)
        began = time.monotonic()
        await load.closed_loop(CONNECTIONS, iter(range(first, first + count)), lambda: True)
        took_s = time.monotonic() - began
        await self._arrivals(load)
        await settled(self.running, self._next - self.lost)
        return load, took_s

    async def _arrivals(self, load: Load) -> list[float]:
        noted = await self.sink.wait_for(load.result.accepted)
        sent = {number: at for number, at in load.result.sent_ns.items() if number in load.result.accepted}
        arrivals = [(noted.arrivals[number] - at) / 1e9 for number, at in sent.items() if number in noted.arrivals]
        self.lost += len(load.result.sent_ns) - len(arrivals)
        self.repeated = noted.repeats
        return arrivals

    def _numbers(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        return first


def _percentiles(what: str, seconds: list[float]) -> Figures:
    ordered = sorted(seconds)
    return {
        f"{what}, p{quantile} ms": 1000 * ordered[min(len(ordered) - 1, len(ordered) * quantile // 100)]
        for quantile in (50, 95, 99)
    }


def _per(before: dict[str, float], after: dict[str, float], unit: float, what: str, name: str) -> Figures:
    """Process times between two moments, in all and by process."""
    used = {process: (after[process] - before.get(process, 0.0)) / unit for process in after}
    return {f"{what}: {name}": sum(used.values())} | {f"{what}: {process}, {name}": used[process] for process in used}
