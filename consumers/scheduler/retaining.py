"""The process that drops what is over, and ends.

Standard input says where the database and the archive are, then whose runs are meant and of which month: a line each,
of which the last two may be empty.
"""

import asyncio
import os
import signal
import sys
from datetime import date
from uuid import UUID

from consumers.scheduler.retention import NOT_YET, drop_all
from projections.engine.projection import BEING_BUILT
from sql.process.clock import new_id, now

NICE = 10


def main() -> None:
    """Drop once. It ends with NOT_YET where something is left, as read models are being built."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    dsn, archive, tenant, month = [sys.stdin.buffer.readline().decode().strip() for _ in range(4)]
    of = UUID(tenant) if tenant else None, date.fromisoformat(month) if month else None
    try:
        is_done = asyncio.run(drop_all(dsn, archive, now(), new_id, tenant_id=of[0], month=of[1]))
    except BEING_BUILT:
        is_done = False
    sys.exit(0 if is_done else NOT_YET)


if __name__ == "__main__":
    main()
