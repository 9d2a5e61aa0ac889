"""The notifier: tells owners of failed runs, grouped, has zaps flagged, and mails those whose approval is asked.

One works, among all schedulers.

Failures come from read models, so it does not matter how a run failed, or whether any runner is alive. An
alert is recorded before it is sent, and what came of that afterwards: after a crash between the two the same alert,
with the same id, is sent again. The version of the failures' stream tells whether the read models have caught up, and
keeps a second notifier, that believes itself alone, from raising an alert twice.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from consumers.notifier.alert_channels import Alert, Channels
from consumers.notifier.approval_mails import ApprovalMails
from consumers.notifier.flags import Flags
from consumers.notifier.listeners import Listeners
from domain.aggregates import ZAP
from domain.failures.failures import AlertRaised, FailuresEvent, attempted, raise_alert, stream_of
from domain.log.event import ANY_VERSION, Appended, Metadata, NewEvent, StreamKind
from domain.log.ports import Clock, NewId, StoreUnavailable
from domain.log.stream import facts, load
from domain.registry import decode
from domain.run.links import NO_LINKS, Links
from domain.zap.settings import DEFAULT
from domain.zap.zap import LoadedZap
from projections.dead_letters import unreported
from projections.engine.build import FEW_ROWS
from projections.zap_health import Pending, pending
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS, Connection, connect
from sql.postgres.queries import Queries
from sql.process.patience import rest

log = structlog.get_logger()
_queries = Queries("queries/notifier.sql")

POLL_S = 1.0
SETTLE = timedelta(seconds=3)
"""How long the first failure waits for more, so that a burst is one message."""
ZAPS_AT_A_TIME = 500
PATIENCE_S = 3.0
"""How long a round of alerts is waited for; what takes longer goes on beside the next round."""
HISTORY = 60
"""Events of a zap's failures in which is looked for alerts that a channel has missed."""
ACTOR = "notifier"


