"""The command handler: what it reads, when it decides anew, and what it never stores."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.aggregates import JOB, RUN, ZAP
from domain.log.errors import NotFound, VersionConflict, WrongStatus
from domain.log.event import Append, Appended, AppendResult, Conflict, Metadata, StoredEvent, StreamKind
from domain.log.stream import (
    ATTEMPTS,
    Contended,
    append,
    begun,
    fold,
    follow,
    handle,
    load,
    load_many,
    load_of,
    to_begin,
)
from domain.run.decide import stop
from domain.run.events import RunCancelled, StepDelayed
from domain.run.state import ActiveRun, EndedRun
from domain.zap.events import ZapDraftChanged, ZapEvent, ZapPublished
from domain.zap.zap import ChangeDraft, LoadedZap, Zap, decide
from sql.process.clock import new_id
from tests.support.builders import TENANT, a_definition, a_run_requested, a_zap_created, an_append
from tests.support.memory_store import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BY = Metadata(actor="test")


class Reads(MemoryStore):
    """Counts the events that are read, and lets somebody else be quicker at the next appends."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.read = 0
        self.ahead: list[Append] = []

    async def read_stream(self, kind: StreamKind, stream_id: UUID, after: int = 0) -> list[StoredEvent]:
        events = await super().read_stream(kind, stream_id, after)
        self.read += len(events)
        return events

    async def append(self, command: Append) -> AppendResult:
        if self.ahead:
            await super().append(self.ahead.pop(0))
        return await super().append(command)


def change(name: str, stream_id: UUID) -> Append:
    changed = ZapDraftChanged(name=name, definition=a_definition("one"))
    return an_append(changed, stream_id=stream_id, kind=StreamKind.CORE)


async def a_zap(store: MemoryStore, drafts: int = 0) -> LoadedZap:
    zap_id = new_id()
    await store.append(an_append(a_zap_created(), stream_id=zap_id, kind=StreamKind.CORE))
    for number in range(drafts):
        await store.append(change(f"draft {number}", zap_id))
    return await load_of(store, ZAP, zap_id, TENANT)


def renamed(name: str) -> Sequence[ZapEvent]:
    return [ZapDraftChanged(name=name, definition=a_definition("one"))]


async def test_a_stream_of_something_else_or_of_somebody_else_is_not_found() -> None:
    store = MemoryStore()
    zap = await a_zap(store)
    assert await load(store, JOB, zap.id) is None
    assert await load(store, ZAP, new_id()) is None
    for tenant_id, stream_id in ((new_id(), zap.id), (TENANT, new_id())):
        with pytest.raises(NotFound, match="no such zap"):
            await load_of(store, ZAP, stream_id, tenant_id)


async def test_many_are_loaded_at_once_and_those_that_are_none_are_left_out() -> None:
    store = MemoryStore()
    zaps = [await a_zap(store) for _ in range(3)]
    await store.append(an_append(ZapPublished(number=1, name="x", definition=a_definition("x")), kind=StreamKind.CORE))
    strangers = [event.stream_id for event in store.log[-1:]]
    found = await load_many(store, ZAP, [*(zap.id for zap in zaps), *strangers, new_id()])
    assert set(found) == {zap.id for zap in zaps}


async def test_reading_again_reads_only_what_is_new() -> None:
    store = Reads()
    zap = await a_zap(store, drafts=20)
    await store.append(change("news", zap.id))
    store.read = 0
    again = await follow(store, zap)
    assert (store.read, again.state.name, again.version) == (1, "news", zap.version + 1)
    assert (await follow(store, again)) is again
    store.read = 0
    after = await handle(store, new_id, again, lambda _: renamed("mine"), BY)
    assert (store.read, after.state.name) == (1, "mine")


@pytest.mark.parametrize("cut", range(6))
async def test_a_fold_that_goes_on_is_the_fold_of_the_whole(cut: int) -> None:
    store = MemoryStore()
    zap = await a_zap(store, drafts=5)
    events = await store.read_stream(StreamKind.CORE, zap.id)
    whole, part = fold(ZAP, events), fold(ZAP, events[: cut + 1])
    on = fold(ZAP, events[cut + 1 :], part)
    assert whole is not None
    assert on is not None
    assert [on.state, on.version, on.first, on.last] == [whole.state, whole.version, whole.first, whole.last]


@pytest.mark.parametrize("others", range(ATTEMPTS + 2))
async def test_a_command_is_decided_anew_on_what_others_stored(others: int) -> None:
    store = Reads()
    zap = await a_zap(store)
    store.ahead = [change(f"other {number}", zap.id) for number in range(others)]
    seen: list[str] = []

    def decided(state: Zap) -> Sequence[ZapEvent]:
        seen.append(state.name)
        return renamed("mine")

    if others >= ATTEMPTS:
        with pytest.raises(Contended, match="the zap changed at every attempt"):
            await handle(store, new_id, zap, decided, BY)
    else:
        after = await handle(store, new_id, zap, decided, BY)
        assert (after.state.name, after.version) == ("mine", 2 + others)
    assert seen == ["Orders", *(f"other {number}" for number in range(others))][:ATTEMPTS]
    mine = [event for event in store.log if b'"mine"' in event.data]
    assert len(mine) == (0 if others >= ATTEMPTS else 1)


