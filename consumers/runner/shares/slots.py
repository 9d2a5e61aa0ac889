"""How many actions run at once: in all, for a tenant and for a zap, so that a hanging target leaves room for others."""

import asyncio
from collections import deque
from itertools import count
from uuid import UUID

from consumers.runner.shares.share import Share, is_granted, patience

MOST_WAITERS = 4_000
"""Runs of a tenant that may wait while other tenants are active: the lanes have room for 10,000."""


class Slots:
    """Slots for actions, shared fairly by tenant, and a tenant's by zap.

    A tenant may hold as many slots as are free: one tenant alone half of all, each of two a third, and so on. So the
    next tenant finds free slots, however long the others' actions take (dynamic thresholds, Choudhury and Hahne 1998).
    A slot that is given back goes to the tenant that holds the fewest, and there to the zap that holds the fewest.
    Slots are alike, other than what is held of a Room: whoever may begin passes those that may not.
    """

    def __init__(self, total: int, per_zap: int) -> None:
        self._free = total
        self._per_zap = per_zap
        self._tenants: dict[UUID, _Tenant] = {}
        self._waiting = 0
        self._turn = count(1)
        self._patience = patience()

    def of(self, tenant_id: UUID, zap_id: UUID, limit: int | None = None) -> "_Held":
        """Hold a slot for as long as a block runs. Raises Busy rather than wait for long. `limit`: the zap's own."""
        return _Held(self, tenant_id, zap_id, limit)

    def join(self, tenant_id: UUID, zap_id: UUID, limit: int | None) -> "tuple[_Tenant, _Zap]":
        """Count one more who wants or holds a slot, until `part`."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = _Tenant(next(self._turn))
        zap = tenant.zaps.get(zap_id)
        if zap is None:
            zap = tenant.zaps[zap_id] = _Zap(next(self._turn))
        zap.limit = limit or self._per_zap
        tenant.users += 1
        zap.users += 1
        return tenant, zap

    def part(self, tenant_id: UUID, zap_id: UUID) -> None:
        """The opposite of `join`."""
        tenant = self._tenants[tenant_id]
        zap = tenant.zaps[zap_id]
        tenant.users -= 1
        zap.users -= 1
        if not zap.users:
            del tenant.zaps[zap_id]
        if not tenant.users:
            del self._tenants[tenant_id]

    async def enter(self, tenant: "_Tenant", zap: "_Zap") -> None:
        """Take a slot, now or when it is the zap's turn."""
        if not zap.queue and self._may_begin(tenant, zap):
            self._take(tenant, zap)
            return
        full = self._too_full(tenant, zap)
        if full is not None:
            raise full.busy()
        turn = asyncio.get_running_loop().create_future()
        zap.queue.append(turn)
        self._count(tenant, zap, 1)
        self._admit()  # in case the limit has been raised
        self._patience.watch(turn)
        try:
            await turn
        except BaseException as error:
            self._give_up(tenant, zap, turn)
            if isinstance(error, TimeoutError):
                raise zap.gave_up() from None
            raise

    def leave(self, tenant: "_Tenant", zap: "_Zap", held_s: float) -> None:
        """Give the slot back."""
        tenant.took(held_s)
        zap.took(held_s)
        self._give_back(tenant, zap)

    def _give_up(self, tenant: "_Tenant", zap: "_Zap", turn: asyncio.Future[None]) -> None:
        if is_granted(turn):
            self._give_back(tenant, zap)  # the slot was granted at the very moment at which the wait ended
            return
        turn.cancel()
        self._count(tenant, zap, -1)
        while zap.queue and zap.queue[0].done():
            del zap.queue[0]

    def _count(self, tenant: "_Tenant", zap: "_Zap", change: int) -> None:
        self._waiting += change
        tenant.waiting += change
        zap.waiting += change

    def _may_begin(self, tenant: "_Tenant", zap: "_Zap") -> bool:
        return tenant.running < self._free and zap.running < zap.limit

    def _take(self, tenant: "_Tenant", zap: "_Zap") -> None:
        self._free -= 1
        tenant.running += 1
        zap.running += 1
        tenant.served = zap.served = next(self._turn)

    def _give_back(self, tenant: "_Tenant", zap: "_Zap") -> None:
        self._free += 1
        tenant.running -= 1
        zap.running -= 1
        self._admit()

    def _admit(self) -> None:
        """Give free slots to those that hold the fewest; among equals, to the one of the lowest turn (see Share)."""
        while self._waiting and (found := min(self._next(), key=lambda pair: pair[0].rank, default=None)):
            tenant, zap = found
            turn = zap.queue.popleft()
            if not turn.done():
                self._count(tenant, zap, -1)
                self._take(tenant, zap)
                turn.set_result(None)

    def _next(self) -> "list[tuple[_Tenant, _Zap]]":
        """For each tenant that may have a slot, the zap that gets it."""
        found: list[tuple[_Tenant, _Zap]] = []
        for tenant in self._tenants.values():
            if tenant.waiting and tenant.running < self._free:
                zaps = [zap for zap in tenant.zaps.values() if zap.queue and zap.running < zap.limit]
                if zaps:
                    found.append((tenant, min(zaps, key=lambda zap: zap.rank)))
        return found

    def _too_full(self, tenant: "_Tenant", zap: "_Zap") -> "Share | None":
        """The zap or tenant whose queue is too long to wait in, None where neither is."""
        if zap.is_full:
            return zap
        most = MOST_WAITERS if len(self._tenants) > 1 else float("inf")
        if tenant.is_full or tenant.waiting >= most:
            return tenant
        return None


class _Held:
    """A slot, held for as long as a block runs. Each run takes one: a generator's context would cost more."""

    __slots__ = ("_began", "_limit", "_slots", "_tenant", "_tenant_id", "_zap", "_zap_id")

    def __init__(self, slots: Slots, tenant_id: UUID, zap_id: UUID, limit: int | None) -> None:
        self._slots = slots
        self._tenant_id = tenant_id
        self._zap_id = zap_id
        self._limit = limit

    async def __aenter__(self) -> None:
        self._tenant, self._zap = self._slots.join(self._tenant_id, self._zap_id, self._limit)
        try:
            await self._slots.enter(self._tenant, self._zap)
        except BaseException:
            self._slots.part(self._tenant_id, self._zap_id)
            raise
        self._began = asyncio.get_running_loop().time()

    async def __aexit__(self, *_error: object) -> None:
        self._slots.leave(self._tenant, self._zap, asyncio.get_running_loop().time() - self._began)
        self._slots.part(self._tenant_id, self._zap_id)


class _Tenant(Share):
    def __init__(self, served: int) -> None:
        super().__init__(served)
        self.zaps: dict[UUID, _Zap] = {}


class _Zap(Share):
    """Its queue is first come, first served."""

    def __init__(self, served: int) -> None:
        super().__init__(served)
        self.limit = 1
        self.queue: deque[asyncio.Future[None]] = deque()

    @property
    def width(self) -> int:
        """How many of its actions may run at once."""
        return self.limit
