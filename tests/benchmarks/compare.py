"""`python -m tests.benchmarks.compare BASE`: this release beside another commit, interleaved, as ratios.

Each round starts both releases, one after the other, and measures the same of each from outside: what drifts on the
machine hits both. A ratio is this release's figure by the other's of the same round; its spread is over the rounds.
"""

import argparse
import asyncio
import re
import statistics
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from tests.benchmarks.checkout import Checkout, here, of_commit
from tests.benchmarks.figures import QUICK, RATES, Bench, Figures, Sizes
from tests.benchmarks.instance import ROOT, whole
from tests.benchmarks.support import machine
from tests.benchmarks.traffic import running_sink

OUTSIDE = ("idle", *RATES, "full", "memory")
"""Measured of a whole `up`."""
INSIDE = ("append", "accept", "relay", "projection", "verify", "timers")
"""Benchmarks that each release brings along."""
DEFAULT = (*OUTSIDE, "append", "accept")
_ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<rate>[\d,.]+) (?P<unit>[^|]+) \|", re.MULTILINE)


class Plan(msgspec.Struct, frozen=True):
    """What is compared, and how often."""

    base: Checkout
    figures: tuple[str, ...]
    rounds: int
    sizes: Sizes
    quick: bool
    apache: bool


def main() -> None:
    """Compare, print the table, and put it into ARCHITECTURE.md where that is wanted."""
    chosen = _arguments()
    figures = tuple(chosen.figures.replace(",", " ").split()) or DEFAULT
    if unknown := set(figures) - {*OUTSIDE, *INSIDE}:
        sys.exit(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join((*OUTSIDE, *INSIDE))}")
    sizes = QUICK if chosen.quick else Sizes()
    sizes = msgspec.structs.replace(sizes, full=chosen.runs or sizes.full)
    plan = Plan(of_commit(chosen.base), figures, chosen.rounds, sizes, chosen.quick, chosen.kafka == "apache")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text = runner.run(_compared(plan))
    print(f"\n{text}")  # noqa: T201 - the table is what it is for
    if chosen.write:
        _write(text, chosen.kafka)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("base", metavar="BASE", help="the commit to compare with")
    parser.add_argument("--figures", default="", help=f"of {', '.join((*OUTSIDE, *INSIDE))}; default: {DEFAULT}")
    parser.add_argument("--rounds", type=int, default=3, help="of both releases, one after the other")
    parser.add_argument("--runs", type=int, default=0, help="webhooks under full load, 10,000 unless told")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded", help="which broker")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try it out")
    parser.add_argument("--write", action="store_true", help="put the table into ARCHITECTURE.md")
    return parser.parse_args()


async def _compared(plan: Plan) -> str:
    measured: tuple[list[Figures], list[Figures]] = ([], [])
    told = machine()
    for number in range(plan.rounds):
        for side, checkout in enumerate((plan.base, here())):
            print(f"round {number + 1} of {plan.rounds}: {checkout.name}", file=sys.stderr, flush=True)  # noqa: T201
            measured[side].append(await _measured(plan, checkout))
    broker = "Apache Kafka" if plan.apache else "embedded broker"
    return (
        f"{plan.rounds} rounds of {plan.base.name} and this release in turn, {broker}, "
        f"{plan.sizes.full:,} webhooks under full load. {told}.\n\n{_table(plan.base.name, *measured)}"
    )


async def _measured(plan: Plan, checkout: Checkout) -> Figures:
    figures: Figures = {}
    outside = [name for name in plan.figures if name in OUTSIDE]
    if outside:
        figures |= await _outside(plan, checkout, outside)
    for name in plan.figures:
        if name in INSIDE:
            printed = await checkout.bench(name, quick=plan.quick)
            for row in _ROW.finditer(printed):
                figures[f"{name}: {row['what']}, {row['unit']}"] = float(row["rate"].replace(",", ""))
    return figures


async def _outside(plan: Plan, checkout: Checkout, names: list[str]) -> Figures:
    figures: Figures = {}
    async with (
        _kafka(apache=plan.apache) as (env, others),
        whole(checkout.python, checkout.path, env, others) as running,
        running_sink() as sink,
    ):
        bench = Bench(running, await running.published_hook(sink.url), sink, plan.sizes)
        await bench.warm_up()
        for name in names:
            figures |= await bench.measure(name)
        if bench.lost or bench.repeated:
            sys.exit(f"{checkout.name}: {bench.lost} lost, {bench.repeated} repeated")
    return figures


@asynccontextmanager
async def _kafka(*, apache: bool) -> AsyncIterator[tuple[Mapping[str, str], Mapping[str, int]]]:
    """Settings that lead to a broker of its own, and its process; none for the embedded one."""
    if not apache:
        yield {}, {}
        return
    from tests.support.kafka_server import running_kafka

    async with running_kafka() as server:
        # With a broker of one's own nothing internal may be called unless it is named; the sink is on loopback.
        yield (
            {"TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": server.servers, "TRIGGERHUB_OUTBOUND_ALLOW": "127.0.0.0/8"},
            {"broker": server.pid},
        )


def _table(base: str, theirs: list[Figures], ours: list[Figures]) -> str:
    """One line per figure: medians of both, and the median of the ratios with the smallest and largest."""
    lines = [f"| figure | {base} | this | × | from–to |", "|---|---|---|---|---|"]
    for what in [*theirs[0], *(name for name in ours[0] if name not in theirs[0])]:
        pairs = [(a.get(what), b.get(what)) for a, b in zip(theirs, ours, strict=True)]
        sides = [[value for value in side if value is not None] for side in zip(*pairs, strict=True)]
        shown = [_number(statistics.median(values)) if values else "" for values in sides]
        ratios = [b / a for a, b in pairs if a and b is not None]
        ratio = f"{statistics.median(ratios):.2f} | {min(ratios):.2f}–{max(ratios):.2f}" if ratios else "|"
        lines.append(f"| {what} | {' | '.join(shown)} | {ratio} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _write(text: str, broker: str) -> None:
    document = ROOT / "ARCHITECTURE.md"
    begin, end = f"<!-- bench-compare {broker} -->", f"<!-- end of bench-compare {broker} -->"
    before, marked, rest = document.read_text().partition(begin)
    _old, closed, after = rest.partition(end)
    if not (marked and closed):
        sys.exit(f"ARCHITECTURE.md has no {begin} … {end}")
    Path(document).write_text(f"{before}{begin}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
