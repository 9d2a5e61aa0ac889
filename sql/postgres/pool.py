"""Connections to Postgres: a pool for queries, and dedicated ones for locks and LISTEN."""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
    Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a query on a connection that is being closed
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    TimeoutError,
)
"""Errors of an unreachable, restarting, full or busy server: the same statement may succeed later."""

DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""Errors about the values: the server will refuse them again."""

NOT_TEXT = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
"""Those about a text which holds U+0000, which PostgreSQL keeps nowhere in texts."""

# A client that vanished must not keep its locks: the server closes its connection within seconds.
_KEEPALIVE = {"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"}


async def connect(dsn: str, name: str, **settings: str) -> Connection:
    """A dedicated connection, shown as `triggerhub <name>` in pg_stat_activity."""
    return await asyncpg.connect(
        dsn,
        timeout=5,
        server_settings={
            "application_name": f"triggerhub {name}",
            "tcp_user_timeout": "4000",
            **_KEEPALIVE,
            **settings,
        },
    )


def create_pool(dsn: str, name: str, size: int) -> Pool:
    """A pool for reads: to be opened with `async with`. Holds no session state, so releases cost no round trip."""
    return asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=5,
        command_timeout=10,
        max_inactive_connection_lifetime=60,
        reset=_no_reset,
        server_settings={"application_name": f"triggerhub {name}"},
    )


async def _no_reset(_connection: object) -> None:
    """Skips asyncpg's RESET ALL at each release: a round trip for state that these connections never have."""
