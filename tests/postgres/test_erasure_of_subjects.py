"""A person is forgotten: found by a keyed hash, in the log and in archives, whatever is killed meanwhile."""

import asyncio
import gzip
import os
import random
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.commands.jobs import Jobs
from consumers.jobs.erasures import Erasures, RequestsErased
from consumers.scheduler.archives import archive
from consumers.scheduler.due import ended
from consumers.scheduler.retention import drop
from domain.erasure.forgetting import subject_key
from domain.hook.request import json_request
from domain.intake.events import Reason, RequestAdmitted, RequestRejected
from domain.log.event import Metadata, StreamKind
from domain.log.ports import StoreUnavailable
from domain.run import events as run
from domain.run.children import Parent
from domain.values.json import JsonObject
from domain.zap.events import ZapEnabled, ZapPublished
from domain.zap.settings import ZapSettings
from projections.engine.engine import Engine
from projections.engine.freshness import wait_until
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from projections.engine.verify import verify_read_models
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.log.forgetting import Of, forget_dropped
from sql.postgres.pool import Connection
from sql.process.clock import new_id, now
from sql.process.crash_points import EXIT_CODE
from sql.proof.verify import verify_chain
from tests.support.builders import a_definition, a_zap_created, an_append
from tests.support.clock import START
from tests.support.deployment import SECRETS
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import PARTITIONS, append, following, tamper
from tests.support.tables import where_is

GRACE = "Canary-4711@example.org"
TENANT = UUID("00000000-0000-7000-8000-000000000001")
ZAP, CALLED = new_id(), new_id()
"""Of this run of the tests only: what was published of a zap is remembered in a process."""
MARCH, APRIL = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


async def _photo() -> AsyncIterator[bytes]:
    yield b"a photo"


class History:
    """Runs of Grace and of others: in the log, and in archives of two months."""

    def __init__(self, dsn: str, store: PgEventStore, place: Path) -> None:
        self.dsn = dsn
        self.store = store
        self.place = place
        self.jobs = Jobs(store, new_id)
        self.dice = random.Random(1)
        self.others: list[UUID] = []

    async def zap(self, zap_id: UUID, subject: str | None) -> None:
        definition = msgspec.structs.replace(a_definition("send"), settings=ZapSettings(subject=subject, index="off"))
        published = ZapPublished(number=1, name="Orders", definition=definition)
        events = a_zap_created(definition=definition), published, ZapEnabled()
        await append(self.store, zap_id, *events, tenant_id=TENANT, key=zap_id, kind=StreamKind.CORE)

    async def run(self, who: str, at: datetime | None = None, zap_id: UUID = ZAP, **fields: Any) -> UUID:
        """One whose steps repeat what it was given."""
        run_id = new_id()
        if at:
            run_id = UUID(int=(int(at.timestamp() * 1_000) + self.dice.randrange(10**9)) << 80 | run_id.int % 2**80)
        body: JsonObject = {"mail": who, "n": 1} if zap_id == ZAP else {"given": who}
        started = run.RunRequested(
            zap_id=zap_id, zap_version=1, request=json_request(body), **{"source": "webhook", **fields}
        )
        files = FileStore(self.store.pool, now, new_id)
        output: JsonObject = {"to": who, "photo": (await files.keep(TENANT, run_id, _photo())).value()}
        sent = run.StepSucceeded(step_id="send", attempt=1, started_at=START, duration_ms=1, output=output)
        events = started, sent, run.RunCompleted(zap_id=zap_id)
        await append(self.store, run_id, *events, tenant_id=TENANT, key=run_id)
        return run_id

    async def request(self, who: str, reason: Reason) -> UUID:
        """One that is kept whole and became no run."""
        request_id = new_id()
        rejected = RequestRejected(
            zap_id=ZAP, reason=reason, status=202, detail=who, excerpt=who, request=json_request({"mail": who})
        )
        new = an_append(rejected, stream_id=request_id, kind=StreamKind.REQUEST, ids=[request_id], ordering_key=ZAP)
        await self.store.append(msgspec.structs.replace(new, tenant_id=TENANT))
        return request_id

    async def made(self) -> None:
        await self.zap(ZAP, "trigger.body.mail")
        await self.zap(CALLED, None)
        for month in (MARCH, APRIL):
            mine = await self.run(GRACE, month)
            await self.run("canary-4711 was here", month, CALLED, parent=Parent(run_id=mine, step_id="call", index=0))
            self.others.append(await self.run("alan@example.org", month))
        await self.run("canary-4711 again", APRIL, CALLED, replay_of=mine, source="replay")
        await self.run("canary-4711 last", None, CALLED, replay_of=mine, source="replay")
        await self.run(GRACE.upper() + " ")
        self.others.append(await self.run("alan@example.org"))
        await self.caught_up()

    async def caught_up(self) -> None:
        for projection in PROJECTIONS:
            assert await wait_until(self.store.pool, projection.name, await self.store.head(), 60)

    async def archived(self) -> list[str]:
        names = []
        for month in (MARCH, APRIL):
            gone = await ended(self.dsn, month.date())
            name = await drop(self.dsn, gone, new_id, archive.place(str(self.place)))
            assert name
            names.append(name)
        return names

    def in_files(self, text: str) -> int:
        return sum(gzip.decompress(file.read_bytes()).decode().lower().count(text) for file in self.place.glob("*.gz"))

    async def ended_job(self, job_id: UUID) -> Any:
        async def done() -> bool:
            return (await self.jobs.load(TENANT, job_id)).state.status == "completed"

        await eventually(done)
        return (await self.jobs.load(TENANT, job_id)).state


