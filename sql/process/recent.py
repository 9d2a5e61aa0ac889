"""What a process has asked for lately, so that it need not ask again: so many answers, or bytes, each for a time."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
FOR_GOOD = float("inf")


class Recent(Generic[K, V]):
    """At most so many values, each for some seconds; what was used longest ago makes room. With `size` it is bytes."""

    def __init__(
        self,
        most: int,
        for_s: float = FOR_GOOD,
        monotonic: Callable[[], float] = time.monotonic,
        size: Callable[[V], int] = lambda _value: 1,
    ) -> None:
        self._most = most
        self._size = size
        self._held = 0
        self._for_s = for_s
        self._monotonic = monotonic
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What was put under a key, while it counts."""
        until, value = self._values.get(key, (0.0, None))
        if value is None or until <= self._monotonic():
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, from now on."""
        self.forget(key)
        self._values[key] = self._monotonic() + self._for_s, value
        self._held += self._size(value)
        while self._held > self._most:
            self.forget(next(iter(self._values)))

    def forget(self, key: K) -> None:
        """Ask anew next time."""
        gone = self._values.pop(key, None)
        self._held -= self._size(gone[1]) if gone else 0
