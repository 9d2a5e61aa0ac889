"""What an operator types against a real log: mistakes are told before anything is changed."""

import pytest

from app.cli.operator import rewind
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from tests.support.builders import an_append

WISH = "select rewind_to from relay.checkpoint"


@pytest.mark.parametrize("position", [-1, 2, 99_999_999])
async def test_a_rewind_to_where_there_is_no_log_names_the_head(
    store: PgEventStore, connection: Connection, dsn: str, position: int
) -> None:
    await store.append(an_append())
    with pytest.raises(OperatorError, match=f"no position {position}: the log's head is 1"):
        await rewind(Settings(database_url=Secret(dsn)), position)
    assert await connection.fetchval(WISH) is None


@pytest.mark.parametrize("position", [0, 1])
async def test_a_rewind_within_the_log_is_asked_for(
    store: PgEventStore, connection: Connection, dsn: str, position: int
) -> None:
    await store.append(an_append())
    await rewind(Settings(database_url=Secret(dsn)), position)
    assert await connection.fetchval(WISH) == position
