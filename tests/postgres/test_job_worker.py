"""Jobs at work: each run is taken once, at the speed that was asked for, whoever dies or races meanwhile."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from app.commands.jobs import Jobs
from consumers.indexing.following import catch_up
from consumers.jobs import work, worker
from consumers.jobs.kinds import Bulk, commands
from domain.aggregates import RUN
from domain.hook.request import Request, json_request
from domain.intake.events import RequestRejected
from domain.job.job import (
    MAX_RATE_PER_S,
    AbortJob,
    JobKind,
    JobProgressed,
    JobRequested,
    LoadedJob,
    PauseJob,
    ResumeJob,
    RunJobKind,
    Selection,
)
from domain.log.event import Appended, Event, Metadata, StoredEvent, StreamKind
from domain.log.partitioning import partition_of
from domain.log.stream import load
from domain.registry import decode
from domain.run.commands import FailRun, FinishRun
from domain.run.decide import decide
from domain.run.events import RunCancelled, RunCompleted, RunFailed, RunRequested
from domain.zap.definition import NO_STEPS, Definition
from domain.zap.events import ZapDeleted, ZapEnabled, ZapPublished
from projections.dead_letters import DeadLetters, list_dead_letters
from projections.engine.engine import Engine
from projections.engine.freshness import holds_all
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from projections.recoveries import recovered_by
from projections.run_filter import RunFilter
from projections.run_query import list_runs, replays_of
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.process.clock import new_id
from tests.support.builders import a_definition, a_zap_created, an_append
from tests.support.deployment import SECRETS
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.jobs import job_worker
from tests.support.projected import (
    PARTITIONS,
    append,
    attempt_failed,
    batch_of,
    failed,
    following,
    note_sent,
    requested,
    tamper,
)
from tests.support.stores import patient_store

pytestmark = pytest.mark.usefixtures("read_models")

ADA, BOB = new_id(), new_id()
ASKED = Metadata(actor=f"user:{ADA}")
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as opened:
        yield opened


class Bench:
    """Ada's and Bob's runs, read models that follow the log, and workers."""

    def __init__(self, store: PgEventStore, dsn: str) -> None:
        self.store = store
        self.dsn = dsn
        self.jobs = Jobs(store, new_id)

    async def zap(self, tenant_id: UUID = ADA, definition: Definition | None = None, *more: Event) -> UUID:
        """A live zap."""
        zap_id = new_id()
        definition = definition or a_definition("send")
        published = ZapPublished(number=1, name="Orders", definition=definition)
        events = (a_zap_created(definition=definition), published, ZapEnabled(), *more)
        await append(self.store, zap_id, *events, tenant_id=tenant_id, key=zap_id, kind=StreamKind.CORE)
        return zap_id

    async def runs(self, zap_id: UUID, count: int, *life: Event, tenant_id: UUID = ADA) -> list[UUID]:
        """Runs that went this way after their request, oldest first."""
        ids = [new_id() for _ in range(count)]
        for start in range(0, count, 1_000):
            await asyncio.gather(
                *(
                    append(self.store, run_id, requested(zap_id), *life, tenant_id=tenant_id, key=run_id)
                    for run_id in ids[start : start + 1_000]
                )
            )
        return ids

    async def ask(
        self, kind: RunJobKind, selection: Selection, rate_per_s: int = 1_000, tenant_id: UUID = ADA, **more: str
    ) -> LoadedJob:
        """A job, once the read models know all there is."""

        async def counted() -> int:
            return (await self.jobs.count_runs(tenant_id, kind, selection)).count

        total = await eventually(counted)
        wish = JobRequested(kind=kind, filter=selection, total=total, rate_per_s=rate_per_s, **more)  # type: ignore[arg-type] # version
        return await self.jobs.request(tenant_id, wish, ASKED)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """One more worker."""
        async with patient_store(self.dsn, "worker") as store, job_worker(self.dsn, store):
            yield

    async def job(self, job_id: UUID, tenant_id: UUID = ADA) -> LoadedJob:
        return await self.jobs.load(tenant_id, job_id)

    async def completed(self, job_id: UUID, timeout_s: float = PATIENCE_S) -> LoadedJob:
        """The job, once it has."""

        async def done() -> bool:
            return (await self.job(job_id)).state.status == "completed"

        await eventually(done, timeout_s, 0.1)
        return await self.job(job_id)

    async def reaches(self, job_id: UUID, count: int) -> None:
        """Until so many are dealt with."""

        async def reached() -> bool:
            return (await self.job(job_id)).state.dealt_with >= count

        await eventually(reached, interval_s=0.05)

    async def replays(self) -> list[UUID]:
        """The runs that were replayed, as often as they were, in the order of the log."""
        events = await self._events("zap.run.requested")
        return [event.replay_of for event in events if isinstance(event, RunRequested) and event.replay_of]

    async def progress(self) -> list[JobProgressed]:
        """All that jobs recorded."""
        return [event for event in await self._events("job.progressed") if isinstance(event, JobProgressed)]

    async def _events(self, type_: str) -> list[Event]:
        found: list[Event] = []
        async for page in self.store.iterate_log(0, await self.store.head()):
            found += [
                decode(stored.type, stored.schema_version, stored.data) for stored in page if stored.type == type_
            ]
        return found


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that look more often whether there is something to do."""
    monkeypatch.setattr(work, "POLL_S", 0.1)
    monkeypatch.setattr(worker, "POLL_S", 0.1)