@pytest.fixture
async def history(dsn: str, store: PgEventStore, tmp_path: Path) -> AsyncIterator[History]:
    """With read models that follow."""
    await tamper(dsn, "select es.make_month('events_run', m) from unnest('{2025-03-01,2025-04-01}'::timestamp[]) m")
    made = History(dsn, store, tmp_path)
    async with following(dsn, store), Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        await made.made()
        yield made


async def nothing_is_left(history: History, connection: Connection) -> None:
    """And what was not asked for is, and comes back from the archive."""
    await history.caught_up()
    for spelling in ("canary-4711", "Canary-4711", "CANARY-4711"):
        assert await where_is(connection, spelling) == []
    assert history.in_files("canary-4711") == 0
    assert (history.in_files("alan@example.org") > 0, history.in_files('"chunk":')) == (True, 2)
    report = await verify_chain(history.dsn)
    assert (report.broken_at, report.reason) == (None, "")
    for file in sorted(history.place.glob("*.gz")):
        assert await archive.bring_back(history.dsn, archive.place(str(history.place)), file.name) > 0
    for spelling in ("canary-4711", "Canary-4711", "CANARY-4711"):
        assert await where_is(connection, spelling) == []
    assert await verify_read_models(history.dsn, PROJECTIONS, PARTITIONS) == []
    assert (await verify_chain(history.dsn)).broken_at is None
    for run_id in history.others:
        assert b"alan@example.org" in (await history.store.read_stream(StreamKind.RUN, run_id))[1].data