class Notifier:
    """Run it beside a scheduler; `dsn` is for the connection that holds the lock."""

    def __init__(
        self, store: PgEventStore, dsn: str, channels: Channels, *, clock: Clock, new_id: NewId, links: Links = NO_LINKS
    ) -> None:
        self._store = store
        self._dsn = dsn
        self._channels = channels
        self._flags = Flags(store, new_id)
        self._approvals = ApprovalMails(store=store, recipients=channels.recipients, links=links, new_id=new_id)
        self._listeners = Listeners(store, new_id, channels.public_url)
        self._clock = clock
        self._new_id = new_id
        self._waiting_since: dict[UUID, datetime] = {}
        self._telling: dict[UUID, asyncio.Task[None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Send alerts until `stop`, through outages of the database."""
        while not stop.is_set():
            try:
                await self._lead(stop)
            except (*CONNECTION_ERRORS, StoreUnavailable) as error:
                log.warning("notifier.store_unavailable", error=repr(error))
            except Exception:  # a bug here must not stop the timers of this process
                log.exception("notifier.crashed")
            await rest(stop, POLL_S)

    async def _lead(self, stop: asyncio.Event) -> None:
        connection = await connect(self._dsn, "notifier", statement_timeout="10s", **FEW_ROWS)
        try:
            while not await connection.fetchval(_queries["try_notify"]):
                await rest(stop, POLL_S)
                if stop.is_set():
                    return
            while not stop.is_set():
                await self.check(connection, self._clock())
                await rest(stop, POLL_S)
        finally:
            connection.terminate()
            for task in self._at_work():
                task.cancel()
            await asyncio.gather(*self._at_work(), return_exceptions=True)

    async def check(self, connection: Connection, moment: datetime) -> None:
        """Flag zaps and send the alerts that are due, zap by zap. Raises what the store and the connection raise."""
        try:
            with _apart("flags.crashed"):
                await self._flags.check(connection, moment)
            self._ask(moment)
            with _apart("approval_mails.crashed"):
                await self._approvals.check(connection, moment)
            with _apart("listeners.crashed"):
                await self._listeners.check(connection)
            found = await pending(connection, moment, ZAPS_AT_A_TIME)
        except asyncpg.UndefinedTableError:
            log.info("notifier.read_models_missing")
            return
        fresh = (zap.zap_id for zap in found if zap.fresh)
        self._waiting_since = {zap_id: self._waiting_since.get(zap_id, moment) for zap_id in fresh}
        due = [zap for zap in found if zap.zap_id not in self._telling]
        for zap in await self._current([zap for zap in due if self._is_new(zap, moment) or _is_again(zap, moment)]):
            with _apart("alert.crashed", zap_id=str(zap.zap_id)):
                alert = await self._next_alert(connection, zap, moment)
                if alert:
                    self._telling[zap.zap_id] = asyncio.create_task(self._tell(*alert, moment))
        await self._told()

    def _ask(self, moment: datetime) -> None:
        """Have new addresses asked whether they want mails, beside the alerts: the mail server may take its time."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._channels.recipients.ask(moment))

    def _at_work(self) -> list[asyncio.Task[None]]:
        return [*self._telling.values(), *self._approvals.sending.values(), *([self._asking] if self._asking else [])]

    async def _told(self) -> None:
        """Wait for what is being sent, but not for targets that take their time: others have alerts, too."""
        if self._at_work():
            await asyncio.wait(self._at_work(), timeout=PATIENCE_S)
        if self._asking and self._asking.done():
            asked, self._asking = self._asking, None
            with _apart("recipients.crashed"):
                asked.result()
        done = [zap_id for zap_id, task in self._telling.items() if task.done()]
        for error in [self._telling.pop(zap_id).exception() for zap_id in done]:
            if error:
                raise error

    def _is_new(self, zap: Pending, moment: datetime) -> bool:
        """Whether there is something new to tell of, whose burst is over."""
        return zap.fresh and not zap.unsent and moment - self._waiting_since[zap.zap_id] >= SETTLE

    async def _current(self, zaps: list[Pending]) -> list[Pending]:
        """The zaps whose read model has caught up with the last alert."""
        versions = await self._store.versions(StreamKind.CORE, [stream_of(zap.zap_id) for zap in zaps])
        return [zap for zap in zaps if versions.get(stream_of(zap.zap_id), 0) == zap.stream_version]

    async def _next_alert(
        self, connection: Connection, zap: Pending, moment: datetime
    ) -> tuple[Alert, Pending, LoadedZap | None] | None:
        """A new alert, recorded, or the last one again; None when another notifier was faster."""
        stored = await load(self._store, ZAP, zap.zap_id)
        if not self._is_new(zap, moment) and zap.alert_id and zap.alert_position:
            (recorded,) = await self._store.read_log(zap.alert_position - 1, 1)
            raised = decode(recorded.type, recorded.schema_version, recorded.data)
            if not isinstance(raised, AlertRaised):
                return None
            return Alert(zap.alert_id, raised, await self._history(zap, recorded.version - 1)), zap, stored
        raised = raise_alert(
            zap.zap_id,
            stored.state.name if stored else "",
            await unreported(connection, zap.tenant_id, zap.zap_id),
            flags=stored.state.flags if stored else (),
            flags_until=zap.flagged_until,
            last_until=zap.told_until,
            every_s=(stored.state.behaviour if stored else DEFAULT).on_failure.every_s,
            moment=moment,
        )
        alert = Alert(self._new_id(), raised, await self._history(zap, zap.stream_version))
        if not await self._record(zap, raised, alert.id, zap.stream_version):
            return None
        log.info("alert.raised", alert_id=str(alert.id), zap_id=str(zap.zap_id), failures=raised.failures)
        return alert, zap, stored

    async def _history(self, zap: Pending, version: int) -> tuple[tuple[UUID, FailuresEvent], ...]:
        """The last of what the zap's failures have led to, up to a version of their stream."""
        stream = await self._store.read_stream(StreamKind.CORE, stream_of(zap.zap_id), after=max(0, version - HISTORY))
        found = [(e.event_id, decode(e.type, e.schema_version, e.data)) for e in stream if e.version <= version]
        return tuple((event_id, event) for event_id, event in found if isinstance(event, FailuresEvent))

    async def _tell(self, alert: Alert, zap: Pending, stored: LoadedZap | None, moment: datetime) -> None:
        again = zap.alert_id == alert.id
        before, attempts = (zap.results, zap.attempts or 0) if again else ({}, 0)
        results = await self._channels.send(alert, stored, before, moment)
        event = attempted(zap.zap_id, alert.id, attempts + 1, results, moment)
        failed = {channel.partition(":")[0]: reason for channel, reason in results.items() if reason}
        log.info("alert.attempted", alert_id=str(alert.id), attempt=event.attempt, failed=failed)
        await self._record(zap, event, self._new_id(), ANY_VERSION)

    async def _record(self, zap: Pending, event: FailuresEvent, event_id: UUID, expected: int) -> bool:
        result = await self._store.append(
            facts(
                zap.zap_id,
                zap.tenant_id,
                NewEvent(event_id, event),
                metadata=Metadata(actor=ACTOR),
                stream_id=stream_of(zap.zap_id),
                expected=expected,
            )
        )
        return isinstance(result, Appended)


def _is_again(zap: Pending, moment: datetime) -> bool:
    return zap.retry_at is not None and zap.retry_at <= moment


@contextmanager
def _apart(event: str, **keys: str) -> Iterator[None]:
    """Log a bug in the handling of one zap, so that it does not silence the others. Outages are raised."""
    try:
        yield
    except (*CONNECTION_ERRORS, StoreUnavailable, asyncpg.UndefinedTableError):
        raise
    except Exception:
        log.exception(event, **keys)