@pytest.fixture
async def bench(dsn: str, store: PgEventStore) -> AsyncIterator[Bench]:
    async with following(dsn, store):
        yield Bench(store, dsn)


@pytest.mark.slow
async def test_5000_failed_runs_at_500_a_second_aborted_half_way_and_resumed_are_replayed_once_each(
    bench: Bench,
) -> None:
    zap = await bench.zap()
    runs = await bench.runs(zap, 5_000, *failed())

    async def all_listed() -> bool:
        return (await bench.jobs.count_runs(ADA, "replay", Selection(zap_id=zap))).count == 5_000

    await eventually(all_listed)
    job = await bench.ask("replay", Selection(zap_id=zap, status="failed", error_code="http_503"), 500)
    assert job.state.total == 5_000
    async with bench.worker():
        started = time.monotonic()
        await bench.reaches(job.id, 2_000)
        await bench.jobs.execute(ADA, job.id, AbortJob(), ASKED)

        async def rests() -> bool:
            before = await bench.replays()
            return (await bench.job(job.id)).state.done == len(before) and before == await bench.replays()

        await eventually(rests)
        half = (await bench.job(job.id)).state
        took = time.monotonic() - started
        assert half.status == "aborted"
        assert 2_000 <= half.done < 5_000
        # A batch may be on its way before its turn is over; otherwise the limit holds.
        assert half.done <= 500 * took + 50
        await bench.jobs.execute(ADA, job.id, ResumeJob(), ASKED)
        done = (await bench.completed(job.id, 30)).state
    assert (done.done, done.skipped, done.failed, done.total) == (5_000, 0, 0, 5_000)
    assert await bench.replays() == runs
    seen = [made.done for made in await bench.progress()]
    assert len(seen) >= 6
    assert seen == sorted(set(seen))


@pytest.mark.usefixtures("hurried")
async def test_a_replay_by_a_job_is_linked_both_ways_and_says_who_wanted_it(bench: Bench) -> None:
    zap = await bench.zap()
    (run,) = await bench.runs(zap, 1, *failed())
    job = await bench.ask("replay", Selection(zap_id=zap))
    async with bench.worker():
        await bench.completed(job.id)

    async def linked() -> Sequence[UUID]:
        return await replays_of(bench.store.pool, ADA, run)

    (replay,) = await eventually(linked)
    assert await replays_of(bench.store.pool, BOB, run) == []
    (listed,) = await list_runs(bench.store.pool, ADA, RunFilter(source="replay"))
    assert (listed.id, listed.replay_of) == (replay, run)
    (stored,) = await bench.store.read_stream(StreamKind.RUN, replay)
    event = decode(stored.type, stored.schema_version, stored.data)
    assert isinstance(event, RunRequested)
    assert (event.source, event.replay_of, event.job_id) == ("replay", run, job.id)
    assert ASKED.actor.encode() in stored.meta