async def test_a_person_is_forgotten_in_the_log_and_in_archives_with_all_that_came_of_it(
    history: History, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    key = subject_key(await connection.fetchval("select key from proj.subject_key"), TENANT, GRACE)
    indexed = "select count(*) from rm.run_keys where name = '' and key = $1 and value = ''"
    assert await connection.fetchval(indexed, b"\0" + key) == 3
    await history.archived()
    assert (history.in_files("canary-4711") >= 10, history.in_files('"chunk":')) == (True, 7)
    await nobody_forgets_else(history, connection)
    (history.place / "runs-2025-05-x.ndjson.gz#1").write_text("a process was killed while it wrote canary-4711")
    counts, size = await history.jobs.count_subject(TENANT, "canary-4711@EXAMPLE.org")
    assert [(count.zap_id, count.status, count.runs) for count in counts] == [(ZAP, "completed", 1)]
    assert size > 100
    held, refused = await history.request(GRACE, "held"), await history.request(GRACE.lower(), "filtered")
    others = await history.request("alan@example.org", "held")
    job = await history.jobs.erase_subject(TENANT, GRACE, Metadata(actor=f"user:{TENANT}"))
    for point in ("archive_recorded:2", "archive_rewritten:1"):
        assert await scheduler_dies(history, point) == EXIT_CODE
        assert history.in_files("canary-4711") > 0
    async with job_worker(history.dsn, history.store, str(history.place)):
        state = await history.ended_job(job.id)
    assert (state.done, state.failed, state.problem) == (7 + 2, 0, "")
    assert [file.name for file in history.place.glob("*#*")] == []
    await nothing_is_left(history, connection)
    listed = await connection.fetch("select request_id, admissible, discarded, excerpt from rm.request_list")
    assert {row[0]: tuple(row)[1:] for row in listed} == {
        held: (False, True, ""), refused: (False, False, ""), others: (True, False, "alan@example.org"),
    }  # fmt: skip
    told = await connection.fetch("select told from rm.audit where type = 'run.forgotten' and entity = 'request'")
    assert {row[0] for row in told} == {
        f"erased what request {one} to zap Orders had brought" for one in (held, refused)
    }
    again = await history.jobs.erase_subject(TENANT, GRACE, Metadata(actor=f"user:{TENANT}"))
    async with job_worker(history.dsn, history.store, str(history.place)):
        assert (await history.ended_job(again.id)).done == 0
    said = capsys.readouterr()
    assert "canary-4711" not in (said.out + said.err).lower()


async def scheduler_dies(history: History, point: str) -> int:
    """The exit code of a real one that is told to die there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "scheduler"),
        cwd=ROOT,
        env={
            **os.environ,
            **SECRETS,
            "TRIGGERHUB_DATABASE_URL": history.dsn,
            "TRIGGERHUB_ARCHIVE": str(history.place),
            "TRIGGERHUB_CRASH_AT": f"scheduler.{point}",
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await asyncio.wait_for(process.wait(), 60)


async def nobody_forgets_else(history: History, connection: Connection) -> None:
    """Of what is in the log, what another tenant has, and what the log does not have."""
    fetched = await connection.fetch("select position from es.dropped_events where drop_id is not null limit 3")
    dropped, mine = [row[0] for row in fetched], Of(new_id(), ZAP, TENANT, ZAP)
    live = await connection.fetchval("select max(position) from es.events where kind = 1")
    for of, positions in (
        (mine, [live]),
        (msgspec.structs.replace(mine, tenant_id=new_id()), dropped),
        (mine, [*dropped, 10**6]),
    ):
        with pytest.raises(StoreUnavailable):
            await forget_dropped(history.store.pool, new_id, of, [(p, b"x" * 32) for p in positions], Metadata())
    assert await connection.fetchval("select count(*) from es.forgotten_events") == 0


async def test_a_request_that_was_released_meanwhile_keeps_no_other_from_being_forgotten(
    dsn: str, store: PgEventStore, connection: Connection, tmp_path: Path
) -> None:
    history = History(dsn, store, tmp_path)
    async with following(dsn, store), Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        await history.zap(ZAP, "trigger.body.mail")
        released, held = await history.request(GRACE, "held"), await history.request(GRACE, "held")
        await history.caught_up()
    admitted = RequestAdmitted(zap_id=ZAP, request_id=released, run_id=new_id())
    await append(store, released, admitted, tenant_id=TENANT, key=ZAP, kind=StreamKind.REQUEST)
    key = subject_key(await connection.fetchval("select key from proj.subject_key"), TENANT, GRACE)
    erased = await Erasures(store, new_id).erase_requests(TENANT, key, Metadata())
    assert erased == RequestsErased(1, [released])
    assert GRACE.encode() not in (await store.read_stream(StreamKind.REQUEST, held))[0].data
