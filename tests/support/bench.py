"""A relay, a runner and a scheduler at work on one database in this process, with a clock to be put forward."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from consumers.connectors import catalog
from consumers.kafka.subscription import ConsumerConfig
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from consumers.runner.runner import Runner
from consumers.scheduler.timers import Scheduler
from domain.connector.catalog import Catalog
from domain.flow.steps import ActionStep, Step
from domain.hook.request import Request
from domain.log.event import Appended, Metadata, StreamKind
from domain.registry import decode
from domain.run.events import RunEvent, RunRequested
from domain.run.request import request_append
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapEnabled, ZapPublished
from domain.zap.settings import ZapSettings
from relay import relay
from relay.topic import KafkaConfig
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.broker import Broker, topic_name
from tests.support.builders import TENANT, an_append
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.meanwhile import until_stopped
from tests.support.stores import patient_store
from tests.support.waiting import LINKS

PARTITIONS = 4
DUE = "select count(*) from es.timers where due_at <= $1"


class ShiftedClock:
    """The machine's clock, put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return now() + self._ahead

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic() + self._ahead.total_seconds()

    def forward(self, seconds: float) -> None:
        """From now on it is so much later."""
        self._ahead += timedelta(seconds=seconds)


MESSAGE_KEY = b"a key of tests for messages"


class Bench:
    """What tests ask for: zaps, runs, their histories. Timers fire when a test says so."""

    def __init__(self, store: PgEventStore, broker: Broker, actions: Catalog) -> None:
        self.store = store
        self.servers = broker.servers
        self.topic = topic_name()
        self.clock = ShiftedClock()
        self.scheduler = Scheduler(store)
        self.runners: list[Runner] = []
        self._catalog = actions
        self._settings: dict[UUID, ZapSettings] = {}
        self._versions: dict[UUID, int] = {}

    async def zap(self, *configs: JsonObject) -> UUID:
        """A published zap of HTTP requests."""
        return await self.publish(
            *(ActionStep(f"step{n}", "http.request", config) for n, config in enumerate(configs, 1))
        )

    async def publish(self, *steps: Step, settings: ZapSettings | None = None, zap_id: UUID | None = None) -> UUID:
        """A published zap, or the next version of one."""
        number = 1 if zap_id is None else self._versions[zap_id] + 1
        zap_id = zap_id or new_id()
        self._versions[zap_id] = number
        self._settings[zap_id] = settings or ZapSettings()
        definition = Definition(Trigger("webhook.catch"), steps, self._settings[zap_id])
        events = (
            ZapCreated(name="z", definition=definition),
            ZapPublished(number=number, name="z", definition=definition),
            ZapEnabled(),
        )
        await self.store.append(an_append(*events, stream_id=zap_id, kind=StreamKind.CORE, ordering_key=zap_id))
        return zap_id

    async def request(self, zap_id: UUID, body: str = "{}", tenant_id: UUID = TENANT) -> UUID:
        """Ask for a run."""
        append = request_append(
            RunRequested(
                zap_id=zap_id, zap_version=self._versions.get(zap_id, 1), source="webhook", request=Request(body=body)
            ),
            self._settings.get(zap_id, ZapSettings()),
            tenant_id=tenant_id,
            new_id=self._new_id,
            metadata=Metadata(actor="test"),
        )
        assert isinstance(await self.store.append(append), Appended)
        return append.stream_id

    def _new_id(self) -> UUID:
        """An id made at the clock's moment: a run's deadline counts from that."""
        millis = int(self.clock().timestamp() * 1000)
        return UUID(int=millis << 80 | new_id().int & (1 << 80) - 1)

    async def events(self, run_id: UUID) -> list[RunEvent]:
        """The run's history."""
        found = [decode(e.type, e.schema_version, e.data) for e in await self.store.read_stream(StreamKind.RUN, run_id)]
        return [event for event in found if isinstance(event, RunEvent)]

    async def has(self, run_id: UUID, *types: type[RunEvent], within_s: float = PATIENCE_S) -> list[RunEvent]:
        """Wait until the history is of exactly these types after the request."""

        async def so() -> bool:
            found = [type(event) for event in (await self.events(run_id))[1:]]
            assert found == list(types)
            return True

        await eventually(so, within_s)
        return (await self.events(run_id))[1:]

    async def fire(self, at: datetime | None = None) -> None:
        """Fire all timers that are due at a moment, or by the clock."""
        moment = at or self.clock()
        while await self.store.pool.fetchval(DUE, moment):
            await self.scheduler.fire_due(moment)

    async def fire_timer(self, run_id: UUID) -> None:
        """Fire the timer that a run waits for, as if its time had come."""
        find = "select timer_id, due_at from es.timers where stream_id = $1"
        row = await self.store.pool.fetchrow(find, run_id)
        assert row is not None, "it waits for nothing"
        timer_id, due_at = row
        while await self.store.pool.fetchval("select count(*) from es.timers where timer_id = $1", timer_id):
            await self.scheduler.fire_due(due_at)

    @asynccontextmanager
    async def another_runner(
        self, *, alone: bool = False, message_keys: tuple[bytes, ...] = (MESSAGE_KEY,)
    ) -> AsyncIterator[asyncio.Task[None]]:
        """One more runner of the same group; cancel its task to have it die without a word. `alone`: of no group."""
        stop = asyncio.Event()
        async with PgEventStore(self.store.dsn, "runner") as store, Outbound(parse_networks("127.0.0.0/8")) as http:
            config = ConsumerConfig(
                self.servers,
                self.topic,
                f"runner-{self.topic}",
                500,
                alone=PARTITIONS * alone,
                message_keys=message_keys,
            )
            runner = Runner(
                store,
                self._catalog,
                http,
                config,
                partitions=PARTITIONS,
                links=LINKS,
                clock=self.clock,
                monotonic=self.clock.monotonic,
            )
            self.runners.append(runner)
            task = asyncio.create_task(runner.run(stop))
            try:
                yield task
            finally:
                stop.set()
                with suppress(asyncio.CancelledError):
                    await task


@asynccontextmanager
async def at_work(
    dsn: str, broker: Broker, *, runner: bool = True, actions: Catalog | None = None
) -> AsyncIterator[Bench]:
    """A bench with a relay, and with a runner unless told otherwise."""
    async with patient_store(dsn) as store:
        bench = Bench(store, broker, actions or catalog())
        topic = KafkaConfig(broker.servers, bench.topic, PARTITIONS, message_key=MESSAGE_KEY)
        relaying = until_stopped(partial(relay.run, dsn, topic))
        async with relaying, bench.another_runner() if runner else nullcontext():
            yield bench
