"""`python -m tests.benchmarks [NAME...] [--quick]`: measures on this machine, and prints markdown tables.

Figures mean something beside each other, from one run; machines and hours differ. `--quick` is for trying the
benchmarks out, not for figures.
"""

import argparse
import asyncio
import importlib

import uvloop

from app.config import log
from tests.benchmarks.support import Benchmark, machine, table

NAMES = (
    "append",
    "relay",
    "projection",
    "history",
    "retention",
    "verify",
    "audit",
    "accept",
    "live",
    "end_to_end",
    "loops",
    "latency",
    "trace",
    "timers",
    "idle",
    "memory",
    "files",
    "attacks",
)


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; none means all")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try it out")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    log.configure("benchmark", "warning", "console")
    print(f"Machine: {machine()}\n", flush=True)  # noqa: T201 - the table is what it is for
    for name in chosen.names or NAMES:
        benchmark: Benchmark = importlib.import_module(f"tests.benchmarks.{name}").run
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(benchmark(quick=chosen.quick))
        print(f"### {name}\n\n{report.settings}\n\n{table(report.rows)}\n", flush=True)  # noqa: T201 - same


if __name__ == "__main__":
    main()
