"""The process that drops what is over: it gets the database's address and the archive by standard input, and ends."""

import asyncio
import os
import signal
import sys

from consumers.scheduler.retention import NOT_YET, drop_all
from projections.engine.projection import BEING_BUILT
from sql.process.clock import new_id, now

NICE = 10


def main() -> None:
    """Drop once. It ends with NOT_YET where the read models that say what is over are being built."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    dsn, archive = [sys.stdin.buffer.readline().decode().strip() for _ in range(2)]
    try:
        asyncio.run(drop_all(dsn, archive, now(), new_id))
    except BEING_BUILT:
        sys.exit(NOT_YET)


if __name__ == "__main__":
    main()
