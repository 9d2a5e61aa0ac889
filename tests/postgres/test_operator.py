"""What an operator types against a real log: mistakes are told before anything is changed."""

import asyncio
import base64
from pathlib import Path

import pytest

from app.cli import doctor, operator, proving
from app.cli.operator import rebuild, rewind
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from app.http.docs import verify_proof
from consumers.scheduler.checkpoints import Checkpoints, Delivery
from domain.connector.http_client import HttpReply, HttpRequest
from domain.proof.notes import signer
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from sql.process.clock import new_id, now
from tests.support.builders import an_append
from tests.support.projected import PARTITIONS, tamper

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
    well = {"database", "readers of the log", "size"}
    assert set(await findings(dsn)) == well
    await connection.execute("insert into proj.gates values ('runner', 1, 0, 1), ('runner', 1, 2, 1000000000000000)")
    await connection.execute("update proj.gates set position = 5 where consumer = 'run_list' and partition = 1")
    await connection.execute("update relay.checkpoint set position = 2")
    found = await findings(dsn)
    assert set(found) == {"database", "runner", "run_list", "relay", "size"}
    assert found["runner"].detail == "at position 1000000000000000 of partition 2, but the log ends at 1"
    assert found["relay"].detail == "at position 2, but the log ends at 1"
    assert "rebuild run_list" in found["run_list"].remedy
    assert "rewind 0" in found["relay"].remedy
    assert "rewind 0" in found["runner"].remedy
    await rebuild(settings, "run_list")
    await rewind(settings, 0)
    assert set(await findings(dsn)) == {"database", "relay", "size"}, "the relay mends itself when it sees the wish"
    gates = await connection.fetch("select partition, position from proj.gates where consumer = 'runner' order by 1")
    assert [tuple(row) for row in gates] == [(0, 1), (2, 0)]
    assert await connection.fetchval(WISH) == 0


KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
REBUILT = """do $$
declare c record; head bytea := sha256('triggerhub'); begin
    update es.events set data = data || ' ' where position = 4;
    update es.events set hash = sha256(
        int2send(kind) || int2send(schema_version) || int4send(octet_length(type)) || int4send(octet_length(meta))
        || int4send(octet_length(data)) || uuid_send(stream_id) || uuid_send(tenant_id) || uuid_send(ordering_key)
        || uuid_send(event_id) || convert_to(type, 'UTF8') || meta || data) where position = 4;
    for c in select * from es.commits where last_position > 0 order by last_position loop
        head := sha256(head || int8send(c.prev_position)
            || int8send((extract(epoch from c.recorded_at) * 1000000)::bigint)
            || (select string_agg(int4send(version) || hash, '' order by position) from es.events
                where position > c.prev_position and position <= c.last_position));
        update es.commits set hash = head where last_position = c.last_position;
    end loop;
end $$"""
"""What somebody does who can write to the whole database, and knows how the chain is made."""


async def test_a_chain_that_was_made_anew_is_found_out_by_a_checkpoint_that_was_kept_elsewhere(
    dsn: str, store: PgEventStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "checkpoints"
    signed = signer(KEY, "http://127.0.0.1:8000")
    maker = Checkpoints(store, signed, Delivery(http=Nobody(), file=str(file)), clock=now, every_s=1)
    for _ in range(3):
        await asyncio.gather(*(store.append(an_append(stream_id=new_id())) for _ in range(3)))
        await maker.make()
        await maker.deliver()
    settings = Settings(database_url=Secret(dsn), checkpoint_key=Secret(KEY))
    assert await operator.verify(settings, 1, None, str(file)) == 0
    assert "the log is what was signed: 3 checkpoints, the last of 9 events" in capsys.readouterr().out
    await proving.write_proof(settings, 4, str(tmp_path / "proof"), 6)
    said = verify_proof.verify((tmp_path / "proof").read_text("utf-8"), signed.verifier.key)
    assert "Position 4 of the log of 6 events" in said

    await tamper(dsn, REBUILT)
    assert await operator.verify(settings, 1, None) == 0, "the chain by itself holds"
    assert await operator.verify(settings, 1, None, str(file)) == 1
    assert "BROKEN: the log is not what was signed, from a position between 4 and 6" in capsys.readouterr().out

    file.write_text(file.read_text("utf-8").replace("\n6\n", "\n7\n"), "utf-8")
    with pytest.raises(OperatorError, match="not signed"):
        await operator.verify(settings, 1, None, str(file))


class Nobody:
    """Nowhere to post to."""

    async def request(self, request: HttpRequest) -> HttpReply:
        raise AssertionError(request)


async def test_the_doctor_tells_sizes_and_how_far_the_relay_is_behind(store: PgEventStore, dsn: str) -> None:
    await asyncio.gather(*(store.append(an_append(stream_id=new_id())) for _ in range(3)))
    found = await findings(dsn)
    assert "with 3 events" in found["size"].detail
    assert not found["size"].remedy
    assert "relay" not in found
    await tamper(dsn, "update relay.checkpoint set position = -200000")
    assert "relay" in (await findings(dsn))["relay"].remedy
