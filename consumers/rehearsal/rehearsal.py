"""One pass over a draft: the runner's own executor, over a log in memory, with answers instead of targets.

What a test shows is therefore what a run does: there is no second interpreter of steps.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec

from consumers.children.work import Starts
from consumers.credentials.credentials import Credentials
from consumers.credentials.variables import LookUp, none
from consumers.dialogues.dialogues import Dialogues
from consumers.files.run_files import AllFiles
from consumers.outbound.targets import Targets
from consumers.rehearsal.answers import Answers
from consumers.rehearsal.record import Record
from consumers.rehearsal.sample_files import SampleFiles
from consumers.rehearsal.wish import Chosen, Wish, answered, requested, watch
from consumers.rendering.rendering import Rendering
from consumers.runner.executor import Executor
from consumers.runner.shares.slots import Slots
from domain.aggregates import RUN, ZAP
from domain.connector.catalog import Catalogs
from domain.connector.http_client import HttpClient, HttpReply, HttpRequest
from domain.flow.contents import action_types
from domain.hook.hops import NO_HOPS, Hops
from domain.log.event import Append, Event, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.ports import Clock, NewId
from domain.log.stream import follow
from domain.run.commands import ResumeRun
from domain.run.decide import decide
from domain.run.events import RunRequested
from domain.run.links import NO_LINKS, Links
from domain.run.state import ActiveRun, EndedRun, LoadedRun
from domain.zap.definition import Definition
from domain.zap.events import ZapCreated, ZapPublished
from projections.step_detail import AnsweredBy


class Rehearsed(msgspec.Struct, frozen=True):
    """What would be on record of the run, and of each item of its loops, in the order of their beginnings.

    `answered`: by whom, by idempotency key. `timed_out`: it took too long, and was left where it was.
    """

    events: list[StoredEvent]
    items: list[list[StoredEvent]]
    answered: Mapping[str, AnsweredBy]
    timed_out: bool


class _Closed:
    """No way out: whatever an action tries."""

    async def request(self, _request: HttpRequest) -> HttpReply:
        raise RuntimeError("a rehearsal sends nothing")


class _Nowhere(Targets):
    def __init__(self) -> None:
        """Nothing is needed to send nothing."""

    def of(self, _tenant_id: UUID, _per_minute: int | None) -> HttpClient:
        return _Closed()


class _Time:
    """The clock of a rehearsal: it goes on from a moment on, or stands there, and is put forward instead of waiting."""

    def __init__(self, clock: Clock, at: datetime | None) -> None:
        self._clock: Clock = clock if at is None else lambda: at
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return self._clock() + self._ahead

    def to(self, moment: datetime | None) -> None:
        """Put it forward; it never goes back."""
        if moment is not None:
            self._ahead += max(timedelta(), moment - self())


class _Items(Starts):
    """The items of loops, as they begin."""

    def __init__(self) -> None:
        self.begun: list[UUID] = []
        self._played = 0

    def begin(self, runs: Sequence[LoadedRun], _sizes: Sequence[int]) -> None:
        self.begun += [run.id for run in runs]

    def new(self) -> list[UUID]:
        """Those that have begun since this was asked for."""
        found, self._played = self.begun[self._played :], len(self.begun)
        return found


class Rehearsal:
    """Rehearses drafts. Without `targets` nothing can be sent, whatever is wished for."""

    def __init__(
        self,
        catalogs: Catalogs,
        rendering: Rendering,
        *,
        clock: Clock,
        new_id: NewId,
        slots: Slots,
        targets: Targets | None = None,
        hops: Hops = NO_HOPS,
        links: Links = NO_LINKS,
        credentials: Credentials | None = None,
        dialogues: Dialogues | None = None,
        variables: LookUp = none,
        files: AllFiles | None = None,
    ) -> None:
        self._files = files
        self._credentials = credentials
        self._dialogues = dialogues
        self._catalogs = catalogs
        self._variables = variables
        self._rendering = rendering
        self._clock = clock
        self._new_id = new_id
        self._slots = slots
        self._targets = targets
        self._hops = hops
        self._links = links

    async def of(self, wish: Wish) -> Rehearsed:
        """What the draft would do. Nothing of it is stored."""
        time = _Time(self._clock, wish.at)
        catalog = await self._catalogs.of(wish.tenant_id, action_types(wish.definition.steps))
        answers = Answers(wish.given, catalog)
        record = Record(time, partial(answered, wish, answers))
        real = wish.real and self._targets is not None
        executor = Executor(
            record,
            answers.catalog(real=real),
            self._targets if real and self._targets else _Nowhere(),
            clock=time,
            new_id=self._new_id,
            slots=self._slots,
            rendering=self._rendering,
            hops=self._hops,
            links=self._links,
            credentials=self._credentials,
            dialogues=self._dialogues if real else None,
            files=SampleFiles(self._files, wish) if real and self._files else None,
            variables=self._variables,
        )
        await self._begin(record, wish, requested(wish, time()))
        items, timed_out = _Items(), False
        executor.children.work.starts, executor.children.work.chosen = items, Chosen(wish)
        try:
            async with asyncio.timeout(wish.limit_s):
                await self._play_all(record, executor, wish, time, items)
        except TimeoutError:
            timed_out = True
        of_items = [await record.read_stream(StreamKind.RUN, item) for item in items.begun]
        return Rehearsed(await record.read_stream(StreamKind.RUN, wish.run_id), of_items, answers.by, timed_out)

    async def _begin(self, record: Record, wish: Wish, run: RunRequested) -> None:
        created = ZapCreated(name="", definition=wish.definition)
        published = ZapPublished(number=wish.number, name="", definition=wish.definition)
        await record.append(self._append(ZAP.kind, wish, wish.zap_id, created, published))
        await record.append(self._append(RUN.kind, wish, wish.run_id, run))

    def _append(self, kind: StreamKind, wish: Wish, stream_id: UUID, *events: Event) -> Append:
        return Append(
            kind=kind,
            stream_id=stream_id,
            expected=0,
            tenant_id=wish.tenant_id,
            ordering_key=wish.zap_id,
            events=tuple([NewEvent(self._new_id(), event) for event in events]),
            metadata=Metadata(),
        )

    async def _play_all(self, record: Record, executor: Executor, wish: Wish, time: _Time, items: "_Items") -> None:
        """Carry the run on, and each item that its loops begin, one after the other."""
        waiting = [wish.run_id]
        while waiting:
            run = await self._play(record, executor, wish, time, await executor.recording.load(waiting.pop(0)))
            above = await executor.children.ended(run) if isinstance(run.state, EndedRun) else None
            waiting = items.new() + ([above.id] if above else []) + waiting

    async def _play(self, record: Record, executor: Executor, wish: Wish, time: _Time, run: LoadedRun) -> LoadedRun:
        while isinstance(run.state, ActiveRun):
            run = await executor.advance(run, watch(wish, time.to))
            if not isinstance(run.state, ActiveRun) or not _goes_on(run.state, wish):
                break
            time.to(run.state.waits_until)
            run = await self._resumed(record, run, wish.definition)
        return run

    async def _resumed(self, record: Record, run: LoadedRun, definition: Definition) -> LoadedRun:
        """The run after its timer has fired."""
        timer_id = run.timer_id
        assert timer_id is not None, "it waits"
        events = decide(ResumeRun(timer_id), run.state, definition)
        await record.append(run.append(self._new_id, events, Metadata()))
        return await follow(record, run)


def _goes_on(run: ActiveRun, wish: Wish) -> bool:
    """Whether the wait is not waited for: a delay; a retry only where the wish is patient."""
    return run.waits_until is not None and (wish.patient or run.waits_until == run.delayed_until)
