"""Room in bytes for the payloads of runs in memory, shared fairly by tenant. A run waits until its payloads fit."""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager
from itertools import count
from uuid import UUID

import msgspec

from consumers.runner.shares.share import Share, is_granted, patience
from domain.envelope import MAX_INLINE_DATA

SMALL_BYTES = 32 * 2**20
"""Payloads of small runs that were taken from the topic and are not finished."""
LARGE_BYTES = 16 * 2**20
"""Payloads of large runs that are being carried on: these, or a single run that is larger."""


class Held(msgspec.Struct, frozen=True):
    """Room that a payload holds, and since when on the clock of the event loop."""

    tenant_id: UUID
    size: int
    since: float


class Room:
    """A number of bytes. A tenant may hold as many as are free, so whoever comes next finds room (see Slots).

    What is given back goes to the tenant that holds the least, and there it is first come, first served. A payload that
    is too large for that gets in when its tenant holds nothing, and one that is larger than the room when it is empty:
    nobody passes a tenant that waits and holds nothing, so the room does become empty.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = self._waiting = 0
        self._tenants: dict[UUID, _Tenant] = {}
        self._turn = count(1)
        self._patience = patience()

    def of(self, tenant_id: UUID, size: int, *, patient: bool = True) -> "_Holding":
        """Hold room for as long as a block runs. Raises Busy where the wait would be long and nobody is `patient`."""
        return _Holding(self, tenant_id, size, patient)

    def take_now(self, tenant_id: UUID, size: int) -> Held | None:
        """Hold room until `give`. None where it would take a wait."""
        tenant = self._tenants.get(tenant_id) or _Tenant(next(self._turn))
        if tenant.queue or not self._fits(tenant, size) or self._would_pass(tenant):
            return None
        self._tenants[tenant_id] = tenant
        self._take(tenant, size)
        return _held(tenant_id, size)

    async def take(self, tenant_id: UUID, size: int, *, patient: bool = True) -> Held:
        """The same after a wait. Raises Busy."""
        if held := self.take_now(tenant_id, size):
            return held
        tenant = self._tenants.setdefault(tenant_id, _Tenant(next(self._turn)))
        if not patient and tenant.is_full:
            raise tenant.busy()
        turn = _Turn(size)
        tenant.queue.append(turn)
        self._count(tenant, 1)
        if not patient:
            self._patience.watch(turn.comes)
        try:
            await turn.comes
        except BaseException as error:
            self._give_up(tenant_id, tenant, turn)
            if isinstance(error, TimeoutError):
                raise tenant.gave_up() from None
            raise
        return _held(tenant_id, size)

    def give(self, held: Held) -> None:
        """Free what was taken."""
        tenant = self._tenants[held.tenant_id]
        tenant.took(asyncio.get_running_loop().time() - held.since)
        self._give_back(held.tenant_id, tenant, held.size)

    def _would_pass(self, tenant: "_Tenant") -> bool:
        """Whether one waits that holds no more, and so is next."""
        return self._waiting > 0 and self._next().held <= tenant.held

    def _next(self) -> "_Tenant":
        return min((one for one in self._tenants.values() if one.waiting), key=lambda one: one.rank)

    def _fits(self, tenant: "_Tenant", size: int) -> bool:
        free = self._limit - self._held
        if tenant.held:
            return tenant.held + size <= free
        return size <= free or not self._held

    def _take(self, tenant: "_Tenant", size: int) -> None:
        self._held += size
        tenant.held += size
        tenant.running += 1
        tenant.served = next(self._turn)

    def _give_back(self, tenant_id: UUID, tenant: "_Tenant", size: int) -> None:
        self._held -= size
        tenant.held -= size
        tenant.running -= 1
        self._forget(tenant_id, tenant)
        self._admit()

    def _give_up(self, tenant_id: UUID, tenant: "_Tenant", turn: "_Turn") -> None:
        if is_granted(turn.comes):
            self._give_back(tenant_id, tenant, turn.size)  # at the very moment at which the wait ended
            return
        if turn in tenant.queue:
            tenant.queue.remove(turn)
            self._count(tenant, -1)
        self._forget(tenant_id, tenant)
        self._admit()

    def _count(self, tenant: "_Tenant", change: int) -> None:
        self._waiting += change
        tenant.waiting += change

    def _forget(self, tenant_id: UUID, tenant: "_Tenant") -> None:
        if not tenant.running and not tenant.waiting:
            self._tenants.pop(tenant_id, None)

    def _admit(self) -> None:
        """Whoever holds the least is next, and nobody passes it: so a large payload gets its turn, too."""
        while self._waiting:
            tenant = self._next()
            turn = tenant.queue[0]
            is_over = turn.comes.done()
            if not is_over and not self._fits(tenant, turn.size):
                return
            tenant.queue.popleft()
            self._count(tenant, -1)
            if not is_over:
                self._take(tenant, turn.size)
                turn.comes.set_result(None)


class _Turn:
    """Somebody waits for so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.comes: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Tenant(Share):
    """Its queue is first come, first served."""

    def __init__(self, served: int) -> None:
        super().__init__(served)
        self.held = 0
        self.queue: deque[_Turn] = deque()

    @property
    def rank(self) -> tuple[int, int]:
        """The lowest is served first: it holds the fewest bytes, and was served, or came, least recently."""
        return self.held, self.served


def _held(tenant_id: UUID, size: int) -> Held:
    return Held(tenant_id, size, asyncio.get_running_loop().time())


class _Holding:
    """Room that is held for as long as a block runs. Each item takes some: a generator's context would cost more."""

    __slots__ = ("_asked", "_held", "_room")

    def __init__(self, room: Room, tenant_id: UUID, size: int, patient: bool) -> None:
        self._room = room
        self._asked = tenant_id, size, patient
        self._held: Held | None = None

    async def __aenter__(self) -> None:
        tenant_id, size, patient = self._asked
        self._held = await self._room.take(tenant_id, size, patient=patient)

    async def __aexit__(self, *_error: object) -> None:
        assert self._held is not None, "it was entered"
        self._room.give(self._held)


class Rooms:
    """Two rooms, so that small runs do not wait for large ones."""

    def __init__(self) -> None:
        self.small = Room(SMALL_BYTES)
        self._large = Room(LARGE_BYTES)

    def of(self, tenant_id: UUID, size: int, *, patient: bool = True) -> AbstractAsyncContextManager[None]:
        """Room for a run's payloads, see Room.of."""
        return (self._large if is_large(size) else self.small).of(tenant_id, size, patient=patient)


def is_large(size: int) -> bool:
    """Whether a run's payloads are read only when it is its turn."""
    return size > MAX_INLINE_DATA