@pytest.mark.usefixtures("hurried")
async def test_what_came_after_the_request_is_left_alone_and_so_is_what_is_anothers(bench: Bench) -> None:
    zap, bobs = await bench.zap(), await bench.zap(BOB)
    runs = await bench.runs(zap, 3, *failed())
    await bench.runs(bobs, 3, *failed(), tenant_id=BOB)
    job = await bench.ask("replay", Selection(status="failed"))
    await bench.runs(zap, 3, *failed())
    async with bench.worker():
        assert (await bench.completed(job.id)).state.done == 3
    assert await bench.replays() == runs


@pytest.mark.usefixtures("hurried")
async def test_a_job_waits_for_the_partitions_of_a_projector_that_is_down(dsn: str, store: PgEventStore) -> None:
    """Only that of the job's own event is up to date, which was enough to end without the runs of the others."""
    bench = Bench(store, dsn)
    connection = await asyncpg.connect(dsn)
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        await engine.start()
        runs = await bench.runs(await bench.zap(), 12, *failed())
        wish = JobRequested(kind="replay", filter=Selection(status="failed"), total=12, rate_per_s=1_000)
        job = await bench.jobs.request(ADA, wish, ASKED)
        events = await store.read_log(0, 1_000)
        batch, own = batch_of(events), partition_of(job.id, PARTITIONS)
        await note_sent(connection, events)
        await connection.close()
        await engine.apply({own: batch[own]})
        with capture_logs() as said:
            async with bench.worker():
                await eventually(lambda: any(entry["event"] == "job.waits_for_list" for entry in said))
                assert (await bench.job(job.id)).state.dealt_with == 0
                await engine.apply({partition: part for partition, part in batch.items() if partition != own})
                assert (await bench.completed(job.id)).state.done == 12
    assert await bench.replays() == runs


async def end(store: PgEventStore, run_id: UUID, command: FinishRun | FailRun) -> None:
    """As a runner ends a run."""
    run = await load(store, RUN, run_id)
    assert run is not None
    events = decide(command, run.state, NO_STEPS)
    assert isinstance(await store.append(run.append(new_id, events, Metadata(actor="runner"))), Appended)


@pytest.mark.usefixtures("hurried")
async def test_runs_that_a_replay_has_made_up_for_are_not_taken_again_unless_they_are_asked_for(bench: Bench) -> None:
    zap = await bench.zap()
    runs = await bench.runs(zap, 3, RunFailed(zap_id=zap, step_id="send", code="http_503", message="no answer"))
    wanted, all_of_them = Selection(status="failed"), Selection(status="failed", include_recovered=True)

    async def replay(selection: Selection) -> list[UUID]:
        before = await replay_ids()
        job = await bench.ask("replay", selection)
        async with bench.worker():
            await bench.completed(job.id)
        return [run_id for run_id in await replay_ids() if run_id not in before]

    async def replay_ids() -> list[UUID]:
        rows = await bench.store.pool.fetch(
            "select stream_id from es.events where kind = 1 and version = 1"
            " and convert_from(data, 'utf8')::jsonb ? 'replay_of' order by position"
        )
        return [row[0] for row in rows]

    async def counts(selection: Selection, wanted: int) -> None:
        await eventually(lambda: equals(selection, wanted))

    async def equals(selection: Selection, wanted: int) -> bool:
        return (await bench.jobs.count_runs(ADA, "replay", selection)).count == wanted

    async def group() -> DeadLetters:
        (found,) = await list_dead_letters(bench.store.pool, ADA, zap_id=zap, state=None, before=None, limit=9)
        return found

    first, second, _third = await replay(wanted)
    await end(bench.store, first, FinishRun())
    await end(bench.store, second, FailRun("send", "http_503", "no answer"))
    await counts(wanted, 3)  # two roots, and the replay that failed
    await counts(all_of_them, 4)
    listed = {
        run.id: run.recovered_by for run in await list_runs(bench.store.pool, ADA, RunFilter(statuses=("failed",)))
    }
    assert listed == {runs[0]: first, runs[1]: None, runs[2]: None, second: None}
    assert await recovered_by(bench.store.pool, ADA, runs[0]) == first
    assert await recovered_by(bench.store.pool, BOB, runs[0]) is None
    only = await list_runs(bench.store.pool, ADA, RunFilter(recovered=True))
    assert [run.id for run in only] == [runs[0]]
    assert ((await group()).count, (await group()).recovered) == (3, 1)

    again = await replay(Selection(status="failed", source="replay"))
    assert len(again) == 1
    await end(bench.store, again[0], FinishRun())
    await counts(wanted, 1)  # a replay of a replay counts for the first run, too
    assert await recovered_by(bench.store.pool, ADA, runs[1]) == await recovered_by(bench.store.pool, ADA, second)
    assert ((await group()).count, (await group()).recovered) == (1, 3)
    assert len(await replay(wanted)) == 1
    assert len(await replay(all_of_them)) == 4


