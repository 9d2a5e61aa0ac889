"""Variables as they are now; secret ones sealed."""

from datetime import datetime
from uuid import UUID

import msgspec

from domain.connection.variables import Scalar
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/variables.sql")
_scalar: "msgspec.json.Decoder[Scalar]" = msgspec.json.Decoder(Scalar)
MOST = 200
"""Variables of one workspace: each render of a zap that names one reads them all."""


class StoredVariable(msgspec.Struct, frozen=True):
    """A variable: its value, or the box of a secret one."""

    name: str
    value: Scalar | None
    box: bytes | None
    changed_at: datetime
    position: int


def variable_context(name: str) -> bytes:
    """What the box of a variable is sealed for, with the key of its workspace."""
    return b"variable " + name.encode()


class VariableTables:
    """The table. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, tenant_id: UUID, variable: StoredVariable) -> None:
        """Keep what a variable is after its event at a position."""
        value = None if variable.value is None else msgspec.json.encode(variable.value).decode()
        row = (tenant_id, variable.name, value, variable.box, variable.changed_at, variable.position)
        await self._pool.execute(_queries["put_variable"], *row)

    async def all(self, tenant_id: UUID) -> list[StoredVariable]:
        """A tenant's variables, by name."""
        return [_variable(*row) for row in await self._pool.fetch(_queries["variables"], tenant_id)]

    async def get(self, tenant_id: UUID, name: str) -> StoredVariable | None:
        """One of them."""
        row = await self._pool.fetchrow(_queries["variable"], tenant_id, name)
        return _variable(*row) if row else None

    async def count(self, tenant_id: UUID) -> int:
        """How many a tenant has."""
        found: int = await self._pool.fetchval(_queries["count_variables"], tenant_id)
        return found

    async def delete(self, tenant_id: UUID, name: str) -> bool:
        """Forget one; False where there was none."""
        return bool(await self._pool.fetchval(_queries["delete_variable"], tenant_id, name))


def _variable(name: str, value: str | None, box: bytes | None, changed_at: datetime, position: int) -> StoredVariable:
    return StoredVariable(name, None if value is None else _scalar.decode(value), box, changed_at, position)
