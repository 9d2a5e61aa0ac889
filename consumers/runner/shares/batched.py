"""Many questions asked as one: those that come while one is under way go into the next."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Batched(Generic[K, V]):
    """Asks about `most` at a time, first come, first served."""

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], most: int) -> None:
        self._ask = ask
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def of(self, key: K) -> V | None:
        """The answer about this one, None where there is none. Raises what `ask` raises."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_all())
        return await answer

    async def _ask_for_all(self) -> None:
        while self._waiting:
            part, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if keys := [key for key, answer in part if not answer.done()]:
                await self._answer(part, keys)
        self._asking = None

    async def _answer(self, part: Sequence[tuple[K, asyncio.Future[V | None]]], keys: Sequence[K]) -> None:
        found: Mapping[K, V] = {}
        failed: Exception | None = None
        try:
            found = await self._ask(keys)
        except Exception as error:  # noqa: BLE001 - those who have asked are told
            failed = error
        for key, answer in part:
            if answer.done():
                continue
            if failed is None:
                answer.set_result(found.get(key))
            else:
                answer.set_exception(failed)
