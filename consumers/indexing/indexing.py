"""The process that keeps the search index, as the projector sees it: it is there while runs go on."""

import asyncio
from contextlib import suppress

import structlog

from sql.process.child import python

log = structlog.get_logger()
AGAIN_S = 10.0
"""After a process that has failed."""


class Indexing:
    """At most one child at a time; it gets the database's address by its standard input, and ends with it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._news = asyncio.Event()
        self._news.set()  # what came while nobody looked
        self._task = asyncio.create_task(self._run(), name="indexing")

    def wake(self) -> None:
        """Runs have gone on."""
        self._news.set()

    async def aclose(self) -> None:
        """End the child, if there is one."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            code = await self._serve()
            if code != 0:
                log.warning("indexing.ended", code=code)
                self._news.set()
                await asyncio.sleep(AGAIN_S)

    async def _serve(self) -> int:
        child = await python("consumers.indexing.worker", stdout=asyncio.subprocess.DEVNULL)
        assert child.stdin is not None
        try:
            with suppress(OSError):
                child.stdin.write(self._dsn.encode() + b"\n")
                await child.stdin.drain()
            return await child.wait()
        finally:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
