"""Has services know of the hooks of zaps what they should, step by step.

Before a service is called that is in the log, so at most one process calls it at a time, and an attempt that died
is taken up by the next: it looks the hook up by its address, removes what is there, and makes it anew.
"""

import secrets
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
import structlog

from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.outbound.targets import Targets
from consumers.registering.service import Refused, Service, Told
from domain.aggregates import REGISTRATION, ZAP
from domain.log.event import Appended, Metadata, NewEvent
from domain.log.ports import Clock, NewId
from domain.log.stream import append, facts, load
from domain.registration.events import (
    HookCalled,
    HookFailed,
    HookRegistered,
    HookRemoved,
    RegistrationEvent,
    Site,
)
from domain.registration.registration import (
    BUSY,
    CHECKED_EVERY,
    MOST_FAILURES,
    Due,
    Registration,
    Wait,
    next_step,
    site_of,
    stream_of,
)
from domain.starting.registering import PresetsOf
from domain.values.json import JsonObject
from domain.zap.definition import NamedTrigger
from domain.zap.events import Flag, ZapSecretsChanged
from domain.zap.zap import FlagZap, UnflagZap, decide, hook_path
from sql.log.event_store import PgEventStore
from sql.secrets.secret_box import SecretBox, Unreadable
from sql.tables.hook_secrets import HookTables, secret_context

log = structlog.get_logger()
_METADATA = Metadata(actor="scheduler")
MAX_WORDS = 500


class HookOf(msgspec.Struct, frozen=True, kw_only=True):
    """A zap whose hook has to be looked at; `trigger` is None where no service should send to it."""

    zap_id: UUID
    tenant_id: UUID
    trigger: NamedTrigger | None
    due: Due


class _Attempt(msgspec.Struct, frozen=True):
    """An attempt about a site, and what was known before it: the state, and the version of the stream."""

    hook: HookOf
    site: Site
    state: Registration | None
    version: int
    id: UUID


