"""A draft is held against runs that were: what would differ is told per run, nothing is sent, whoever is killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.commands.backtests import Backtests
from app.commands.jobs import Jobs
from consumers.jobs import work, worker
from consumers.rehearsal.comparison import Comparison
from domain.flow.approvals import Recipient
from domain.flow.steps import ActionStep, ApprovalStep, FilterStep, Step
from domain.hook.request import json_request
from domain.job.job import AbortJob, JobRequested, LoadedJob, PauseJob, ResumeJob, Selection
from domain.log.errors import WrongStatus
from domain.log.event import Metadata, StreamKind
from domain.run.events import RunCompleted, RunRequested, StepSucceeded
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapDraftChanged, ZapEnabled, ZapPublished
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.deployment import SECRETS
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import append, following
from tests.support.raw_target import RawTarget, raw_target
from tests.support.stores import patient_store

pytestmark = pytest.mark.usefixtures("read_models")

ADA, BOB = new_id(), new_id()
ASKED = Metadata(actor=f"user:{ADA}")
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as opened:
        yield opened


@pytest.fixture
async def target() -> AsyncIterator[RawTarget]:
    """The sink that has to stay silent."""
    async with raw_target() as opened:
        yield opened


class Bench:
    """Ada's zap and its runs, read models that follow the log, and workers."""

    def __init__(self, store: PgEventStore, dsn: str, url: str) -> None:
        self.store, self.dsn, self.url = store, dsn, url
        self.jobs = Jobs(store, new_id)
        self.backtests = Backtests(store, self.jobs)
        self.zap_id = new_id()

    def send(self, body: str = "{{ trigger.body.n }}", step_id: str = "send") -> ActionStep:
        return ActionStep(step_id, "http.request", {"method": "POST", "url": self.url, "body": {"n": body}})

    async def publish(self, *steps: Step) -> None:
        definition = Definition(Trigger("webhook.catch"), steps)
        events = (
            ZapCreated(name="z", definition=definition),
            ZapPublished(number=1, name="z", definition=definition),
            ZapEnabled(),
        )
        await append(self.store, self.zap_id, *events, tenant_id=ADA, key=self.zap_id, kind=StreamKind.CORE)

    async def change_draft(self, *steps: Step) -> None:
        changed = ZapDraftChanged(name="z", definition=Definition(Trigger("webhook.catch"), steps))
        await append(self.store, self.zap_id, changed, tenant_id=ADA, key=self.zap_id, kind=StreamKind.CORE)

    async def runs(self, count: int, **more: Any) -> list[UUID]:
        """Completed runs, number n of which was sent n."""
        ids = [new_id() for _ in range(count)]
        await asyncio.gather(*(self._run(run_id, n, **more) for n, run_id in enumerate(ids)))
        return ids

    async def _run(self, run_id: UUID, n: int, **more: Any) -> None:
        requested = RunRequested(
            zap_id=self.zap_id, zap_version=1, source="webhook", request=json_request({"n": n, "at": "x"})
        )
        requested = msgspec.structs.replace(requested, **more)
        sent: JsonObject = {"method": "POST", "url": self.url, "body": {"n": n}, "body_type": "json"}
        done = StepSucceeded(
            step_id="send", attempt=1, started_at=now(), duration_ms=2.0, input=sent, output={"status": 200, "body": n}
        )
        end = RunCompleted(zap_id=self.zap_id)
        await append(self.store, run_id, requested, done, end, tenant_id=ADA, key=run_id)

    async def ask(self, count: int, last: int | None = None, rate_per_s: int = 1_000, **span: Any) -> LoadedJob:
        """A backtest, once the list has so many runs."""
        selection = Selection(zap_id=self.zap_id, **span)

        async def listed() -> bool:
            return (await self.backtests.runs(ADA, selection, last)).count == count

        await eventually(listed)
        runs = await self.backtests.runs(ADA, selection, last)
        return await self.backtests.start(ADA, selection, runs, rate_per_s, ASKED)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        async with patient_store(self.dsn, "worker") as store, job_worker(self.dsn, store):
            yield

    async def completed(self, job_id: UUID) -> LoadedJob:
        async def done() -> bool:
            return (await self.jobs.load(ADA, job_id)).state.status == "completed"

        await eventually(done, interval_s=0.1)
        return await self.jobs.load(ADA, job_id)

    async def reaches(self, job_id: UUID, count: int) -> None:
        async def reached() -> bool:
            return (await self.jobs.load(ADA, job_id)).state.dealt_with >= count

        await eventually(reached, interval_s=0.05)

    async def results(self, job_id: UUID, limit: int = 2_000) -> list[Comparison]:
        found = await self.backtests.page(ADA, job_id, verdict=None, after=None, limit=limit)
        return [msgspec.json.decode(one, type=Comparison) for one in found]

    async def head_of_runs(self) -> list[tuple[UUID, int]]:
        """Every run's stream and how long it is."""
        rows = await self.store.pool.fetch("select stream_id, max(version) from es.events where kind = 1 group by 1")
        return sorted((row[0], row[1]) for row in rows)


