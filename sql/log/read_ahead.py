"""Reading a long table in pages while the page before is worked on: the server and we are busy at the same time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

Row = TypeVar("Row")


async def read_ahead(source: AsyncIterator[list[Row]]) -> AsyncGenerator[list[Row]]:
    """The same pages, none empty, each asked for while the one before is in use. To be closed with `aclosing`."""

    async def ask() -> list[Row]:
        return await anext(source, [])

    coming = asyncio.create_task(ask())
    try:
        while page := await coming:
            coming = asyncio.create_task(ask())
            yield page
    finally:
        # Nobody waits for the page that was on its way, nor for what became of it.
        coming.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await coming
