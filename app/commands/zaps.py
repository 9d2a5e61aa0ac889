"""Commands on zaps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from uuid import UUID

from app.accounts.auth import Principal
from app.commands.jobs import Jobs
from app.connections.named import NamedConnections
from app.connections.stored import Connections
from app.intake.live_zaps import LiveZaps
from domain.aggregates import ZAP
from domain.connector.catalog import Catalogs
from domain.flow.contents import action_types
from domain.flow.steps import ZapStep
from domain.language.mistakes import SLOW
from domain.log.errors import Invalid, NotFound
from domain.log.event import NewEvent
from domain.log.ports import Clock, EventStore, NewId
from domain.log.stream import facts, handle, load_of
from domain.starting.registering import wishes
from domain.values.json import Json
from domain.zap import zap
from domain.zap.check import template_text, validate
from domain.zap.definition import CALLED, Definition
from domain.zap.settings import SearchKey
from domain.zap.zap import ChangeDraft, CreateZap, LoadedZap, PublishZap, RollBackZap, ZapCommand, existing
from sql.postgres.pool import CONNECTION_ERRORS
from sql.tables.mail_addresses import MailAddresses
from sql.tables.variables import VariableTables

MOST = 100
"""Zaps that are looked at for a circle of calls; at run time the depth of calls is bounded, too."""
Load = Callable[[UUID], Awaitable[LoadedZap]]
"""A zap of the same owner. Raises NotFound."""


class Zaps:
    """Zaps of all tenants. Every method takes the tenant, and raises NotFound for a zap of another one."""

    def __init__(
        self,
        store: EventStore,
        catalogs: Catalogs,
        live_zaps: LiveZaps,
        addresses: MailAddresses,
        *,
        connections: Connections,
        variables: VariableTables,
        jobs: Jobs,
        now: Clock,
        new_id: NewId,
    ) -> None:
        self._store = store
        self._catalogs = catalogs
        self._live_zaps = live_zaps
        self._addresses = addresses
        self._named = NamedConnections(connections)
        self._variables = variables
        self._jobs = jobs
        self._now = now
        self._new_id = new_id

    async def load(self, tenant_id: UUID, zap_id: UUID) -> LoadedZap:
        """The zap as it is. Raises NotFound, also for a zap that is deleted."""
        return existing(await load_of(self._store, ZAP, zap_id, tenant_id))

    async def check(self, principal: Principal, definition: Definition) -> None:
        """Raises Invalid for what a new zap with this definition would be refused for."""
        await self._check(principal, self._new_id(), definition, saves=False)

    async def create(self, principal: Principal, command: CreateZap) -> LoadedZap:
        """A new zap with its first draft. Raises Invalid."""
        zap_id = self._new_id()
        await self._check(principal, zap_id, command.definition)
        events = [NewEvent(self._new_id(), event) for event in zap.decide(command, zap.INITIAL)]
        await self._store.append(facts(zap_id, principal.tenant_id, *events, metadata=principal.metadata, expected=0))
        created = await load_of(self._store, ZAP, zap_id, principal.tenant_id)
        await self._named.settle(principal.tenant_id, command.definition, created.last.position)
        return created

    async def execute(
        self, principal: Principal, zap_id: UUID, command: ZapCommand, expected: frozenset[int] | None = None
    ) -> LoadedZap:
        """Carry out a command; with `expected` only if the stream has one of these versions.

        Raises NotFound, WrongStatus, Invalid and VersionConflict.
        """
        if isinstance(command, ChangeDraft):
            await self._check(principal, zap_id, command.definition)
        loaded = await load_of(self._store, ZAP, zap_id, principal.tenant_id)
        if isinstance(command, PublishZap) and loaded.state.status != "deleted":
            await self._check(principal, zap_id, loaded.state.draft, publishes=True)  # it may be older than the rules
        try:
            changed = await handle(
                self._store,
                self._new_id,
                loaded,
                lambda state: zap.decide(command, state),
                principal.metadata,
                expected=expected,
            )
        finally:
            # Also when the outcome is unknown: reading once more is cheap, a stale entry is not.
            self._live_zaps.invalidate(zap_id)
        if isinstance(command, ChangeDraft):
            await self._named.settle(principal.tenant_id, command.definition, changed.last.position)
        has_runs = isinstance(command, PublishZap | RollBackZap) and _live(loaded)
        if has_runs and _keys_of_runs(changed) != _keys_of_runs(loaded):
            await self._jobs.read_search_keys(changed.tenant_id, zap_id, principal.metadata)
        if isinstance(command, PublishZap):
            with suppress(*CONNECTION_ERRORS):  # then the first mail has the addresses asked
                published = changed.state.version(changed.state.live).definition
                await self._addresses.want(changed.tenant_id, published.mailed_to, self._now())
        return changed

    async def _check(
        self,
        principal: Principal,
        zap_id: UUID,
        definition: Definition,
        *,
        saves: bool = True,
        publishes: bool = False,
    ) -> None:
        """Raises Invalid for mistakes in a definition, wrong zaps and connections that it names included.

        Where it `publishes`, variables have to be there, too.
        """
        hooks = wishes(trigger.config for trigger in definition.starts)
        catalog = await self._catalogs.of(principal.tenant_id, action_types(definition.steps), hooks=hooks)
        known = await self._variables.all(principal.tenant_id) if publishes else []
        variables = {variable.name: variable.box is not None for variable in known} if publishes else None
        if template_text(definition) > SLOW:
            await asyncio.to_thread(validate, definition, catalog, variables)
        else:
            validate(definition, catalog, variables)
        await self._named.require(principal, definition, catalog, saves=saves)
        await _require_callees(lambda callee: self.load(principal.tenant_id, callee), zap_id, definition)
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


async def _require_callees(load: Load, zap_id: UUID, definition: Definition) -> None:
    """Raises Invalid for a step that calls no zap of the owner, one that cannot be called, or one that calls back."""
    errors: list[Json] = []
    for path, step in _calls(definition):
        reason = await _reason(load, zap_id, step.zap_id)
        if reason is not None:
            pointer = f"/{path.replace('.', '/')}/zap_id"
            errors.append({"path": f"{path}.zap_id", "pointer": pointer, "code": "invalid", "reason": reason})
    if errors:
        first = errors[0]
        assert isinstance(first, dict)
        raise Invalid(f"{first['path']}: {first['reason']}", errors=errors)


def _keys_of_runs(zap: LoadedZap) -> tuple[tuple[SearchKey, ...], str | None]:
    """By what runs are found, as the version says that new runs use: search keys, and whose data they carry."""
    live = _live(zap)
    return (live.behaviour.search_keys, live.behaviour.subject) if live else ((), None)


def _calls(definition: Definition) -> Iterator[tuple[str, ZapStep]]:
    return ((path, step) for path, step in definition.all_steps() if isinstance(step, ZapStep))


async def _reason(load: Load, zap_id: UUID, callee: UUID) -> str | None:
    if callee == zap_id:
        return "a zap can not call itself"
    try:
        live = _live(await load(callee))
    except NotFound:
        return "no such zap"
    if live is not None and live.start_of(CALLED) is None:
        return "this zap can not be called: it has no trigger zap.called"
    return "this zap calls back, so the calls would have no end" if await _reaches(load, callee, zap_id) else None


async def _reaches(load: Load, start: UUID, goal: UUID) -> bool:
    """Whether one zap calls another one, or a zap that does."""
    seen, ahead = {start}, [start]
    while ahead and len(seen) <= MOST:
        try:
            live = _live(await load(ahead.pop()))
        except NotFound:
            continue
        called = {step.zap_id for _path, step in _calls(live)} if live else set()
        if goal in called:
            return True
        ahead += called - seen
        seen |= called
    return False


def _live(zap: LoadedZap) -> Definition | None:
    """The version that is called, None where none was published."""
    return zap.state.version(zap.state.live).definition if zap.state.live else None
