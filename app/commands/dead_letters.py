"""Commands on the inbox of dead letters: resolve a group, write a note."""

from uuid import UUID

from app.accounts.auth import Principal
from domain.failures.failures import FailuresNoted, FailuresResolved, stream_of
from domain.log.errors import NotFound
from domain.log.event import Appended, NewEvent
from domain.log.ports import NewId, StoreUnavailable
from domain.log.stream import facts
from projections.dead_letters import DeadLetters, get_dead_letters
from sql.log.event_store import PgEventStore


class Inbox:
    """Groups of all tenants. Every method takes the tenant, and raises NotFound for a group of another one."""

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def resolve(self, principal: Principal, group_id: UUID, count: int | None) -> int:
        """Resolve the group's first `count` failures, or all that are listed now. Returns the position."""
        group = await self._load(principal, group_id)
        count = min(group.count, count or group.count)
        if count <= group.resolved:
            return group.position
        total = count + group.recovered
        resolved = FailuresResolved(zap_id=group.zap_id, step_id=group.step_id, code=group.code, count=total)
        return await self._append(principal, resolved)

    async def note(self, principal: Principal, group_id: UUID, note: str) -> int:
        """Write about a group. Gives the position."""
        group = await self._load(principal, group_id)
        if note == group.note:
            return group.position
        noted = FailuresNoted(zap_id=group.zap_id, step_id=group.step_id, code=group.code, note=note)
        return await self._append(principal, noted)

    async def _load(self, principal: Principal, group_id: UUID) -> DeadLetters:
        group = await get_dead_letters(self._store.pool, principal.tenant_id, group_id)
        if group is None:
            raise NotFound("no such group of failed runs")
        return group

    async def _append(self, principal: Principal, event: FailuresResolved | FailuresNoted) -> int:
        new, stream_id = NewEvent(self._new_id(), event), stream_of(event.zap_id)
        result = await self._store.append(
            facts(event.zap_id, principal.tenant_id, new, metadata=principal.metadata, stream_id=stream_id)
        )
        if not isinstance(result, Appended):
            raise StoreUnavailable("the log did not take it")
        return result.position
