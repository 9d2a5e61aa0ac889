"""Which objects make up each process: the composition root of the roles and of the operator's verbs.

Imports stay inside, so that each process loads only what it runs: the relay needs no web framework.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import click
import structlog

from app.config.errors import OperatorError
from app.config.settings import Settings
from domain.log.ports import EventStore, StoreUnavailable

log = structlog.get_logger()

Role = Callable[[Settings, asyncio.Event], Awaitable[None]]

API_PATIENCE_S = 1.8
"""How long a request waits for the log: senders have their 503 within two seconds."""
RUNNER_RECORDS = 500
PROJECTOR_RECORDS = 2_000
PROJECTOR_PACE_S = 0.2
"""How far read models may lag on an idle machine: rests let batches grow, which is cheaper for everybody."""
_RESTART_S = 1.0


async def run(role: str, settings: Settings, stop: asyncio.Event) -> None:
    """Run one role until `stop`. Each lives through outages of the database and the broker."""
    from app.roles.startup import wait_until_usable
    from sql.process import crash_points

    crash_points.arm(settings.crash_at, role)
    await wait_until_usable(role, settings, stop)
    if stop.is_set():
        return
    log.info("role.started")
    await ROLES[role](settings, stop)
    log.info("role.stopped")


async def _api(settings: Settings, stop: asyncio.Event) -> None:
    from app.http.services import Services
    from app.roles.server import serve
    from consumers.connectors import catalog
    from sql.log.event_store import PgEventStore

    async with PgEventStore(settings.database_url, "api", read_connections=8, patience_s=API_PATIENCE_S) as store:
        services = Services(
            store=store,
            dsn=settings.database_url,
            catalog=catalog(),
            jwt_secret=settings.jwt_secret.encode(),
            encryption_key=settings.encryption_key,
            hop_secret=settings.message_key,
            public_url=settings.public_url,
            signup=settings.signup,
            max_body=settings.max_body,
            user_per_minute=settings.user_per_minute or None,
            readiness=lambda: _failing_checks(store),
        )
        await serve(services, settings.host, settings.port, stop)


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


async def _runner(settings: Settings, stop: asyncio.Event) -> None:
    from app.config import kafka
    from consumers.connectors import catalog
    from consumers.kafka.subscription import ConsumerConfig
    from consumers.outbound.client import Outbound
    from consumers.runner.runner import Runner
    from domain.hook.hops import Hops
    from sql.log.event_store import PgEventStore

    config = ConsumerConfig(
        settings.kafka_bootstrap_servers,
        settings.kafka_topic,
        "runner",
        RUNNER_RECORDS,
        security=kafka.consumer_security(settings),
        alone=_alone(settings),
        message_keys=settings.message_keys,
    )
    async with (
        PgEventStore(settings.database_url, "runner") as store,
        Outbound(settings.outbound_allow) as http,
    ):
        partitions = settings.kafka_partitions
        hops = Hops(settings.message_key)
        await _again_until(
            stop, lambda: Runner(store, catalog(), http, config, partitions=partitions, hops=hops).run(stop)
        )


async def _projector(settings: Settings, stop: asyncio.Event) -> None:
    from app.config import kafka
    from consumers.kafka.subscription import ConsumerConfig
    from consumers.projector import Projector
    from projections.engine.engine import Engine, NewerRelease
    from projections.engine.registry import PROJECTIONS
    from sql.log.event_store import PgEventStore

    config = ConsumerConfig(
        settings.kafka_bootstrap_servers,
        settings.kafka_topic,
        "projector",
        PROJECTOR_RECORDS,
        PROJECTOR_PACE_S,
        kafka.consumer_security(settings),
        _alone(settings),
        settings.message_keys,
    )
    async with PgEventStore(settings.database_url, "projector", read_connections=2) as store:

        async def project() -> None:
            async with Engine(settings.database_url, PROJECTIONS, settings.kafka_partitions) as engine:
                await Projector(engine, store, config).run(stop)

        try:
            await _again_until(stop, project)
        except NewerRelease as error:
            raise OperatorError(f"The read models belong to a newer release ({error}): run that one.") from None


def _alone(settings: Settings) -> int:
    """How many partitions the one consumer of its kind reads; 0 where several share them."""
    return settings.kafka_partitions if settings.kafka_groups == "off" else 0


async def _scheduler(settings: Settings, stop: asyncio.Event) -> None:
    from consumers.jobs.worker import JobWorker
    from consumers.notifier.alert_channels import Channels
    from consumers.notifier.mail import Mail, MailConfig
    from consumers.notifier.notifier import Notifier
    from consumers.outbound.client import Outbound
    from consumers.scheduler.housekeeping import Housekeeping
    from consumers.scheduler.timers import Scheduler
    from sql.log.event_store import PgEventStore
    from sql.process import clock

    async with (
        PgEventStore(settings.database_url, "scheduler", read_connections=4) as store,
        Outbound(settings.outbound_allow) as http,
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
        channels = Channels(store, http, mail, clock.new_id, settings.public_url)
        notifier = Notifier(store, settings.database_url, channels, clock=clock.now, new_id=clock.new_id)
        tasks.create_task(Scheduler(store).run(stop), name="scheduler")
        tasks.create_task(Housekeeping(store.pool, clock.now).run(stop), name="housekeeping")
        tasks.create_task(notifier.run(stop), name="notifier")
        tasks.create_task(JobWorker(store, settings.database_url, clock.new_id).run(stop), name="jobs")


ROLES: Mapping[str, Role] = {
    "api": _api,
    "relay": _relay,
    "runner": _runner,
    "projector": _projector,
    "scheduler": _scheduler,
}


async def _again_until(stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again after an outage that it could not wait out inside."""
    from aiokafka.errors import KafkaError

    from consumers.kafka.patience import rest
    from sql.postgres.pool import CONNECTION_ERRORS

    while not stop.is_set():
        try:
            await work()
        except (KafkaError, *CONNECTION_ERRORS) as error:
            log.warning("role.interrupted", error=repr(error))
            await rest(stop, _RESTART_S)


