"""The log's NOTIFY as a hint that there is something to do. It may be lost: nobody may depend on it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sql.postgres.pool import CONNECTION_ERRORS, Connection, connect

log = structlog.get_logger()
_RETRY_S = 0.25


async def listen(
    dsn: str, name: str, hinted: Callable[[int], None], work: Callable[[Connection], Awaitable[None]]
) -> None:
    """Call `hinted` with the log's head after each commit, for as long as the task lives, through outages.

    `work` has the connection meanwhile. Once it returns or the connection is lost, there is another one.
    """
    while True:
        connection: Connection | None = None
        try:
            connection = await connect(dsn, name, statement_timeout="10s")
            await connection.add_listener("es", lambda *said: hinted(int(str(said[3]))))
            await work(connection)
        except CONNECTION_ERRORS as error:
            log.info("hints.log_lost", error=repr(error))
        finally:
            if connection is not None:
                connection.terminate()
        await asyncio.sleep(_RETRY_S)