@pytest.mark.usefixtures("hurried")
async def test_runs_that_can_not_be_replayed_are_counted_and_do_not_stop_the_job(bench: Bench) -> None:
    gone, kept = await bench.zap(ADA, None, ZapDeleted()), await bench.zap()
    await bench.runs(gone, 2, *failed())
    runs = await bench.runs(kept, 2, *failed())
    await bench.runs(gone, 1, *failed())
    job = await bench.ask("replay", Selection(status="failed"))
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (state.done, state.failed, state.problem) == (2, 3, "no such zap")
    assert await bench.replays() == runs
    again = await bench.ask("replay", Selection(zap_id=kept, status="failed"), from_step="nope")
    async with bench.worker():
        state = (await bench.completed(again.id)).state
    assert (state.done, state.failed, state.problem) == (0, 2, "the version to be run has no step nope")


async def test_a_job_takes_what_a_search_finds_once_the_index_knows_it(
    bench: Bench, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "log", structlog.get_logger())  # one that has said something is kept as it was
    zap, other = await bench.zap(), await bench.zap()
    wanted = Selection(q="pear", where=("trigger.body.n>=20",), zap_id=zap, status=("failed", "timed_out"))
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        for n in range(30):
            for of in (zap, other):
                request = json_request({"n": n, "word": "pear"})
                asked = RunRequested(zap_id=of, zap_version=1, source="webhook", request=request)
                end = RunFailed(zap_id=of, code="http_503", message="no", step_id="send")
                await append(bench.store, new_id(), asked, end, tenant_id=ADA, key=of)
        job = await bench.jobs.request(
            ADA, JobRequested(kind="replay", filter=wanted, total=0, rate_per_s=1_000), ASKED
        )
        with capture_logs() as said:
            async with bench.worker():
                await eventually(lambda: any(one["event"] == "job.waits_for_list" for one in said))
                assert (await bench.job(job.id)).state.dealt_with == 0
                reader = await connect(dsn, "test")
                await catch_up(reader, engine)
                await reader.close()
                state = (await bench.completed(job.id)).state
    assert (state.done, state.failed, state.total) == (10, 0, 10)
    replayed = await bench.replays()
    streams = await bench.store.read_streams(StreamKind.RUN, list(replayed))
    firsts = [decode(events[0].type, events[0].schema_version, events[0].data) for events in streams.values()]
    assert {first.zap_id for first in firsts if isinstance(first, RunRequested)} == {zap}


