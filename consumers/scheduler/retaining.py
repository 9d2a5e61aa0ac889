"""The process that drops what is over: it gets the database's address and the archive by standard input, and ends."""

import asyncio
import os
import signal
import sys

from consumers.scheduler.retention import drop_all
from sql.process.clock import new_id, now

NICE = 10


def main() -> None:
    """Drop once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    dsn, archive = [sys.stdin.buffer.readline().decode().strip() for _ in range(2)]
    asyncio.run(drop_all(dsn, archive, now(), new_id))


if __name__ == "__main__":
    main()
