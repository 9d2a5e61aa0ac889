"""The roles: what each does, which settings it gets, and which objects it is made of.

Everybody that has to know of roles reads this table: the command line, the supervisor, the checks before a start.
Imports stay inside, so that the table costs nothing and each process loads only what it runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from app.config.errors import OperatorError
from app.config.settings import Settings

if TYPE_CHECKING:
    from consumers.kafka.subscription import ConsumerConfig
    from sql.files.store import FileStore
    from sql.log.event_store import PgEventStore

API_PATIENCE_S = 1.8
"""How long a request waits for the log: senders have their 503 within two seconds."""
RUNNER_RECORDS = 500
PROJECTOR_RECORDS = 2_000
PROJECTOR_PACE_S = 0.2
"""How far read models may lag on an idle machine: rests let batches grow, which is cheaper for everybody."""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of process. It does not start without the settings in `needs`, and gets those, `uses`, and no others.

    `run` works until the event is set. It lives through outages of the database and the broker.
    """

    help: str
    run: Callable[[Settings, asyncio.Event], Awaitable[None]]
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of all settings that it gets."""
        return (*self.needs, *self.uses)


async def _api(settings: Settings, stop: asyncio.Event) -> None:
    from app.http.services import Services
    from app.roles.server import failing_checks, serve
    from consumers.connectors import catalog
    from sql.log.event_store import PgEventStore

    async with PgEventStore(settings.database_url, "api", read_connections=8, patience_s=API_PATIENCE_S) as store:
        services = Services(
            store=store,
            dsn=settings.database_url,
            catalog=catalog(),
            jwt_secret=settings.jwt_secret,
            encryption_key=settings.encryption_key,
            hop_secret=settings.message_key,
            public_url=settings.public_url,
            archive=settings.archive,
            has_mail=bool(settings.smtp_host and settings.smtp_from),
            signup=settings.signup,
            max_body=settings.max_body,
            max_held=settings.max_held,
            files=file_store(settings, store),
            user_per_minute=settings.user_per_minute or None,
            trusted_proxies=settings.trusted_proxies,
            outbound_allow=settings.outbound_allow,
            readiness=lambda: failing_checks(store),
        )
        await serve(services, settings.host, settings.port, stop)


def file_store(settings: Settings, store: "PgEventStore") -> "FileStore":
    """Where files are kept, and how large they may be."""
    from sql.files.store import FileLimits, FileStore
    from sql.process import clock

    limits = FileLimits(settings.max_file, settings.max_files)
    return FileStore(store.pool, clock.now, clock.new_id, url=settings.files, limits=limits)


async def _relay(settings: Settings, stop: asyncio.Event) -> None:
    from app.config import kafka
    from relay.relay import run as publish
    from relay.topic import WrongPartitionCount

    try:
        await publish(settings.database_url, kafka.config(settings), stop)
    except WrongPartitionCount as error:
        raise kafka.Refused(
            f"The {error}: set TRIGGERHUB_KAFKA_PARTITIONS to what it has, or delete the topic and "
            "`triggerhub rewind 0`."
        ) from None


def _consumer(settings: Settings, group: str, max_records: int, pace_s: float = 0.0) -> "ConsumerConfig":
    from app.config import kafka
    from consumers.kafka.subscription import ConsumerConfig

    return ConsumerConfig(
        settings.kafka_bootstrap_servers,
        settings.kafka_topic,
        group,
        max_records,
        pace_s,
        kafka.consumer_security(settings),
        _alone(settings),
        settings.message_keys,
    )


async def _runner(settings: Settings, stop: asyncio.Event) -> None:
    from consumers.connectors import catalog
    from consumers.kafka.patience import again_until
    from consumers.outbound.client import Outbound
    from consumers.runner.runner import Runner
    from domain.hook.hops import Hops
    from domain.run.links import Links
    from sql.log.event_store import PgEventStore

    config = _consumer(settings, "runner", RUNNER_RECORDS)
    async with (
        PgEventStore(settings.database_url, "runner") as store,
        Outbound(settings.outbound_allow) as http,
    ):
        partitions = settings.kafka_partitions
        hops, links = Hops(settings.message_key), Links(settings.message_key, settings.public_url)

        async def run() -> None:
            runner = Runner(
                store,
                catalog(),
                http,
                config,
                partitions=partitions,
                hops=hops,
                links=links,
                encryption_key=settings.encryption_key,
                files=file_store(settings, store),
            )
            await runner.run(stop)

        await again_until(stop, run)


async def _projector(settings: Settings, stop: asyncio.Event) -> None:
    from consumers.indexing.indexing import Indexing
    from consumers.kafka.patience import again_until
    from consumers.projector import Projector
    from projections.engine.engine import Engine, NewerRelease
    from projections.engine.registry import PROJECTIONS
    from sql.log.event_store import PgEventStore

    config = _consumer(settings, "projector", PROJECTOR_RECORDS, PROJECTOR_PACE_S)
    async with (
        PgEventStore(settings.database_url, "projector", read_connections=2) as store,
        aclosing(Indexing(settings.database_url)) as indexing,
    ):

        async def project() -> None:
            async with Engine(settings.database_url, PROJECTIONS, settings.kafka_partitions) as engine:
                await Projector(engine, store, config, indexing.wake).run(stop)

        try:
            await again_until(stop, project)
        except NewerRelease as error:
            raise OperatorError(f"The read models belong to a newer release ({error}): run that one.") from None


def _alone(settings: Settings) -> int:
    """How many partitions the one consumer of its kind reads; 0 where several share them."""
    return settings.kafka_partitions if settings.kafka_groups == "off" else 0


async def _retain(settings: Settings, store: "PgEventStore", files: "FileStore", stop: asyncio.Event) -> None:
    """Runs leave the log, and payloads do, when their time is over."""
    from consumers.jobs.erasures import Erasures
    from consumers.jobs.payloads import Payloads
    from consumers.scheduler import retention
    from sql.process import clock

    payloads = Payloads(store, Erasures(store, clock.new_id, files), clock.now)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(retention.keep(settings.database_url, settings.archive, stop))
        tasks.create_task(payloads.run(stop))


async def _scheduler(settings: Settings, stop: asyncio.Event) -> None:
    from consumers.connectors import catalog
    from consumers.credentials.variables import Variables
    from consumers.dialogues.dialogues import Dialogues
    from consumers.jobs.worker import JobWorker
    from consumers.notifier.alert_channels import Channels
    from consumers.notifier.mail import Mail, MailConfig
    from consumers.notifier.notifier import Notifier
    from consumers.notifier.recipients import Recipients
    from consumers.outbound.client import Outbound
    from consumers.scheduler.checkpoints import Checkpoints, Delivery
    from consumers.scheduler.housekeeping import Housekeeping
    from consumers.scheduler.timers import scheduler
    from domain.proof.notes import signer
    from domain.run.links import Links
    from sql.log.event_store import PgEventStore
    from sql.process import clock
    from sql.tables.mail_addresses import MailAddresses

    async with (
        PgEventStore(settings.database_url, "scheduler", read_connections=6) as store,
        Outbound(settings.outbound_allow) as http,
        aclosing(Dialogues(settings.outbound_allow)) as dialogues,
        asyncio.TaskGroup() as tasks,
    ):
        mail = Mail(
            MailConfig(
                settings.smtp_host,
                settings.smtp_port,
                settings.smtp_username,
                settings.smtp_password,
                settings.smtp_tls,
                settings.smtp_from,
            )
        )
        public_url, new_id = settings.public_url, clock.new_id
        recipients = Recipients(mail, MailAddresses(store.pool), new_id, public_url)
        channels = Channels(store=store, http=http, recipients=recipients, new_id=new_id, public_url=public_url)
        links = Links(settings.message_key, public_url)
        notifier = Notifier(store, settings.database_url, channels, clock=clock.now, new_id=new_id, links=links)
        files = file_store(settings, store)
        housekeeping = Housekeeping(store.pool, clock.now, timedelta(days=settings.requests_days), files)
        timers = scheduler(store, catalog(), http, dialogues, ring=settings.encryption_key, public_url=public_url)
        tasks.create_task(timers.run(stop), name="scheduler")
        tasks.create_task(housekeeping.run(stop), name="housekeeping")
        tasks.create_task(notifier.run(stop), name="notifier")
        known, archive = Variables(store.pool, settings.encryption_key).of, settings.archive
        jobs = JobWorker(store, store.dsn, new_id, catalog(), links, variables=known, archive=archive, files=files)
        tasks.create_task(jobs.run(stop), name="jobs")
        tasks.create_task(_retain(settings, store, files, stop), name="retention")
        if settings.checkpoint_key:
            checkpoints = Checkpoints(
                store,
                signer(settings.checkpoint_key, public_url),
                Delivery(http=http, url=settings.checkpoint_url, file=settings.checkpoint_file),
                clock=clock.now,
                every_s=60.0 * settings.checkpoint_minutes,
            )
            tasks.create_task(checkpoints.run(stop), name="checkpoints")


_KAFKA = tuple(name for name in Settings.__struct_fields__ if name.startswith("kafka_") and name != "kafka_groups")
_FILES = ("files", "max_file", "max_files")
_TOPIC = ("database_url", "kafka_bootstrap_servers", "message_key")

ROLES: Mapping[str, Role] = {
    "api": Role(
        help="Serve HTTP: the API, the webhooks, the documentation.",
        run=_api,
        needs=("database_url", "jwt_secret", "encryption_key", "message_key"),
        uses=(
            *("host", "port", "public_url", "signup", "max_body", "max_held", "user_per_minute", "trusted_proxies"),
            *("outbound_allow", "smtp_host", "smtp_from", "archive", *_FILES),
        ),
    ),
    "relay": Role(
        help="Publish committed events to the topic.",
        run=_relay,
        needs=_TOPIC,
        uses=_KAFKA,
    ),
    "runner": Role(
        help="Run the actions of zaps.",
        run=_runner,
        needs=(*_TOPIC, "encryption_key"),
        uses=(*_KAFKA, "kafka_groups", "outbound_allow", "public_url", *_FILES),
    ),
    "projector": Role(
        help="Keep the read models up to date.",
        run=_projector,
        needs=_TOPIC,
        uses=(*_KAFKA, "kafka_groups"),
    ),
    "scheduler": Role(
        help="Fire timers, work on jobs, send alerts about failed runs and mails that ask for approvals.",
        run=_scheduler,
        needs=("database_url", "message_key", "encryption_key"),
        uses=(
            *("public_url", "outbound_allow", "requests_days", *_FILES),
            *("checkpoint_key", "checkpoint_minutes", "checkpoint_url", "checkpoint_file", "archive"),
            *("smtp_host", "smtp_port", "smtp_username", "smtp_password", "smtp_tls", "smtp_from"),
        ),
    ),
}
MIGRATION = ("database_url", "app_password")
"""What `migrate` gets; its database_url is the owner's, and that of all others need not be."""
