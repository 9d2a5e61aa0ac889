"""How a role starts: what will not heal by itself ends it with one line, the rest is waited for."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from app.config.errors import OperatorError
from app.config.settings import PREFIX, Settings
from app.roles.roles import ROLES
from sql.postgres.migrate import missing_migrations
from sql.postgres.pool import CONNECTION_ERRORS, connect
from sql.process import crash_points
from sql.process.patience import rest

log = structlog.get_logger()

OLDEST_POSTGRES = 14
AGAIN_S = 1.0
_REMIND_EVERY = 30


class DatabaseRefused(OperatorError):
    """The database rejects our credentials, or lacks what we need. Waiting does not help."""

    exit_code = 2


async def run(role: str, settings: Settings, stop: asyncio.Event) -> None:
    """Run a role until `stop`, once its servers can be used. Raises OperatorError for what will not heal."""
    crash_points.arm(settings.crash_at, role)
    await wait_until_usable(role, settings, stop)
    if stop.is_set():
        return
    log.info("role.started")
    await ROLES[role].run(settings, stop)
    log.info("role.stopped")


async def wait_until_usable(role: str, settings: Settings, stop: asyncio.Event) -> None:
    """Return once the role's servers can be used, or on `stop`. Raises OperatorError for what will not heal."""
    checks = [database_problem]
    if "kafka_bootstrap_servers" in ROLES[role].needs:
        checks.append(_broker_problem)
    for check in checks:
        await _wait_for(check, settings, stop)


async def _wait_for(check: Callable[[Settings], Awaitable[str]], settings: Settings, stop: asyncio.Event) -> None:
    """Say what is waited for when it changes, and again from time to time."""
    said, rounds = "", 0
    while not stop.is_set() and (problem := await check(settings)):
        if problem != said or rounds % _REMIND_EVERY == 0:
            log.warning("role.waiting", reason=problem)
        said, rounds = problem, rounds + 1
        await rest(stop, AGAIN_S)


async def database_problem(settings: Settings) -> str:
    """What stands in the way of using the database for now; empty for nothing. Raises DatabaseRefused."""
    try:
        connection = await connect(settings.database_url, "check")
        try:
            return await _database_problem(connection)
        finally:
            connection.terminate()
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise DatabaseRefused(f"PostgreSQL refuses us: {error}. See {PREFIX}DATABASE_URL.") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseRefused(f"PostgreSQL: {error}. `triggerhub migrate`, as the owner, grants the rights.") from None
    except ssl.SSLError as error:
        raise DatabaseRefused(f"TLS with PostgreSQL fails: {error}. See {PREFIX}DATABASE_URL.") from None
    except (asyncpg.ClientConfigurationError, FileNotFoundError, ValueError) as error:
        raise DatabaseRefused(f"{PREFIX}DATABASE_URL cannot be used: {error}.") from None
    except CONNECTION_ERRORS as error:
        return f"PostgreSQL does not answer: {str(error) or type(error).__name__}"


async def _database_problem(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise DatabaseRefused(f"PostgreSQL {version.major} is too old: use {OLDEST_POSTGRES} or newer.")
    if await connection.fetchval("show transaction_read_only") == "on":
        return "the database is read-only: a standby, or default_transaction_read_only is on"
    missing = await missing_migrations(connection)
    return f"the schema lacks {missing[0]}: `triggerhub migrate` brings it up to date" if missing else ""


async def _broker_problem(settings: Settings) -> str:
    """The same for Kafka. That a topic is missing is the relay's to heal, where it may."""
    from aiokafka.errors import KafkaError

    from app.config import kafka

    try:
        await kafka.check_access(settings)
        problem = await kafka.check_topic(settings)
    except kafka.Unreachable as error:
        return str(error)
    except KafkaError as error:
        return f"Kafka: {error!r}"
    return "" if settings.kafka_create_topic == "on" else problem