async def test_open_runs_are_cancelled_though_no_runner_lives(bench: Bench) -> None:
    zap, other = await bench.zap(), await bench.zap()
    queued, waiting = await bench.runs(zap, 400), await bench.runs(zap, 100, attempt_failed())
    untouched = [*await bench.runs(zap, 50, RunCompleted()), *await bench.runs(other, 50)]

    async def all_listed() -> bool:
        return (await bench.jobs.count_runs(ADA, "cancel", Selection(source="webhook"))).count == 550

    await eventually(all_listed)
    async with bench.worker():
        job = await bench.ask("cancel", Selection(zap_id=zap))
        state = (await bench.completed(job.id)).state
    assert (state.done, state.skipped, state.failed, state.total) == (500, 0, 0, 500)
    streams = await bench.store.read_streams(StreamKind.RUN, [*queued, *waiting, *untouched])
    ends = {run_id: streams[run_id][-1].type for run_id in streams}
    assert {ends[run_id] for run_id in queued + waiting} == {"zap.run.cancelled"}
    assert Counter(ends[run_id] for run_id in untouched) == {"zap.run.completed": 50, "zap.run.requested": 50}


@pytest.mark.usefixtures("hurried")
async def test_a_run_that_can_not_be_stopped_is_counted_and_does_not_stop_the_job(bench: Bench) -> None:
    """One that says it waits for a timer, of which there is none."""
    zap = await bench.zap()
    (stuck,) = await bench.runs(zap, 1, attempt_failed())
    await bench.store.pool.execute("delete from es.timers where stream_id = $1", stuck)
    await bench.runs(zap, 2)
    job = await bench.ask("cancel", Selection(zap_id=zap))
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (state.done, state.failed) == (2, 1)
    assert "changed at every attempt" in state.problem


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["replay", "cancel"])
@pytest.mark.parametrize("damage", ["schema_version = 99", "data = 'no json'"])
async def test_a_run_that_can_not_be_read_is_counted_and_does_not_stop_the_job(
    bench: Bench, dsn: str, kind: RunJobKind, damage: str
) -> None:
    zap = await bench.zap()
    life = failed() if kind == "replay" else (attempt_failed(),)
    runs = await bench.runs(zap, 3, *life)
    job = await bench.ask(kind, Selection(zap_id=zap))
    await tamper(dsn, f"update es.events set {damage} where stream_id = '{runs[1]}' and version = 2")
    async with bench.worker():
        state = (await bench.completed(job.id, 20.0)).state
    assert (state.done, state.failed, state.total) == (2, 1, 3)


@pytest.mark.usefixtures("hurried")
async def test_a_run_that_ends_by_itself_before_its_turn_is_skipped(bench: Bench) -> None:
    zap = await bench.zap()
    first, second = await bench.runs(zap, 2)
    job = await bench.ask("cancel", Selection(zap_id=zap))
    await append(bench.store, first, RunCancelled(), tenant_id=ADA, key=first)
    await append(bench.store, second, RunCompleted(), tenant_id=ADA, key=second)
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (await bench.store.read_stream(StreamKind.RUN, second))[-1].type == "zap.run.completed"
    assert state.failed == 0


async def replaying(bench: Bench, count: int, rate_per_s: int) -> tuple[LoadedJob, list[UUID]]:
    """A job that is to replay the failed runs of a zap, and those runs."""
    zap = await bench.zap()
    runs = await bench.runs(zap, count, *failed())
    return await bench.ask("replay", Selection(zap_id=zap), rate_per_s), runs


async def test_a_paused_job_rests_and_goes_on_where_it_was(bench: Bench) -> None:
    job, runs = await replaying(bench, 150, 30)
    async with bench.worker():
        await bench.reaches(job.id, 5)
        await bench.jobs.execute(ADA, job.id, PauseJob(), ASKED)

        async def rests() -> bool:
            before = len(await bench.replays())
            return (await bench.job(job.id)).state.done == before == len(await bench.replays())

        await eventually(rests)
        assert (await bench.job(job.id)).state.done < 150
        await bench.jobs.execute(ADA, job.id, ResumeJob(), ASKED)
        assert (await bench.completed(job.id)).state.done == 150
    assert await bench.replays() == runs


