"""Variables as templates see them: all of a workspace, read at most once a second.

Secret ones are only for what a step sends to others: nothing else may hold them, as everything else is on record.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import structlog

from domain.connection.blot import NOTHING, Blot
from domain.values.json import Json, JsonObject
from domain.values.redaction import REDACTED
from sql.postgres.pool import Pool
from sql.process.recent import Recent
from sql.tables.variables import StoredVariable, VariableTables, variable_context

if TYPE_CHECKING:
    from sql.secrets.data_keys import DataKeys

log = structlog.get_logger()
KEPT_S = 1.0
MOST = 1_000
"""Workspaces whose variables are kept."""


class Known(msgspec.Struct, frozen=True):
    """A workspace's variables. `shown` has words in the place of secrets; `blot` takes them out of what comes back."""

    plain: JsonObject = {}
    secret: dict[str, Json] = {}
    blot: Blot = NOTHING

    @property
    def all(self) -> JsonObject:
        """Both."""
        return {**self.plain, **self.secret}

    @property
    def shown(self) -> JsonObject:
        """All names, without what is secret."""
        return {**self.plain, **dict.fromkeys(self.secret, REDACTED)}


NO_VARIABLES = Known()
LookUp = Callable[[UUID], Awaitable[Known]]
"""The variables of a workspace."""


async def none(_tenant_id: UUID) -> Known:
    """For those who have none."""
    return NO_VARIABLES


class Variables:
    """The variables of all workspaces, for one process. `ring` is TRIGGERHUB_ENCRYPTION_KEY."""

    def __init__(self, pool: Pool, ring: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = VariableTables(pool)
        self._pool = pool
        self._ring = ring
        self._keys: DataKeys | None = None
        self._kept = Recent[UUID, Known](MOST, KEPT_S, monotonic)

    async def of(self, tenant_id: UUID) -> Known:
        """A workspace's variables as they are. Raises sql.postgres.pool.CONNECTION_ERRORS."""
        kept = self._kept.get(tenant_id)
        if kept is not None:
            return kept
        rows = await self._tables.all(tenant_id)
        secret = await self._opened(tenant_id, [row for row in rows if row.box is not None])
        plain: JsonObject = {row.name: row.value for row in rows if row.box is None}
        known = Known(plain, dict(secret), Blot(secret.values()))
        self._kept.put(tenant_id, known)
        return known

    async def _opened(self, tenant_id: UUID, rows: list[StoredVariable]) -> dict[str, str]:
        if not rows:
            return {}
        from sql.secrets.data_keys import DataKeys  # most runners meet no secret, and spare the memory
        from sql.secrets.secret_box import Unreadable

        self._keys = self._keys or DataKeys(self._pool, self._ring)
        try:
            box = await self._keys.of(tenant_id)
            return {row.name: box.open(row.box or b"", variable_context(row.name)) for row in rows}
        except Unreadable:
            log.error("variables.unreadable", tenant_id=str(tenant_id))  # noqa: TRY400 - it says all there is
            return {}
