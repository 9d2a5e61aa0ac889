"""Zaps whose runs fail, and a notifier that tells of it: read models, webhook and mail server are the real ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import msgspec

from consumers.notifier.alert_channels import Channels
from consumers.notifier.mail import MAILS_PER_HOUR, Mail
from consumers.notifier.notifier import Notifier
from consumers.notifier.recipients import Recipients
from consumers.outbound.client import Outbound
from domain.failures.failures import FailuresEvent, stream_of
from domain.hook.request import Request
from domain.log.event import Event, StreamKind
from domain.registry import decode
from domain.run.events import GONE, Failure, RunCompleted, RunFailed, RunRequested, Source, StepFailed
from domain.zap.events import ZapCreated, ZapDeleted, ZapEnabled, ZapEvent, ZapPublished
from domain.zap.settings import OnFailure, ZapSettings
from projections.dead_letters import DeadLetters, list_dead_letters
from projections.engine.engine import Engine
from projections.engine.registry import PROJECTIONS
from projections.zap_health import ZapHealth, get_health
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from sql.process.clock import new_id, now
from sql.tables.mail_addresses import MailAddresses
from tests.support.builders import TENANT, a_definition
from tests.support.clock import START
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.projected import PARTITIONS, append, batch_of, note_sent
from tests.support.sink import Sink, running_sink
from tests.support.stores import patient_store
from tests.support.waiting import LINKS

PUBLIC_URL = "https://hub.example.com"
SETTLED_S = 5.0
"""More than a notifier waits for a burst to end."""


class FailingHouse(msgspec.Struct, kw_only=True, eq=False):
    """A log with its read models, and what looks after failures. `elapsed_s` is how much later than now it is."""

    store: PgEventStore
    engine: Engine
    connection: Connection
    dsn: str
    http: Outbound
    sink: Sink
    mails: MailServer
    elapsed_s: float = 0.0
    _taken: int = 0
    _zaps: dict[UUID, UUID] = msgspec.field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """What the notifier takes for now."""
        return now() + timedelta(seconds=self.elapsed_s)

    async def clear(self) -> None:
        """No zap of a test that is over is told of any more."""
        for zap_id, tenant in self._zaps.items():
            await self.on_zap(zap_id, ZapDeleted(), tenant=tenant)
        self._zaps.clear()
        self.elapsed_s = 0.0
        self.sink.deliveries.clear()
        self.sink.arrived.clear()
        self.sink.status, self.sink.delay_s, self.sink.fault = 200, 0.0, None
        self.mails.boxes.clear()
        await self.connection.execute("truncate iam.mail_addresses, iam.mail_links")
        self.mails.refusal = ""

    @property
    def addresses(self) -> MailAddresses:
        """Whom mails may go to."""
        return MailAddresses(self.store.pool)

    async def confirm(self, *addresses: str, tenant: UUID = TENANT) -> None:
        """The owners of these addresses want alerts."""
        await self.addresses.want(tenant, addresses, self.moment)
        for address in addresses:
            await self.addresses.add_link(f"of {address}", tenant, address, self.moment)
            await self.addresses.answer(f"of {address}", "confirmed", self.moment)
            await self.connection.execute("delete from iam.mail_links")

    def notifier(self, http: Outbound | None = None, per_hour: int = MAILS_PER_HOUR, **mail: Any) -> Notifier:
        """Another one, as another scheduler has it."""
        channels = Channels(
            store=self.store,
            http=http or self.http,
            recipients=Recipients(Mail(self.mails.config(**mail)), self.addresses, new_id, PUBLIC_URL, per_hour),
            new_id=new_id,
            public_url=PUBLIC_URL,
        )
        return Notifier(self.store, self.dsn, channels, clock=now, new_id=new_id, links=LINKS)

    async def zap(
        self,
        on_failure: OnFailure | None = None,
        *,
        name: str = "Orders",
        tenant: UUID = TENANT,
        confirmed: bool = True,
        tags: tuple[str, ...] = (),
    ) -> UUID:
        """An enabled zap that wants to be told in this way, by mail only to addresses that want it."""
        zap_id = new_id()
        if on_failure and confirmed:
            await self.confirm(*on_failure.email, tenant=tenant)
        settings = ZapSettings(on_failure=on_failure or OnFailure(), tags=tags) if on_failure or tags else msgspec.UNSET
        definition = msgspec.structs.replace(a_definition("send"), settings=settings)
        published = ZapPublished(number=1, name=name, definition=definition)
        events = (ZapCreated(name=name, definition=definition), published, ZapEnabled())
        await self.on_zap(zap_id, *events, tenant=tenant)
        self._zaps[zap_id] = tenant
        return zap_id

    async def on_zap(self, zap_id: UUID, *events: Event, tenant: UUID = TENANT) -> None:
        """Something happens to a zap."""
        await append(self.store, zap_id, *events, tenant_id=tenant, key=zap_id, kind=StreamKind.CORE)

    async def fail(
        self,
        zap_id: UUID,
        count: int = 1,
        *,
        code: str = "http_503",
        source: Source = "webhook",
        goes_on: bool = False,
        url: str = "https://u:p@api.example.com/hook/s3cret?token=x",
    ) -> None:
        """Runs of it fail at their step; with `goes_on` they complete all the same."""
        message = f"the target answered {code.removeprefix('http_')}"
        end = RunFailed(zap_id=zap_id, of_alert=source == "alert", step_id="send", code=code, message=message)
        failed = StepFailed(
            step_id="send",
            attempt=1,
            started_at=START,
            duration_ms=1.0,
            input={"url": url},
            failure=Failure(code=code, message=message),
            gone_for=zap_id if goes_on and code == GONE else None,
        )
        requested = RunRequested(zap_id=zap_id, zap_version=1, source=source, request=Request(body="{}"))
        last = RunCompleted(zap_id=zap_id) if goes_on else end
        await asyncio.gather(*(self._run(requested, failed, last) for _ in range(count)))

    async def complete(self, zap_id: UUID) -> None:
        """A run of it completes."""
        requested = RunRequested(zap_id=zap_id, zap_version=1, source="webhook", request=Request(body="{}"))
        await self._run(requested, RunCompleted(zap_id=zap_id))

    async def _run(self, *events: Event) -> None:
        run_id = new_id()
        await append(self.store, run_id, *events, tenant_id=TENANT, key=run_id)

    async def project(self) -> None:
        """The read models take what is in the log."""
        while events := await self.store.read_log(self._taken, 5_000):
            await note_sent(self.connection, events)
            await self.engine.apply(batch_of(events))
            self._taken = events[-1].position

    async def check(self, notifier: Notifier, after_s: float = 0.0) -> None:
        """Time goes on, read models catch up, and the notifier looks."""
        self.elapsed_s += after_s
        await self.project()
        await notifier.check(self.connection, self.moment)

    async def settle(self, notifier: Notifier, after_s: float = 0.0) -> None:
        """The same, and again once bursts are over."""
        await self.check(notifier, after_s)
        await self.check(notifier, SETTLED_S)
        await self.project()

    async def groups(self, zap_id: UUID | None = None) -> list[DeadLetters]:
        """The inbox."""
        await self.project()
        return await list_dead_letters(self.store.pool, TENANT, zap_id=zap_id, state=None, before=None, limit=100)

    async def health(self, zap_id: UUID) -> ZapHealth:
        """How the zap does."""
        await self.project()
        return await get_health(self.store.pool, TENANT, zap_id)

    async def failures_of(self, zap_id: UUID) -> list[FailuresEvent]:
        """What its failures led to, from the log."""
        stored = await self.store.read_stream(StreamKind.CORE, stream_of(zap_id))
        events = [decode(event.type, event.schema_version, event.data) for event in stored]
        return [event for event in events if isinstance(event, FailuresEvent)]

    async def zap_events(self, zap_id: UUID) -> list[ZapEvent]:
        """The zap's own stream, after it was enabled for the first time."""
        stored = await self.store.read_stream(StreamKind.CORE, zap_id, after=3)
        events = [decode(event.type, event.schema_version, event.data) for event in stored]
        return [event for event in events if isinstance(event, ZapEvent)]

    def told(self) -> list[dict[str, Any]]:
        """What came to the webhook, by order of arrival within each id."""
        return [msgspec.json.decode(body) for bodies in self.sink.deliveries.values() for body in bodies]


@asynccontextmanager
async def failing_house(dsn: str) -> AsyncIterator[FailingHouse]:
    """All of it on this database."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(patient_store(dsn))
        engine = await stack.enter_async_context(Engine(dsn, PROJECTIONS, PARTITIONS))
        await engine.start()
        sink = await stack.enter_async_context(running_sink("/alerts"))
        mails = await stack.enter_async_context(running_mail_server())
        http = await stack.enter_async_context(Outbound([ip_network("127.0.0.0/8")]))
        connection = await connect(dsn, "test")
        stack.push_async_callback(connection.close)
        yield FailingHouse(
            store=store, engine=engine, connection=connection, dsn=dsn, http=http, sink=sink, mails=mails
        )
