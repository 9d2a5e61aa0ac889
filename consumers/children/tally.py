"""Which items of a loop are under way, and how the others have ended: a byte for each."""

from bisect import insort
from collections.abc import Collection, Mapping
from types import MappingProxyType

from domain.run.children import MAX_FAILURES, Counts, ItemFailure, ItemStatus

_NEW, _RUNNING = 0, 1
_CODES: Mapping[ItemStatus, int] = MappingProxyType({"completed": 2, "failed": 3, "filtered": 4, "cancelled": 5})


class Tally:
    """What is known of the items of one loop."""

    def __init__(self, count: int) -> None:
        self._items = bytearray(count)
        self._next = 0
        self._of = [count, 0, 0, 0, 0, 0]
        self.failures: list[ItemFailure] = []
        """The first by index."""

    @property
    def running(self) -> int:
        """How many are under way."""
        return self._of[_RUNNING]

    @property
    def failed(self) -> int:
        """How many have failed."""
        return self._of[_CODES["failed"]]

    @property
    def counts(self) -> Counts:
        """How those that have ended did so."""
        return Counts(succeeded=self._of[2], failed=self._of[3], filtered=self._of[4], cancelled=self._of[5])

    @property
    def final(self) -> Counts:
        """The same, once no item is under way: those that were not begun never will be."""
        rest = self._of[_NEW]
        return Counts(succeeded=self._of[2], failed=self._of[3], filtered=self._of[4], cancelled=self._of[5] + rest)

    def next(self, most: int) -> list[int]:
        """The items that are to be begun next, at most so many."""
        while self._next < len(self._items) and not self.is_new(self._next):
            self._next += 1
        found: list[int] = []
        index = self._next
        while index < len(self._items) and len(found) < most:
            if self.is_new(index):
                found.append(index)
            index += 1
        return found

    def is_new(self, index: int) -> bool:
        """Whether nothing is known of an item."""
        return self._items[index] == _NEW

    def leave_out(self, chosen: Collection[int]) -> None:
        """All others are not to be begun: they count as cancelled."""
        for index in {*range(len(self._items))}.difference(chosen):
            self.end(index, "cancelled", None)

    def begin(self, index: int) -> None:
        """An item is under way; one that has ended already stays so."""
        if self._items[index] == _NEW:
            self._set(index, _RUNNING)

    def end(self, index: int, status: ItemStatus, failure: ItemFailure | None) -> None:
        """An item has ended. The first end counts."""
        if self._items[index] > _RUNNING:
            return
        self._set(index, _CODES[status])
        if failure is not None:
            insort(self.failures, failure, key=lambda known: known.index)
            del self.failures[MAX_FAILURES:]

    def _set(self, index: int, code: int) -> None:
        self._of[self._items[index]] -= 1
        self._of[code] += 1
        self._items[index] = code
