"""The process that keeps the search index: it follows the log with the time that others leave, and ends when idle."""

import asyncio
import os
import signal
import sys
import threading

from consumers.indexing.following import follow
from sql.process.memory import collect_rarely

NICE = 19


def main() -> None:
    """Index what is new until nothing is for a while, or standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    collect_rarely()
    dsn = sys.stdin.buffer.readline().decode().strip()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(follow(dsn))


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 64):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
