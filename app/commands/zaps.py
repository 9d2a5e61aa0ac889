"""Commands on zaps: load the stream, fold, decide, append at the version that was seen."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.accounts.auth import Principal
from app.commands.loaded_zap import LoadedZap, load, load_existing
from app.intake.live_zaps import LiveZaps
from domain.log.errors import Invalid, NotFound, VersionConflict
from domain.log.event import Append, Appended, NewEvent, StreamKind
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.zap import zap
from domain.zap.definition import Catalog, Definition, validate
from domain.zap.zap import ChangeDraft, CreateZap, ZapCommand, ZapEvent

ATTEMPTS = 5
"""How often a command without an expected version is decided anew when others were quicker."""


class Zaps:
    """Zaps of all tenants; every method takes whose it must be, and raises NotFound for anybody else's."""

    def __init__(self, store: EventStore, catalog: Catalog, live_zaps: LiveZaps, new_id: NewId) -> None:
        self._store = store
        self._catalog = catalog
        self._live_zaps = live_zaps
        self._new_id = new_id

    async def load(self, tenant_id: UUID, zap_id: UUID, as_of: datetime | None = None) -> LoadedZap:
        """The zap as it is, or as it was. Raises NotFound, also for a zap that is (or was then) deleted."""
        return await load_existing(self._store, tenant_id, zap_id, as_of)

    async def create(self, principal: Principal, command: CreateZap) -> LoadedZap:
        """A new zap with its first draft. Raises Invalid."""
        zap_id = self._new_id()
        await self._check(principal, zap_id, command.definition)
        await self._append(principal, zap_id, 0, zap.decide(command, zap.INITIAL))
        return await load(self._store, principal.tenant_id, zap_id)

    async def execute(
        self, principal: Principal, zap_id: UUID, command: ZapCommand, expected: frozenset[int] | None = None
    ) -> LoadedZap:
        """Carry out a command; with `expected` only if the stream has one of these versions.

        Raises NotFound, WrongStatus, Invalid and VersionConflict.
        """
        if isinstance(command, ChangeDraft):
            await self._check(principal, zap_id, command.definition)
        for _ in range(ATTEMPTS):
            loaded = await load(self._store, principal.tenant_id, zap_id)
            if expected is not None and loaded.stream_version not in expected:
                break
            events = zap.decide(command, loaded.zap)
            if not events:
                return loaded
            if await self._append(principal, zap_id, loaded.stream_version, events):
                return await load(self._store, principal.tenant_id, zap_id)
        if expected is None:
            raise StoreUnavailable("the zap changed at every attempt")
        raise VersionConflict("the zap was changed since you read it: read it again and use its new ETag")

    async def _check(self, principal: Principal, zap_id: UUID, definition: Definition) -> None:
        """Raises Invalid for what a definition may not say, its error zap included."""
        validate(definition, self._catalog)
        error_zap = definition.behaviour.on_failure.zap_id
        if error_zap is None:
            return
        reason = "a zap can not be its own error zap" if error_zap == zap_id else None
        try:
            await self.load(principal.tenant_id, error_zap)
        except NotFound:
            reason = "no such zap"
        if reason:
            path = "settings.on_failure.zap_id"
            raise Invalid(f"{path}: {reason}", errors=[{"path": path, "reason": reason}])

    async def _append(self, principal: Principal, zap_id: UUID, expected: int, events: Sequence[ZapEvent]) -> bool:
        try:
            result = await self._store.append(
                Append(
                    kind=StreamKind.CORE,
                    stream_id=zap_id,
                    expected=expected,
                    tenant_id=principal.tenant_id,
                    ordering_key=zap_id,
                    events=tuple(NewEvent(self._new_id(), event) for event in events),
                    metadata=principal.metadata,
                )
            )
        finally:
            # Also when the outcome is unknown: reading once more is cheap, a stale entry is not.
            self._live_zaps.invalidate(zap_id)
        return isinstance(result, Appended)