@pytest.mark.usefixtures("hurried")
async def test_workers_that_race_take_each_run_once(bench: Bench) -> None:
    zap = await bench.zap()
    runs = await bench.runs(zap, 300, *failed())
    jobs = [await bench.ask("replay", Selection(zap_id=zap, source="webhook"), 200) for _ in range(2)]
    async with bench.worker(), bench.worker(), bench.worker():
        for job in jobs:
            assert (await bench.completed(job.id)).state.done == 300
    assert Counter(await bench.replays()) == dict.fromkeys(runs, 2)


async def test_a_worker_that_is_killed_is_succeeded_by_one_that_repeats_nothing(bench: Bench, tmp_path: Path) -> None:
    zap = await bench.zap()
    runs = await bench.runs(zap, 400, *failed())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")},
        "TRIGGERHUB_DATABASE_URL": bench.dsn,
        "TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "TRIGGERHUB_DATA_DIR": str(tmp_path),
        **SECRETS,
    }
    scheduler = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "scheduler", env=environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        job = await bench.ask("replay", Selection(zap_id=zap), 150)
        await bench.reaches(job.id, 100)
        assert scheduler.returncode is None
    finally:
        scheduler.send_signal(signal.SIGKILL)
        await scheduler.wait()
    left = await bench.job(job.id)
    assert left.state.status == "running"
    assert len(await bench.replays()) < 400
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (state.done, state.failed) == (400, 0)
    assert await bench.replays() == runs


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["cancel", "release", "discard"])
@pytest.mark.parametrize(("done", "still_listed"), [(7, True), (7, False), (20, False)])
async def test_what_a_dead_worker_did_and_did_not_record_is_counted_once(
    bench: Bench, kind: JobKind, done: int, still_listed: bool
) -> None:
    """Also where the list does not show it any more."""
    zap = await bench.zap()
    ids = await bench.runs(zap, 20) if kind == "cancel" else [await a_held_request(bench.store, zap) for _ in range(20)]
    wish = JobRequested(kind=kind, filter=Selection(zap_id=zap), total=20, rate_per_s=1_000)
    job = await bench.jobs.request(ADA, wish, ASKED)
    bulk = commands(bench.store, new_id)[kind]
    assert await bulk.do(job, ids[:done]) == [None] * done
    if not still_listed:
        await eventually(lambda: _are_left(bulk, job, 20 - done))
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (state.done, state.skipped, state.failed) == (20, 0, 0)


async def _are_left(bulk: Bulk, job: LoadedJob, count: int) -> bool:
    return len(await bulk.next(job, None, 100)) == count


async def a_held_request(store: PgEventStore, zap_id: UUID) -> UUID:
    held = RequestRejected(zap_id=zap_id, reason="held", status=200, request=Request(body="1"))
    request_id = new_id()
    append = an_append(held, stream_id=request_id, ids=[request_id], kind=StreamKind.REQUEST, ordering_key=zap_id)
    await store.append(msgspec.structs.replace(append, tenant_id=ADA))
    return request_id