class Registrar:
    """Tells services of the hooks of all zaps. `ring` is TRIGGERHUB_ENCRYPTION_KEY."""

    def __init__(
        self,
        store: PgEventStore,
        presets_of: PresetsOf,
        targets: Targets,
        credentials: Credentials,
        *,
        ring: str,
        public_url: str,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._store = store
        self._presets_of = presets_of
        self._targets = targets
        self._credentials = credentials
        self._tables = HookTables(store.pool)
        self._ring = ring
        self._public_url = public_url
        self._clock = clock
        self._new_id = new_id

    async def settle(self, hook: HookOf) -> datetime | None:
        """Do what is to be done now. Gives when to look again; None where nothing follows of itself."""
        wanted = site_of(hook.trigger, self._public_url + hook_path(hook.tenant_id, hook.zap_id))
        has_told = False
        while True:
            known = await load(self._store, REGISTRATION, stream_of(hook.zap_id))
            state, now = known.state if known else None, self._clock()
            step = next_step(state, wanted, hook.due, now)
            if isinstance(step, Wait):
                return step.until if await self._tell(hook, state) else now + BUSY
            # A service may not list at once what it was just told.
            if step == "check" and (has_told or await self._is_there(hook, state)):
                return now + CHECKED_EVERY if await self._tell(hook, state) else now + BUSY
            site = state.site if step == "remove" and state else wanted
            assert site is not None, "a step is about a site"
            attempt = _Attempt(hook, site, state, known.version if known else 0, self._new_id())
            doing: Literal["register", "remove"] = "remove" if step == "remove" else "register"
            if not await self._attempt(attempt, HookCalled(zap_id=hook.zap_id, doing=doing, site=site)):
                return now + BUSY
            has_told = True

    async def _tell(self, hook: HookOf, state: Registration | None) -> bool:
        """Flag the zap where nobody tries any more, until it is registered; False where somebody else was quicker.

        What is in the log says so, not what was just done: a process that dies in between leaves no zap unflagged.
        """
        command: FlagZap | UnflagZap
        if state is not None and state.has_ended and hook.trigger is not None:
            site = state.site.at if state.site else ""
            detail = f"{site} is not told of the hook any more: {state.message}"[:MAX_WORDS]
            command = FlagZap(Flag(kind="unregistered", detail=detail, since=state.since))
        elif state is not None and state.status == "registered":
            command = UnflagZap("unregistered")
        else:
            return True
        zap = await load(self._store, ZAP, hook.zap_id)
        events = decide(command, zap.state) if zap and zap.state.status != "deleted" else []
        return not events or zap is None or await append(self._store, self._new_id, zap, events, _METADATA)

    async def _is_there(self, hook: HookOf, state: Registration | None) -> bool:
        """Whether the service still has the hook; where it does not say, that is taken for a yes."""
        assert state is not None, "only what is registered is checked"
        assert state.site is not None
        try:
            service = await self._service(_Attempt(hook, state.site, state, 0, self._new_id()))
            return state.hook_id in await service.ids()
        except Refused as error:
            log.info("hook.unchecked", zap_id=str(hook.zap_id), code=error.code)
            return True

    async def _attempt(self, attempt: _Attempt, called: HookCalled) -> bool:
        """One attempt with its outcome; False where somebody else was quicker."""
        if not await self._append(attempt, called):
            return False
        attempt = msgspec.structs.replace(attempt, version=attempt.version + 1)
        failures = 1 + (attempt.state.failures if attempt.state and attempt.state.site == attempt.site else 0)
        outcome: RegistrationEvent
        try:
            outcome = await (self._register(attempt) if called.doing == "register" else self._remove(attempt))
        except Refused as error:
            said, zap_id = error.message[:MAX_WORDS], attempt.hook.zap_id
            log.info("hook.refused", zap_id=str(zap_id), doing=called.doing, code=error.code)
            if called.doing == "remove" and (error.final or failures >= MOST_FAILURES):
                outcome = HookRemoved(zap_id=zap_id, left=said)
            else:
                outcome = HookFailed(zap_id=zap_id, code=error.code, message=said, final=error.final)
        await self._append(attempt, outcome)
        return True

    async def _register(self, attempt: _Attempt) -> HookRegistered:
        """In the place of whatever leads to the zap already. Raises Refused."""
        service = await self._service(attempt)
        await _clear(service, attempt)
        told = await service.create()
        if told.secret:
            await self._keep(attempt.hook, told)
        return HookRegistered(zap_id=attempt.hook.zap_id, hook_id=told.hook_id)

    async def _remove(self, attempt: _Attempt) -> HookRemoved:
        """Raises Refused."""
        await _clear(await self._service(attempt), attempt)
        return HookRemoved(zap_id=attempt.hook.zap_id)

    async def _service(self, attempt: _Attempt) -> Service:
        """Raises Refused where this release knows no such trigger."""
        site, hook = attempt.site, attempt.hook
        known = await self._presets_of(hook.tenant_id, site.at)
        if known is None:
            raise Refused("unknown_trigger", f"{site.at} is no trigger that can be registered", final=True)
        http = self._targets.of(hook.tenant_id, None)
        armed = Armed(http, self._credentials, hook.tenant_id, site.connection) if site.connection else http
        told: JsonObject = {"url": site.url, "name": f"triggerhub-{hook.zap_id}"}
        if known.chooses_secret:
            told["secret"] = await self._secret(hook)
        return Service(armed, known, site.input, hook=told, clock=self._clock, attempt=f"hook.{attempt.id}")

    async def _secret(self, hook: HookOf) -> str:
        """The hook's newest secret, which is made where there is none."""
        box = SecretBox(self._ring)
        for sealed in (await self._tables.secrets(hook.zap_id)).boxes:
            try:
                return box.open(sealed, secret_context(hook.zap_id))
            except Unreadable:
                log.warning("secrets.unreadable", zap_id=str(hook.zap_id))
        fresh = secrets.token_urlsafe(32)
        await self._keep(hook, Told("", fresh))
        return fresh

    async def _keep(self, hook: HookOf, told: Told) -> None:
        """Have requests verified with a new secret, and with the one before: some may be on their way."""
        box, context = SecretBox(self._ring), secret_context(hook.zap_id)
        old = (await self._tables.secrets(hook.zap_id)).boxes[:1]
        boxes = [box.seal(told.secret, context), *old]
        await self._tables.put_secrets(hook.zap_id, hook.tenant_id, boxes)
        changed = NewEvent(self._new_id(), ZapSecretsChanged(count=len(boxes)))
        await self._store.append(facts(hook.zap_id, hook.tenant_id, changed, metadata=_METADATA))

    async def _append(self, attempt: _Attempt, event: RegistrationEvent) -> bool:
        event_id = attempt.id if isinstance(event, HookCalled) else self._new_id()
        stored = await self._store.append(
            facts(
                attempt.hook.zap_id,
                attempt.hook.tenant_id,
                NewEvent(event_id, event),
                metadata=_METADATA,
                stream_id=stream_of(attempt.hook.zap_id),
                expected=attempt.version,
            )
        )
        return isinstance(stored, Appended)


async def _clear(service: Service, attempt: _Attempt) -> None:
    """Remove all that leads to the zap, and what we know of it where that is not just its address. Raises Refused.

    A service may list only some of its hooks.
    """
    state = attempt.state
    is_known = state is not None and state.hook_id and state.site == attempt.site and not service.by_address
    known = [state.hook_id] if state and is_known else []
    for hook_id in dict.fromkeys([*known, *await service.ids()]):
        await service.remove(hook_id)
