"""What an item of a loop costs beside a run that a webhook starts, each with one HTTP action, and what memory."""

import time

import aiohttp
import msgspec

from app.roles.roles import ROLES
from tests.benchmarks.end_to_end import CONNECTIONS, completed_runs, settled
from tests.benchmarks.instance import Instance, instance, usage
from tests.benchmarks.support import ORDER, Report, Row, database_settings
from tests.benchmarks.traffic import Load, Sink, running_sink

AT_ONCE = 100
ITEMS = 10_000
WARM_UP = range(90_000_000, 90_000_500)
WATCHED = ("runner", "projector")
"""The processes whose memory must not grow with the items."""


async def run(*, quick: bool) -> Report:
    """CPU seconds of all processes per 1,000, of webhooks and then of items of the same body, loop after loop."""
    count = ITEMS // 10 if quick else ITEMS
    async with instance(*ROLES) as running, running_sink() as sink:
        hook = await running.published_hook(sink.url)
        await _webhooks(running, hook, WARM_UP)
        baseline, row = await _webhooks(running, hook, range(count))
        rows = [row]
        loop = await running.hook_of(_each(sink.url))
        for number, size in enumerate((count // 10, count, count, count), 1):
            first = number * 1_000_000
            rows.append(await _loop(running, loop, sink, range(first, first + size), baseline))
        settings = (
            f"{await database_settings(running.dsn)}; embedded broker, one process per role; {AT_ONCE} items at once. "
            "One webhook brings all items of a loop, each the body of one webhook of the baseline."
        )
    return Report(settings, rows)


def _each(target: str) -> dict[str, object]:
    config = {"method": "POST", "url": target, "body": "{{ item }}"}
    send = {"id": "send", "kind": "action", "type": "http.request", "config": config}
    return {
        "id": "each", "kind": "for_each", "items": "{{ trigger.body }}", "order": "parallel", "limit": AT_ONCE,
        "result": "{{ loop.index }}", "steps": [send],
    }  # fmt: skip


class _Used:
    """What all processes use from now on."""

    def __init__(self, running: Instance) -> None:
        self._running = running
        self._cpu = running.cpu_seconds()
        self._started = time.monotonic()

    def row(self, count: int, what: str) -> tuple[float, Row]:
        """CPU seconds per 1,000, and what there is to say of them."""
        took = time.monotonic() - self._started
        total, parts = usage(self._cpu, self._running.cpu_seconds(), count)
        memory = self._running.memory()
        resident = ", ".join(f"{name} {memory[name][0] >> 20} MiB" for name in WATCHED)
        note = f"{took:.1f} s; CPU s per 1,000: {total:.3f} ({parts}); {resident}"
        return total, Row(what=f"{count:,} {what}", rate=count / took, unit=f"{what}/s", note=note)


async def _webhooks(running: Instance, hook: str, numbers: range) -> tuple[float, Row]:
    load, before, used = Load(hook), await completed_runs(running), _Used(running)
    await load.closed_loop(CONNECTIONS, iter(numbers), lambda: True)
    await settled(running, before + len(numbers))
    return used.row(len(numbers), "webhooks")


async def _loop(running: Instance, hook: str, sink: Sink, numbers: range, baseline: float) -> Row:
    body = msgspec.json.encode([ORDER | {"id": f"order-{number:08}"} for number in numbers])
    before, repeats = await completed_runs(running), (await sink.noted()).repeats
    used = _Used(running)
    async with (
        aiohttp.ClientSession() as http,
        http.post(hook, data=body, headers={"Content-Type": "application/json"}) as answer,
    ):
        assert answer.status == 200, await answer.text()
    await settled(running, before + len(numbers) + 1)
    total, row = used.row(len(numbers), "items")
    row.ratio = total / baseline
    noted = await sink.wait_for(set(numbers))
    row.note += f"; lost {len(set(numbers) - noted.arrivals.keys())}, repeated {noted.repeats - repeats}"
    return row