@pytest.mark.usefixtures("hurried")
async def test_large_runs_are_taken_in_small_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is in memory at once than is set, however large the payloads are."""
    loaded: list[int] = []
    read = PgEventStore.read_streams

    async def watched(store: PgEventStore, kind: StreamKind, ids: Sequence[UUID]) -> dict[UUID, list[StoredEvent]]:
        streams = await read(store, kind, ids)
        loaded.append(sum(len(event.data) for events in streams.values() for event in events))
        return streams

    monkeypatch.setattr(work, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(PgEventStore, "read_streams", watched)
    zap = await bench.zap()
    runs = []
    for n in range(30):
        request = RunRequested(zap_id=zap, zap_version=1, source="webhook", request=Request(body="x" * 5_000 * (n % 4)))
        runs.append(new_id())
        await append(bench.store, runs[-1], request, *failed(), tenant_id=ADA, key=runs[-1])
    job = await bench.ask("replay", Selection(zap_id=zap))
    async with bench.worker():
        assert (await bench.completed(job.id)).state.done == 30
    assert await bench.replays() == runs
    assert len(loaded) > 3
    assert max(loaded) <= 50_000


@pytest.mark.usefixtures("hurried")
async def test_a_tenant_with_many_jobs_delays_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ada has asked for nine before Bob asks for one."""
    monkeypatch.setattr(work, "BATCH", 10)
    monkeypatch.setattr(worker, "MAX_RATE_PER_S", 100)  # a turn takes longer than what he does between two of his
    ada, bob = await bench.zap(), await bench.zap(BOB)
    await bench.runs(ada, 200, *failed())
    runs = await bench.runs(bob, 30, *failed(), tenant_id=BOB)
    for _ in range(9):
        await bench.ask("replay", Selection(zap_id=ada, source="webhook"))
    asked = await bench.ask("replay", Selection(zap_id=bob), tenant_id=BOB)
    for name in ("run_list", "recoveries"):  # for which his job would wait, and hers need not
        await eventually(partial(holds_all, bench.store.pool, name, asked.first.position))

    async def done() -> bool:
        return (await bench.job(asked.id, BOB)).state.status == "completed"

    async with bench.worker():
        await eventually(done, interval_s=0.1)
    order = await bench.replays()
    his = [place for place, run in enumerate(order) if run in set(runs)]
    hers = his[-1] - his[0] + 1 - len(runs)
    assert hers <= 15 * 10, "in turn two or three batches of hers come between his three; in the order of all jobs 18"


@pytest.mark.usefixtures("hurried")
async def test_all_jobs_together_keep_a_pace(bench: Bench) -> None:
    """Each may be as fast as that alone: what all of them begin would leave others' runs no room."""
    zap = await bench.zap()
    await bench.runs(zap, 300, *failed())
    asked = [await bench.ask("replay", Selection(zap_id=zap, source="webhook"), MAX_RATE_PER_S) for _ in range(4)]
    async with bench.worker():
        for one in asked:
            await bench.completed(one.id)
    took = "select extract(epoch from max(recorded_at) - min(recorded_at)) from es.events where type = $1"
    spread = await bench.store.pool.fetchval(f"{took} and data like '%replay_of%'", "zap.run.requested")
    assert len(await bench.replays()) == 4 * 300
    assert spread >= (4 * 300 - work.BATCH) / MAX_RATE_PER_S * 0.7  # 0.3 s without


@pytest.mark.usefixtures("hurried")
async def test_a_worker_has_room_for_whoever_comes_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_AT_ONCE", 6)
    ada, bob = await bench.zap(), await bench.zap(BOB)
    await bench.runs(ada, 20, *failed())
    await bench.runs(bob, 20, *failed(), tenant_id=BOB)
    hers = [await bench.ask("replay", Selection(zap_id=ada, source="webhook"), 1) for _ in range(9)]
    async with bench.worker():
        await eventually(lambda: _begun(bench, hers, 3))
        asked = await bench.ask("replay", Selection(zap_id=bob), 1, tenant_id=BOB)

        async def begun() -> bool:
            return (await bench.job(asked.id, BOB)).state.dealt_with > 0

        await eventually(begun, interval_s=0.1)
        assert await _begun(bench, hers, 3)


async def _begun(bench: Bench, jobs: Sequence[LoadedJob], count: int) -> bool:
    """Whether exactly so many of Ada's jobs have done something."""
    return sum([(await bench.job(job.id)).state.dealt_with > 0 for job in jobs]) == count


@pytest.mark.usefixtures("hurried")
async def test_a_worker_whose_connections_are_cut_goes_on(bench: Bench) -> None:
    job, runs = await replaying(bench, 150, 100)
    async with bench.worker():
        await bench.reaches(job.id, 50)
        cut = await bench.store.pool.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database()"
            " and (application_name like 'triggerhub worker%' or application_name = 'triggerhub jobs')"
        )
        assert len(cut) >= 2
        assert (await bench.completed(job.id)).state.done == 150
    assert await bench.replays() == runs
