"""How many bytes of requests zaps may hold while they are paused: so many per zap, and four times that per user.

What is held is in the request list, which lags a little behind the log: what this process added since then counts, too.
Other processes' last second or so does not, nor does what is under way.
"""

import time
from collections.abc import Callable
from uuid import UUID

import msgspec

from app.intake.refusals import HeldFull
from domain.log.partitioning import partition_of
from domain.log.ports import StoreUnavailable
from projections.engine.freshness import gates_of
from projections.engine.projection import BEING_BUILT
from projections.request_list import REQUEST_LIST, held_bytes
from sql.postgres.pool import CONNECTION_ERRORS, Pool

ZAPS_PER_USER = 4
"""A user's zaps may hold together what so many of them may."""
LOOK_EVERY_S = 1.0
MAX_USERS = 10_000
"""Users remembered; where there are more, what is known of all of them is read again."""


class _Account(msgspec.Struct):
    """A user's held bytes: by zap as the list had them, and (position, zap, bytes) of what it did not have yet."""

    looked_at: float
    listed: dict[UUID, int] = {}
    added: list[tuple[int, UUID, int]] = []


class HeldRoom:
    """The room of this process's view. `per_zap` is in bytes."""

    def __init__(self, pool: Pool, per_zap: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._per_zap = per_zap
        self._monotonic = monotonic
        self._accounts: dict[UUID, _Account] = {}

    async def require(self, tenant_id: UUID, zap_id: UUID, size: int) -> None:
        """Raises HeldFull where a request of that many bytes is too much, and StoreUnavailable."""
        account = await self._account(tenant_id)
        of_zap = account.listed.get(zap_id, 0) + sum(added for _, zap, added in account.added if zap == zap_id)
        of_user = sum(account.listed.values()) + sum(added for _, _, added in account.added)
        for held, most, whose in (
            (of_zap, self._per_zap, "this zap"),
            (of_user, ZAPS_PER_USER * self._per_zap, "this zap's owner"),
        ):
            if held + size > most:
                raise HeldFull(f"{whose} may hold {most} bytes of requests while paused, and holds {held}")

    def add(self, tenant_id: UUID, zap_id: UUID, size: int, position: int) -> None:
        """Count a request that was stored at a position."""
        if tenant_id in self._accounts:
            self._accounts[tenant_id].added.append((position, zap_id, size))

    async def _account(self, tenant_id: UUID) -> _Account:
        account = self._accounts.get(tenant_id)
        if account is not None and self._monotonic() - account.looked_at < LOOK_EVERY_S:
            return account
        try:
            # Gates first: what they have passed is in the list by then.
            gates = await gates_of(self._pool, REQUEST_LIST.name)
            listed = await held_bytes(self._pool, tenant_id)
        except BEING_BUILT:
            gates, listed = [], {}
        except CONNECTION_ERRORS:
            raise StoreUnavailable("what is held can not be read") from None
        if account is None:
            if len(self._accounts) >= MAX_USERS:
                self._accounts.clear()
            account = self._accounts[tenant_id] = _Account(self._monotonic())
        account.looked_at, account.listed = self._monotonic(), listed
        if gates:
            account.added = [one for one in account.added if one[0] > gates[partition_of(one[1], len(gates))]]
        return account
