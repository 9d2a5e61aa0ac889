"""The process that verifies stretches of the log: it is told where the database is, then which, a line each."""

import asyncio
import signal
import sys

import msgspec

from sql.postgres.pool import connect
from sql.proof.chain import check


async def _work(dsn: str) -> None:
    connection = await connect(dsn, "verify", statement_timeout="0")
    try:
        for line in sys.stdin.buffer:
            first, last = msgspec.json.decode(line, type=tuple[int, int])
            sys.stdout.buffer.write(msgspec.json.encode(await check(connection, first, last)) + b"\n")
            sys.stdout.buffer.flush()
    finally:
        connection.terminate()


def main() -> None:
    """Answer each line, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_work(sys.stdin.buffer.readline().decode().strip()))


if __name__ == "__main__":
    main()
