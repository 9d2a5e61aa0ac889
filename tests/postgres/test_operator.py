"""What an operator types against a real log: mistakes are told before anything is changed."""

import pytest

from app.cli import doctor
from app.cli.operator import rebuild, rewind
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from tests.support.builders import an_append
from tests.support.projected import PARTITIONS

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


async def findings(dsn: str) -> dict[str, doctor.Finding]:
    return {found.subject: found for found in await doctor._database(Settings(database_url=Secret(dsn)))}


@pytest.mark.usefixtures("engine")
async def test_readers_beyond_the_log_are_found_and_mended_by_what_the_doctor_says(
    store: PgEventStore, connection: Connection, dsn: str
) -> None:
    """As a forged message left them once: a gate at 10^15 takes nothing more, for good."""
    settings = Settings(database_url=Secret(dsn), kafka_partitions=PARTITIONS)
    await store.append(an_append())
    well = {"database", "readers of the log"}
    assert set(await findings(dsn)) == well
    await connection.execute("insert into proj.gates values ('runner', 1, 0, 1), ('runner', 1, 2, 1000000000000000)")
    await connection.execute("update proj.gates set position = 5 where consumer = 'run_list' and partition = 1")
    await connection.execute("update relay.checkpoint set position = 2")
    found = await findings(dsn)
    assert set(found) == {"database", "runner", "run_list", "relay"}
    assert found["runner"].detail == "at position 1000000000000000 of partition 2, but the log ends at 1"
    assert found["relay"].detail == "at position 2, but the log ends at 1"
    assert "rebuild run_list" in found["run_list"].remedy
    assert "rewind 0" in found["relay"].remedy
    assert "rewind 0" in found["runner"].remedy
    await rebuild(settings, "run_list")
    await rewind(settings, 0)
    assert set(await findings(dsn)) == {"database", "relay"}, "the relay mends itself when it sees the wish"
    gates = await connection.fetch("select partition, position from proj.gates where consumer = 'runner' order by 1")
    assert [tuple(row) for row in gates] == [(0, 1), (2, 0)]
    assert await connection.fetchval(WISH) == 0
