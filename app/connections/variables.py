"""Commands on variables."""

from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from domain.connection.variables import (
    MAX_VALUE,
    Scalar,
    VariableDeleted,
    VariableEvent,
    VariableSet,
    stream_of_variable,
)
from domain.log.errors import Invalid, LimitReached, NotFound
from domain.log.event import Appended, NewEvent
from domain.log.ports import Clock, EventStore, NewId, StoreUnavailable
from domain.log.stream import facts
from sql.secrets.data_keys import DataKeys
from sql.tables.variables import MOST, StoredVariable, VariableTables, variable_context


class Variables:
    """Variables of all tenants."""

    def __init__(self, store: EventStore, tables: VariableTables, keys: DataKeys, now: Clock, new_id: NewId) -> None:
        self._store = store
        self._keys = keys
        self._now = now
        self._new_id = new_id
        self.tables = tables

    async def get(self, tenant_id: UUID, name: str) -> StoredVariable:
        """A variable. Raises NotFound."""
        found = await self.tables.get(tenant_id, name)
        if found is None:
            raise NotFound("no such variable")
        return found

    async def put(self, principal: Principal, name: str, value: Scalar, *, secret: bool) -> StoredVariable:
        """Give a variable a value, and make it where it is not there. Raises Invalid and LimitReached."""
        if secret and not isinstance(value, str):
            raise _invalid("a secret is a text")
        if len(msgspec.json.encode(value)) > MAX_VALUE:
            raise _invalid(f"a value has at most {MAX_VALUE:,} bytes as JSON")
        tenant_id = principal.tenant_id
        if await self.tables.get(tenant_id, name) is None and await self.tables.count(tenant_id) >= MOST:
            raise LimitReached(f"a workspace has at most {MOST} variables: delete one first")
        position = await self._record(
            principal, name, VariableSet(name=name, secret=secret, value=None if secret else value)
        )
        box = (await self._keys.of(tenant_id)).seal(str(value), variable_context(name)) if secret else None
        stored = StoredVariable(name, None if secret else value, box, self._now(), position)
        await self.tables.put(tenant_id, stored)
        return stored

    async def delete(self, principal: Principal, name: str) -> None:
        """Forget a variable. Raises NotFound."""
        await self.get(principal.tenant_id, name)
        await self._record(principal, name, VariableDeleted(name=name))
        await self.tables.delete(principal.tenant_id, name)

    async def _record(self, principal: Principal, name: str, event: VariableEvent) -> int:
        new = NewEvent(self._new_id(), event)
        stream_id = stream_of_variable(principal.tenant_id, name)
        match await self._store.append(facts(stream_id, principal.tenant_id, new, metadata=principal.metadata)):
            case Appended(position=position):
                return position
            case _:
                raise StoreUnavailable("the change could not be stored")


def _invalid(reason: str) -> Invalid:
    return Invalid(f"value: {reason}", errors=[{"path": "value", "reason": reason}])
