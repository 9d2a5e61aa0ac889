"""Values that can be made again, kept while there is room for them, in bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Held(Generic[V]):
    """A cache of what takes a while to make. Whoever asks for what is being made waits for it.

    A value that was not asked for the longest goes first; one alone may be larger than the room.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: OrderedDict[Hashable, tuple[asyncio.Future[V], int]] = OrderedDict()
        self._size = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[tuple[V, int]]]) -> V:
        """The value of a key. `make` gives it with its size; what it raises is raised to all that wait."""
        known = self._values.get(key)
        if known is not None:
            self._values.move_to_end(key)
            return known[0].result() if known[0].done() else await asyncio.shield(known[0])
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._values[key] = future, 0
        try:
            value, size = await make()
        except BaseException as error:
            self._values.pop(key, None)
            future.set_exception(error if isinstance(error, Exception) else RuntimeError("cut short"))
            future.exception()  # asyncio warns of one that nobody retrieves
            raise
        future.set_result(value)
        self.put(key, value, size)
        return value

    def drop(self, key: Hashable) -> None:
        """Keep a value no longer: nobody will ask for it again."""
        _, freed = self._values.pop(key, (None, 0))
        self._size -= freed

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep a value that is at hand."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        future.set_result(value)
        _, before = self._values.pop(key, (future, 0))
        self._values[key] = future, size
        self._size += size - before
        while self._size > self._room and len(self._values) > 1:
            _, (_, freed) = self._values.popitem(last=False)
            self._size -= freed