@pytest.fixture
async def bench(
    dsn: str, store: PgEventStore, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(work, "POLL_S", 0.1)
    monkeypatch.setattr(worker, "POLL_S", 0.1)
    async with following(dsn, store):
        yield Bench(store, dsn, f"{target.url}/")


@pytest.mark.slow
async def test_1000_runs_are_compared_and_nothing_is_sent(bench: Bench, target: RawTarget) -> None:
    await bench.publish(bench.send())
    ids = await bench.runs(1_000)
    above: JsonObject = {"field": "trigger.body.n", "operator": "greater_than", "value": 99}
    await bench.change_draft(FilterStep("large", above), bench.send())
    before = await bench.head_of_runs()
    job = await bench.ask(1_000, last=1_000)
    assert job.state.total == 1_000
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (state.done, state.skipped, state.failed, state.problem) == (1_000, 0, 0, "")
    summary = await bench.backtests.summary(ADA, job.id)
    assert (summary.runs, summary.same, summary.different, summary.diverging) == (1_000, 0, 1_000, 0)
    assert {(one.then, one.now): one.count for one in summary.statuses} == {
        ("completed", "completed"): 900, ("completed", "filtered"): 100,
    }  # fmt: skip
    assert {one.step_id: one.count for one in summary.steps} == {"large": 1_000, "send": 100}
    found = await bench.results(job.id)
    assert [one.run_id for one in found] == ids
    first = found[0]
    assert (first.then.path, first.now.path) == (["send"], ["large"])
    assert first.now.reason == "trigger.body.n greater_than 99: is 0"
    assert [(one.path, one.op) for one in first.diff] == [
        ("status", "replace"), ("steps.send", "remove"), ("steps.large", "add"),
    ]  # fmt: skip
    assert (target.requests, target.connections) == ([], 0)
    assert await bench.head_of_runs() == before


async def test_a_draft_like_the_version_differs_in_nothing(bench: Bench) -> None:
    await bench.publish(bench.send())
    await bench.runs(3)
    job = await bench.ask(3, last=10)
    async with bench.worker():
        await bench.completed(job.id)
    summary = await bench.backtests.summary(ADA, job.id)
    assert (summary.runs, summary.same) == (3, 3)
    assert [one.diff for one in await bench.results(job.id)] == [[], [], []]


async def test_a_request_that_would_differ_is_marked_as_its_answer_is_not_known(bench: Bench) -> None:
    await bench.publish(bench.send())
    await bench.runs(2)
    await bench.change_draft(bench.send("{{ trigger.body.n | plus: 1 }}"), bench.send(step_id="new"))
    job = await bench.ask(2, last=2)
    async with bench.worker():
        await bench.completed(job.id)
    found = await bench.results(job.id)
    assert [(one.verdict, one.diverging) for one in found] == [("diverging", ["send", "new"])] * 2
    change = next(one for one in found[1].diff if one.path == "steps.send.input.body.n")
    assert (change.op, change.before, change.after) == ("replace", 1, "2")
    assert [len(await bench.backtests.page(ADA, job.id, verdict=verdict, after=None, limit=9))
            for verdict in ("same", "diverging")] == [0, 2]  # fmt: skip


async def test_an_approval_is_answered_as_then_which_is_a_guess_where_it_was_changed(bench: Bench) -> None:
    def ask(title: str) -> ApprovalStep:
        return ApprovalStep("send", title, (Recipient(email="boss@example.com"),))

    await bench.publish(ask("Refund?"))
    await bench.runs(1)
    for title, verdict in (("Refund?", "same"), ("Refund it?", "diverging")):
        await bench.change_draft(ask(title))
        job = await bench.ask(1, last=1)
        async with bench.worker():
            await bench.completed(job.id)
        assert [one.verdict for one in await bench.results(job.id)] == [verdict]


async def test_only_the_last_runs_are_taken_and_no_replays(bench: Bench) -> None:
    await bench.publish(bench.send())
    ids = await bench.runs(5)
    await bench.runs(2, source="replay", replay_of=ids[0])
    job = await bench.ask(3, last=3)
    later = await bench.runs(1)
    async with bench.worker():
        assert (await bench.completed(job.id)).state.done == 3
    assert [one.run_id for one in await bench.results(job.id)] == ids[2:]
    assert later


async def test_runs_of_a_span_of_time_are_taken(bench: Bench) -> None:
    await bench.publish(bench.send())
    await bench.runs(2)
    job = await bench.ask(2, from_=now() - timedelta(hours=1), to=now() + timedelta(hours=1))
    assert (
        await bench.backtests.runs(ADA, Selection(zap_id=bench.zap_id, to=now() - timedelta(hours=1)), None)
    ).count == 0
    assert (await bench.backtests.runs(BOB, Selection(zap_id=bench.zap_id), None)).count == 0
    async with bench.worker():
        assert (await bench.completed(job.id)).state.done == 2


async def test_the_draft_is_that_of_the_moment_of_the_request(bench: Bench) -> None:
    await bench.publish(bench.send())
    await bench.runs(1)
    job = await bench.ask(1, last=1)
    await bench.change_draft(bench.send("other"))
    async with bench.worker():
        await bench.completed(job.id)
    assert (await bench.backtests.summary(ADA, job.id)).same == 1


async def test_without_any_run_there_is_nothing_to_do(bench: Bench) -> None:
    await bench.publish(bench.send())
    job = await bench.ask(0, last=5)
    async with bench.worker():
        assert (await bench.completed(job.id)).state.dealt_with == 0


async def test_it_is_paused_resumed_and_aborted_as_other_jobs(bench: Bench) -> None:
    await bench.publish(bench.send())
    ids = await bench.runs(200)
    job = await bench.ask(200, last=200, rate_per_s=100)
    async with bench.worker():
        await bench.reaches(job.id, 20)
        await bench.jobs.execute(ADA, job.id, PauseJob(), ASKED)
        await bench.jobs.execute(ADA, job.id, ResumeJob(), ASKED)
        await bench.reaches(job.id, 60)
        await bench.jobs.execute(ADA, job.id, AbortJob(), ASKED)
        assert (await bench.backtests.summary(ADA, job.id)).runs < 200
        await bench.jobs.execute(ADA, job.id, ResumeJob(), ASKED)
        assert (await bench.completed(job.id)).state.done == 200
    assert [one.run_id for one in await bench.results(job.id)] == ids


async def test_a_worker_that_is_killed_is_succeeded_by_one_that_goes_on(bench: Bench, tmp_path: Path) -> None:
    await bench.publish(bench.send())
    ids = await bench.runs(300)
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
        job = await bench.ask(300, last=300, rate_per_s=100)
        await bench.reaches(job.id, 50)
        assert scheduler.returncode is None
    finally:
        scheduler.send_signal(signal.SIGKILL)
        await scheduler.wait()
    assert (await bench.jobs.load(ADA, job.id)).state.status == "running"
    async with bench.worker():
        state = (await bench.completed(job.id)).state
    assert (state.done, state.failed) == (300, 0)
    assert [one.run_id for one in await bench.results(job.id)] == ids


async def test_other_jobs_have_no_results(bench: Bench) -> None:
    await bench.publish(bench.send())
    wish = JobRequested(kind="cancel", filter=Selection(zap_id=bench.zap_id), total=0, rate_per_s=1)
    job = await bench.jobs.request(ADA, wish, ASKED)
    with pytest.raises(WrongStatus):
        await bench.backtests.summary(ADA, job.id)