async def test_a_command_that_changes_nothing_touches_the_log_not_at_all() -> None:
    store = Reads()
    zap = await a_zap(store)
    store.read, before = 0, len(store.log)
    assert await handle(store, new_id, zap, lambda state: decide(ChangeDraft("Orders", state.draft), state), BY) is zap
    assert not await append(store, new_id, zap, [], BY)
    assert (store.read, len(store.log)) == (0, before)


async def test_a_refusal_is_raised_and_nothing_stored() -> None:
    store = MemoryStore()
    zap = await a_zap(store)

    def refuse(_state: Zap) -> Sequence[ZapEvent]:
        raise WrongStatus("no")

    with pytest.raises(WrongStatus):
        await handle(store, new_id, zap, refuse, BY)
    assert len(store.log) == 1


async def test_with_an_expected_version_nobody_else_may_have_been_quicker() -> None:
    store = Reads()
    zap = await a_zap(store)
    with pytest.raises(VersionConflict, match="zap was changed since"):
        await handle(store, new_id, zap, lambda _: renamed("mine"), BY, expected={2})
    store.ahead = [change("other", zap.id)]
    with pytest.raises(VersionConflict):
        await handle(store, new_id, zap, lambda _: renamed("mine"), BY, expected={1})
    after = await follow(store, zap)
    assert (after.state.name, after.version) == ("other", 2)
    assert (await handle(store, new_id, after, lambda _: renamed("mine"), BY, expected={1, 2})).version == 3


async def test_what_is_known_after_an_append_is_what_the_log_says() -> None:
    store = MemoryStore(lambda: NOW)
    names = [f"name {random.random()}" for _ in range(4)]
    zap = await a_zap(store)
    for name in names:
        command = zap.append(new_id, renamed(name), BY)
        stored = await store.append(command)
        assert isinstance(stored, Appended)
        zap = zap.after(command, stored, NOW)
    read = await load_of(store, ZAP, zap.id, TENANT)
    assert [zap.state, zap.version, zap.first, zap.last] == [read.state, read.version, read.first, read.last]


async def test_an_append_to_a_waiting_run_clears_the_timer_that_it_waits_for() -> None:
    store = MemoryStore(lambda: NOW)
    run_id = new_id()
    await store.append(an_append(stream_id=run_id))
    run = await load_of(store, RUN, run_id, TENANT)
    waits = run.append(new_id, [StepDelayed(step_id="wait", until=NOW + timedelta(days=1))], BY)
    await store.append(waits)
    assert [timer.stream_id for timer in store.timers.values()] == [run_id]
    waiting = await follow(store, run)
    assert isinstance(waiting.state, ActiveRun)
    cancelled = await handle(store, new_id, waiting, stop, BY)
    assert isinstance(cancelled.state, EndedRun)
    assert store.timers == {}
    assert store.log[-1].type == "zap.run.cancelled"


async def test_a_run_that_went_on_keeps_its_timer_and_is_decided_anew() -> None:
    store = Reads()
    run_id = new_id()
    await store.append(an_append(stream_id=run_id))
    run = await load_of(store, RUN, run_id, TENANT)
    store.ahead = [run.append(new_id, [StepDelayed(step_id="wait", until=NOW + timedelta(days=1))], BY)]
    cancelled = await handle(store, new_id, run, stop, BY)
    assert (cancelled.version, store.timers) == (3, {})
    assert not await append(store, new_id, run, [RunCancelled()], BY)


async def test_what_is_not_stored_yet_goes_into_the_next_append() -> None:
    store = Reads()
    first = an_append(a_run_requested(), expected=0)
    run = to_begin(RUN, first, NOW)
    assert (run.version, run.state) == (0, begun(RUN, first, Appended(1, 1), NOW).state)
    both = run.append(new_id, [RunCancelled()], BY)
    appended = await store.append(both)
    assert isinstance(appended, Appended)
    ended, stored = run.after(both, appended, NOW), await load(store, RUN, run.id)
    assert stored is not None
    assert await store.append(first) == Appended(1, 1), "it is there"
    for known in (ended, await follow(store, run)):
        assert (known.unstored, known.version, known.state) == (None, 2, stored.state)
        assert (known.first.position, known.last) == (stored.first.position, stored.last)


async def test_what_was_to_begin_and_was_begun_by_itself_is_decided_anew() -> None:
    store = Reads()
    first = an_append(a_run_requested(), expected=0)
    run = to_begin(RUN, first, NOW)
    await store.append(first)
    assert isinstance(await store.append(run.append(new_id, [RunCancelled()], BY)), Conflict)
    ended = await handle(store, new_id, await follow(store, run), stop, BY)
    assert (ended.version, type(ended.state)) == (2, EndedRun)
