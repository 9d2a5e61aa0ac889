"""Reads the next page of a long table while the current one is in use."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

Row = TypeVar("Row")


async def read_ahead(source: AsyncIterator[list[Row]]) -> AsyncGenerator[list[Row]]:
    """The pages that are not empty, each requested while the previous one is in use. Close it with `aclosing`."""

    async def ask() -> list[Row]:
        return await anext(source, [])

    coming = asyncio.create_task(ask())
    try:
        while page := await coming:
            coming = asyncio.create_task(ask())
            yield page
    finally:
        # Nobody needs the page that was under way, or its error.
        coming.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await coming
