"""The commands that wait for the log: in order for each tenant, and the tenants in turn.

A batch is taken from the front. One tenant that sends thousands makes others wait for its share of a batch only.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class AppendQueue(Generic[T]):
    """A queue with room for `most` items, of which no tenant gets more than half."""

    def __init__(self, most: int, tenant_of: Callable[[T], UUID]) -> None:
        self._most = most
        self._tenant_of = tenant_of
        self._queues: OrderedDict[UUID, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for queue in self._queues.values():
            yield from queue

    def is_full_for(self, tenant_id: UUID) -> bool:
        """Whether no more of this tenant is taken."""
        return self._size >= self._most or len(self._queues.get(tenant_id, ())) >= self._most // 2

    def add(self, item: T) -> None:
        """Put an item behind the others of its tenant."""
        self._queue_of(item).append(item)
        self._size += 1

    def take(self) -> T:
        """The first item of the tenant whose turn it is. Raises KeyError when there is none."""
        tenant_id, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        self._size -= 1
        if queue:
            self._queues[tenant_id] = queue
        return item

    def put_back(self, items: Iterable[T]) -> None:
        """Items that were taken, in that order: each before the others of its tenant."""
        for item in reversed(list(items)):
            self._queue_of(item).appendleft(item)
            self._size += 1

    def drop(self, item: T) -> None:
        """Take an item out, wherever it is; one that is not there any more is no fault."""
        tenant_id = self._tenant_of(item)
        queue = self._queues.get(tenant_id)
        if queue is None or item not in queue:
            return
        queue.remove(item)
        self._size -= 1
        if not queue:
            del self._queues[tenant_id]

    def _queue_of(self, item: T) -> deque[T]:
        return self._queues.setdefault(self._tenant_of(item), deque())
