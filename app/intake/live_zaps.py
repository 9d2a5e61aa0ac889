"""Which zaps take requests, kept in memory for the intake, and never older than a fraction of a second.

An entry is the fold of the zap's stream. It is dropped as soon as the log says that the stream grew: at once after
a command of this process, and by following the log for commands of others.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import msgspec
import structlog

from domain.aggregates import ZAP
from domain.hook.compiled import HOOKS
from domain.intake.arrival import LiveZap, live_zap
from domain.log.ports import EventStore, StoreUnavailable
from domain.log.stream import load
from domain.registry import UnknownEvent
from sql.postgres.pool import CONNECTION_ERRORS, Connection, connect
from sql.postgres.queries import Queries
from sql.process.patience import BackOff, rest

log = structlog.get_logger()
_queries = Queries("queries/events.sql")

CAPACITY = 10_000
"""Zaps held; the one unused for longest makes room."""
POLL_S = 0.5
"""How long a change may go unnoticed when its notification is lost."""
MIN_INTERVAL_S = 0.2
"""Between two questions to the log, however many notifications come."""
MISSING_S = 1.0
"""How long an unknown id is answered from memory, so that garbage does not reach the database each time."""
UNWATCHED_S = 0.5
"""How long an entry is valid while the log cannot be followed."""
ANSWER_S = 1.0
"""How long the log may take to answer; after that the connection counts as lost."""
LOAD_S = 1.5
"""How long a request waits for the state of its zap."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
_FOR_EVER = float("inf")


SecretsOf: TypeAlias = Callable[[UUID], Awaitable[tuple[str, ...]]]
"""The secrets of a zap, newest first."""


async def no_secrets(_zap_id: UUID) -> tuple[str, ...]:
    """For a cache of zaps that verify nothing."""
    return ()


class _Entry(msgspec.Struct, frozen=True):
    zap: LiveZap | None
    good_until: float


class LiveZaps:
    """The cache, and the follower that keeps it honest: run `follow` beside the server."""

    def __init__(self, store: EventStore, dsn: str, secrets_of: SecretsOf = no_secrets) -> None:
        self._store = store
        self._dsn = dsn
        self._secrets_of = secrets_of
        self._entries: OrderedDict[UUID, _Entry] = OrderedDict()
        self._loading: dict[UUID, asyncio.Task[LiveZap | None]] = {}
        self._following = False
        self._back_off = BackOff(FIRST_PAUSE_S, LONGEST_PAUSE_S)

    async def get(self, zap_id: UUID) -> LiveZap | None:
        """The zap, None when there is none. Raises StoreUnavailable when it is unknown and can not be read."""
        entry = self._entries.get(zap_id)
        if entry is not None:
            if entry.good_until > time.monotonic():
                self._entries.move_to_end(zap_id)
                return entry.zap
            del self._entries[zap_id]
        return await self._load(zap_id)

    def invalidate(self, zap_id: UUID) -> None:
        """Forget a zap whose stream grew; a load on its way may have missed that, so its result is not kept."""
        self._entries.pop(zap_id, None)
        self._loading.pop(zap_id, None)

    async def follow(self) -> None:
        """Drop what changes, for as long as the task runs; re-connects for ever."""
        while True:
            try:
                connection = await connect(self._dsn, "live zaps")
                try:
                    await self._follow(connection)
                finally:
                    self._watch(following=False)
                    connection.terminate()
            except Exception as error:  # noqa: BLE001 - the task may never end, or entries would be stale for ever
                log.warning("live_zaps.log_lost", error=repr(error))
            await asyncio.sleep(self._back_off.pause_s())

    async def _follow(self, connection: Connection) -> None:
        notified = asyncio.Event()
        await connection.add_listener("es", lambda *_: notified.set())
        position: int = await connection.fetchval(_queries["head"], timeout=ANSWER_S)
        self._watch(following=True)
        self._back_off.heal()
        while True:
            await rest(notified, POLL_S)
            notified.clear()
            rows = await connection.fetch(_queries["changed_core_streams"], position, timeout=ANSWER_S)
            for row in rows:
                self.invalidate(row["stream_id"])
                position = max(position, row["position"])
            await asyncio.sleep(MIN_INTERVAL_S)

    def _watch(self, *, following: bool) -> None:
        """Start or stop trusting entries for long. Entries from before the change are dropped."""
        self._following = following
        self._entries.clear()
        self._loading.clear()

    async def _load(self, zap_id: UUID) -> LiveZap | None:
        loading = self._loading.get(zap_id)
        if loading is None:
            loading = self._loading[zap_id] = asyncio.create_task(self._read(zap_id))
            loading.add_done_callback(lambda done: self._keep(zap_id, done))
        try:
            async with asyncio.timeout(LOAD_S):
                return await asyncio.shield(loading)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable("the zap can not be read right now") from error
        except (UnknownEvent, msgspec.DecodeError) as error:
            # A newer release wrote it, and this process has not been replaced yet: the sender tries again.
            log.warning("live_zaps.unreadable", zap_id=str(zap_id), error=str(error))
            raise StoreUnavailable("the zap can not be read by this release") from error

    async def _read(self, zap_id: UUID) -> LiveZap | None:
        async with asyncio.timeout(LOAD_S):
            loaded = await load(self._store, ZAP, zap_id)
            if loaded is None:
                return None
            state, owner = loaded.state, loaded.tenant_id
            if not state.live or state.status == "deleted":
                return LiveZap(owner, state.status, state.live)
            hook = state.version(state.live).definition.start_of(HOOKS)
            if hook is None:
                return None
            # A later change of the secrets is an event, which drops what is loaded now.
            secrets = await self._secrets_of(zap_id) if hook.config else ()
            found = live_zap(loaded, secrets)
            if found.hook.not_understood:
                log.warning("hook.not_understood", zap_id=str(zap_id), error=found.hook.not_understood)
            return found

    def _keep(self, zap_id: UUID, done: "asyncio.Task[LiveZap | None]") -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._loading.get(zap_id) is not done:
            return
        del self._loading[zap_id]
        if failed:
            return
        found = done.result()
        lifetime = (MISSING_S if found is None else _FOR_EVER) if self._following else UNWATCHED_S
        self._entries[zap_id] = _Entry(found, time.monotonic() + lifetime)
        if len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)