async def _failing_checks(store: EventStore) -> list[str]:
    """What the API needs in order to take requests: the log. The broker's outages are for the relay to wait out."""

    asked = asyncio.create_task(store.head())
    # Not cancelled: a query that is cancelled while the server stands still does not end.
    await asyncio.wait({asked}, timeout=2)
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    return [] if asked.done() and not isinstance(asked.exception(), StoreUnavailable) else ["database"]


async def migrate(settings: Settings) -> None:
    """Bring the schema up to this release, and say what was applied."""
    from sql.postgres.migrate import MigrationEdited
    from sql.postgres.migrate import migrate as apply

    try:
        applied = await apply(settings.database_url)
    except MigrationEdited as error:
        raise OperatorError(str(error)) from None
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the schema is up to date")


async def rebuild(settings: Settings, name: str) -> None:
    """Build a read model anew beside the live one, with its progress shown, and switch."""
    from projections.engine.rebuild import rebuild as build
    from projections.engine.registry import LIVE_FOLDS, PROJECTIONS

    if name in LIVE_FOLDS:
        click.echo(f"{name} is folded from the log whenever it is read: there is nothing to rebuild")
        return
    projection = next((projection for projection in PROJECTIONS if projection.name == name), None)
    if projection is None:
        known = ", ".join([*(projection.name for projection in PROJECTIONS), *LIVE_FOLDS])
        raise OperatorError(f"There is no read model {name!r}; there are: {known}.")
    with _progress_bar(f"rebuilding {name}") as progress:
        position = await build(settings.database_url, projection, settings.kafka_partitions, progress)
    click.echo(f"{name} holds everything up to position {position}, and is live")


async def retry_parked(settings: Settings, name: str) -> None:
    """Offer a read model again the events that it could not take, for instance after an upgrade."""
    from projections.engine.engine import Engine, NewerRelease, NotBuilt
    from projections.engine.registry import PROJECTIONS

    if name not in {projection.name for projection in PROJECTIONS}:
        raise OperatorError(f"There is no read model {name!r} that could have parked events.")
    async with Engine(settings.database_url, PROJECTIONS, settings.kafka_partitions) as engine:
        try:
            remaining = await engine.retry_parked(name)
        except (NotBuilt, NewerRelease) as error:
            raise OperatorError(f"{error}.") from None
    click.echo(f"{remaining} events stay parked" if remaining else f"{name} has taken all its events")


async def rewind(settings: Settings, position: int) -> None:
    """Have the relay publish again everything after a position; consumers drop what they have had."""
    from sql.postgres.pool import connect
    from sql.postgres.queries import Queries

    connection = await connect(settings.database_url, "rewind")
    try:
        head = await connection.fetchval(Queries("queries/events.sql")["head"])
        if not 0 <= position <= head:
            raise OperatorError(f"There is no position {position}: the log's head is {head}.")
        await connection.execute(Queries("queries/relay.sql")["ask_rewind"], position)
    finally:
        await connection.close()
    click.echo(f"the relay will publish again from position {position + 1}")


async def verify(settings: Settings) -> int:
    """Check the chain and the read models, and print what was found. Returns the exit code."""
    from projections.engine.registry import PROJECTIONS
    from projections.engine.verify import verify_read_models
    from sql.log.verify import verify_chain

    with _progress_bar("hash chain") as progress:
        report = await verify_chain(settings.database_url, progress)
    if report.broken_at is not None:
        click.echo(f"BROKEN: the log is not as it was written, from position {report.broken_at}: {report.reason}")
        return 1
    click.echo(f"the hash chain holds: {report.events} events, the last with {report.hash}")
    with _progress_bar("read models") as progress:
        found = await verify_read_models(settings.database_url, PROJECTIONS, settings.kafka_partitions, progress)
    for difference in found:
        click.echo(f"DIFFERENT: {difference.projection}, {difference.side}: {difference.row}")
    if found:
        click.echo("`triggerhub rebuild NAME` makes a read model anew from the log")
        return 1
    click.echo(f"the read models equal the log: {', '.join(projection.name for projection in PROJECTIONS)}")
    return 0


@contextmanager
def _progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on a terminal, nothing elsewhere. Called with the position reached and the head."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def show(position: int, head: int) -> None:
            bar.length = head
            bar.update(position - bar.pos)

        yield show
