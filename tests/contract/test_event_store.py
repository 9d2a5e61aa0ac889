"""One suite for every domain.log.ports.EventStore: what callers may rely on, whichever store is behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from domain.log.event import (
    ANY_VERSION,
    Append,
    Appended,
    AppendResult,
    Conflict,
    DueTimer,
    Duplicate,
    StoredEvent,
    StreamKind,
)
from domain.log.ports import EventStore
from domain.registry import decode
from domain.run.events import RunResumed
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.builders import TENANT, ZAP, a_run_requested, a_zap_created, an_append
from tests.support.clock import START
from tests.support.memory_store import MemoryStore
from tests.support.stores import patient_store

RUN, CORE = StreamKind.RUN, StreamKind.CORE
LATER = START + timedelta(hours=1)
DueTimers = Callable[[datetime], Awaitable[list[DueTimer]]]


class Subject(NamedTuple):
    """A store under test, and a way to see its timers."""

    store: EventStore
    due: DueTimers


@pytest.fixture(params=["memory", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The DSN of a fresh database, or nothing for memory: only the former costs a clone."""
    return "" if request.param == "memory" else str(request.getfixturevalue("dsn"))


@pytest.fixture
async def subject(backend: str) -> AsyncIterator[Subject]:
    if not backend:
        memory = MemoryStore()

        async def due_in_memory(moment: datetime) -> list[DueTimer]:
            return memory.due(moment)

        yield Subject(memory, due_in_memory)
        return
    async with patient_store(backend, "contract") as store:

        async def due(moment: datetime) -> list[DueTimer]:
            rows = await store.pool.fetch(Queries("queries/timers.sql")["due"], moment, 100, UUID(int=0), 0)
            return [DueTimer(row[0], row[1], StreamKind(row[2]), *row[3:6]) for row in rows]

        yield Subject(store, due)


@pytest.fixture
def store(subject: Subject) -> EventStore:
    return subject.store


async def all_at_once(store: EventStore, commands: list[Append]) -> list[AppendResult]:
    return await asyncio.gather(*(store.append(command) for command in commands))


def assert_contiguous(log: list[StoredEvent], after: int = 0) -> None:
    assert [event.position for event in log] == list(range(after + 1, after + 1 + len(log)))


async def test_an_empty_log_has_head_0_and_no_streams(store: EventStore) -> None:
    assert await store.head() == 0
    assert await store.read_log(0, 10) == []
    assert await store.read_stream(RUN, new_id()) == []


async def test_an_event_comes_back_as_it_was_appended(store: EventStore) -> None:
    event = a_zap_created("Über “Orders” \x00 🎉")
    command = an_append(event, kind=CORE, expected=0)
    assert await store.append(command) == Appended(version=1, position=1)
    [stored] = await store.read_stream(CORE, command.stream_id)
    assert decode(stored.type, stored.schema_version, stored.data) == event
    assert (stored.event_id, stored.stream_id) == (command.events[0].event_id, command.stream_id)
    assert (stored.tenant_id, stored.ordering_key) == (TENANT, ZAP)
    assert (stored.position, stored.version, stored.kind) == (1, 1, CORE)
    assert stored.recorded_at.utcoffset() == timedelta(0)
    assert stored.meta == b'{"actor":"test"}'


async def test_the_expected_version_is_the_number_of_events(store: EventStore) -> None:
    stream = new_id()
    assert await store.append(an_append(stream_id=stream, expected=0)) == Appended(1, 1)
    assert await store.append(an_append(stream_id=stream, expected=1)) == Appended(2, 2)
    assert await store.append(an_append(stream_id=stream, expected=1)) == Conflict(2)
    assert await store.append(an_append(stream_id=stream, expected=7)) == Conflict(2)
    assert await store.append(an_append(expected=3)) == Conflict(0)
    assert await store.head() == 2


async def test_several_commands_are_stored_in_their_order_whatever_their_size(store: EventStore) -> None:
    bodies = ["x" * size for size in (40_000, 10, 10, 90_000, 33_000, 10, 60_000, 10) * 4]
    commands = [an_append(a_run_requested(body)) for body in bodies]
    results = await store.append_each(commands)
    positions = [result.position for result in results if isinstance(result, Appended)]
    assert positions == sorted(positions)
    assert len(positions) == len(bodies)


async def test_a_conflict_fails_alone(store: EventStore) -> None:
    taken = new_id()
    await store.append(an_append(stream_id=taken, expected=0))
    commands = [an_append(expected=0) for _ in range(20)]
    commands[7] = an_append(stream_id=taken, expected=0)
    results = await all_at_once(store, commands)
    assert [number for number, result in enumerate(results) if isinstance(result, Conflict)] == [7]
    assert await store.head() == 20
    assert_contiguous(await store.read_log(0, 100))


async def test_any_version_appends_to_whatever_is_there(store: EventStore) -> None:
    stream = new_id()
    results = await all_at_once(store, [an_append(stream_id=stream, expected=ANY_VERSION) for _ in range(30)])
    assert sorted(r.version for r in results if isinstance(r, Appended)) == list(range(1, 31))


async def test_the_events_of_one_command_stand_together(store: EventStore) -> None:
    commands = [an_append(*[a_run_requested(str(n)) for n in range(5)], expected=0) for _ in range(10)]
    results = await all_at_once(store, commands)
    for command, result in zip(commands, results, strict=True):
        assert isinstance(result, Appended)
        events = await store.read_stream(RUN, command.stream_id)
        assert [event.event_id for event in events] == [new.event_id for new in command.events]
        assert [event.version for event in events] == [1, 2, 3, 4, 5]
        assert [event.position for event in events] == list(range(result.position - 4, result.position + 1))


async def test_an_append_of_nothing_is_a_mistake_and_harms_nobody(store: EventStore) -> None:
    empty = an_append()
    empty = Append(
        kind=RUN,
        stream_id=empty.stream_id,
        expected=0,
        tenant_id=TENANT,
        ordering_key=ZAP,
        events=(),
        metadata=empty.metadata,
    )
    with pytest.raises(ValueError, match="at least one event"):
        await store.append(empty)
    assert isinstance(await store.append(an_append()), Appended)


@pytest.mark.parametrize("expected", [0, ANY_VERSION])
async def test_the_same_append_again_is_answered_as_the_first_time(store: EventStore, expected: int) -> None:
    command = an_append(a_run_requested("1"), a_run_requested("2"), expected=expected)
    first = await store.append(command)
    assert await store.append(command) == first == Appended(2, 2)
    await store.append(an_append(stream_id=command.stream_id, expected=2))
    assert await store.append(command) == first
    assert await store.head() == 3


async def test_the_same_append_again_far_later_is_all_or_nothing(store: EventStore) -> None:
    """Past the window in which it is known again, an any-version append may double, but never in part."""
    command = an_append(a_run_requested("1"), a_run_requested("2"), a_run_requested("3"))
    await store.append(command)
    for number in range(98):
        await store.append(an_append(stream_id=command.stream_id, expected=3 + number))
    assert await store.append(command) == Appended(3, 3)
    assert await store.head() == 101


async def test_another_command_at_the_same_version_is_a_conflict(store: EventStore) -> None:
    stream = new_id()
    await store.append(an_append(a_run_requested(), stream_id=stream, expected=0))
    assert await store.append(an_append(a_run_requested(), stream_id=stream, expected=0)) == Conflict(1)


async def test_a_dedupe_key_answers_with_the_first_stream_and_position(store: EventStore) -> None:
    key = b"k" * 32
    await store.append(an_append())
    first = an_append(expected=0, dedupe_key=key)
    assert await store.append(first) == Appended(1, 2)
    assert await store.append(an_append(expected=0, dedupe_key=key)) == Duplicate(first.stream_id, 2)
    assert await store.append(first) == Appended(1, 2), "the very same call is not a duplicate of itself"
    assert isinstance(await store.append(an_append(dedupe_key=b"j" * 32)), Appended)


async def test_of_50_racing_deliveries_one_is_stored(store: EventStore) -> None:
    key = b"k" * 32
    commands = [an_append(expected=0, dedupe_key=key) for _ in range(50)]
    results = await all_at_once(store, commands)
    [winner] = [c for c, result in zip(commands, results, strict=True) if isinstance(result, Appended)]
    assert results.count(Duplicate(winner.stream_id, 1)) == 49
    assert await store.head() == 1


async def test_a_dedupe_key_is_free_again_when_its_time_is_over(store: EventStore) -> None:
    """A window of no seconds is over at once; the next delivery renews it."""
    key = b"w" * 32
    over = msgspec.structs.replace(an_append(expected=0, dedupe_key=key), dedupe_window_s=0)
    assert isinstance(await store.append(over), Appended)
    renewed = an_append(expected=0, dedupe_key=key)
    assert await store.append(renewed) == Appended(1, 2)
    assert await store.append(an_append(expected=0, dedupe_key=key)) == Duplicate(renewed.stream_id, 2)


async def test_a_refused_append_leaves_its_dedupe_key_free(store: EventStore) -> None:
    key = b"k" * 32
    assert await store.append(an_append(expected=4, dedupe_key=key)) == Conflict(0)
    assert await store.append(an_append(expected=0, dedupe_key=key)) == Appended(1, 1)


async def test_an_event_with_a_due_time_sets_a_timer_with_its_id(subject: Subject) -> None:
    command = an_append(due_at=LATER)
    await subject.store.append(command)
    assert await subject.due(LATER - timedelta(seconds=1)) == []
    expected = DueTimer(command.events[0].event_id, LATER, RUN, command.stream_id, ZAP, TENANT)
    assert await subject.due(LATER) == [expected]


async def test_a_timer_fires_once_among_racing_schedulers(subject: Subject) -> None:
    timer = new_id()
    command = an_append(ids=[timer], due_at=LATER)
    await subject.store.append(command)
    fires = [an_append(RunResumed(timer_id=timer), stream_id=command.stream_id, timer_id=timer) for _ in range(10)]
    results = await all_at_once(subject.store, fires)
    assert [type(result) for result in results].count(Appended) == 1
    assert [type(result) for result in results].count(Conflict) == 9
    assert await subject.due(LATER) == []
    assert await subject.store.head() == 2


async def test_the_same_firing_again_is_known(subject: Subject) -> None:
    timer = new_id()
    command = an_append(ids=[timer], due_at=LATER)
    await subject.store.append(command)
    fire = an_append(RunResumed(timer_id=timer), stream_id=command.stream_id, timer_id=timer)
    assert await subject.store.append(fire) == Appended(2, 2)
    assert await subject.store.append(fire) == Appended(2, 2)


async def test_a_timer_outlives_a_refused_append(subject: Subject) -> None:
    timer = new_id()
    command = an_append(ids=[timer], due_at=LATER)
    await subject.store.append(command)
    late = an_append(RunResumed(timer_id=timer), stream_id=command.stream_id, expected=0, timer_id=timer)
    assert await subject.store.append(late) == Conflict(1)
    assert [due.timer_id for due in await subject.due(LATER)] == [timer]


async def test_one_timer_guards_appends_to_several_streams(subject: Subject) -> None:
    timer = new_id()
    await subject.store.append(an_append(ids=[timer], due_at=LATER))
    results = await all_at_once(
        subject.store, [an_append(RunResumed(timer_id=timer), timer_id=timer) for _ in range(5)]
    )
    assert [type(result) for result in results].count(Appended) == 1


async def test_an_unknown_timer_is_a_conflict(store: EventStore) -> None:
    assert await store.append(an_append(timer_id=new_id())) == Conflict(0)


async def test_an_append_may_clear_one_timer_and_set_another(subject: Subject) -> None:
    first, second = new_id(), new_id()
    command = an_append(ids=[first], due_at=LATER)
    await subject.store.append(command)
    await subject.store.append(an_append(ids=[second], stream_id=command.stream_id, timer_id=first, due_at=LATER))
    assert [due.timer_id for due in await subject.due(LATER)] == [second]


async def test_a_stream_is_read_after_a_version(store: EventStore) -> None:
    command = an_append(*[a_run_requested(str(n)) for n in range(4)])
    await store.append(command)
    assert [e.version for e in await store.read_stream(RUN, command.stream_id, 2)] == [3, 4]
    assert await store.read_stream(RUN, command.stream_id, 4) == []
    assert await store.read_stream(CORE, command.stream_id) == []


async def test_several_streams_are_read_at_once(store: EventStore) -> None:
    commands = [an_append(a_run_requested(), a_run_requested()) for _ in range(3)]
    await all_at_once(store, commands)
    wanted = [command.stream_id for command in commands[:2]]
    streams = await store.read_streams(RUN, [*wanted, new_id()])
    assert set(streams) == set(wanted)
    assert all([event.version for event in events] == [1, 2] for events in streams.values())
    assert await store.read_streams(RUN, []) == {}


async def test_the_log_is_read_in_pages(store: EventStore) -> None:
    await all_at_once(store, [an_append() for _ in range(25)])
    assert_contiguous(await store.read_log(0, 10))
    assert_contiguous(await store.read_log(20, 10), after=20)
    assert await store.read_log(25, 10) == []
    pages = [page async for page in store.iterate_log(3, 20)]
    assert_contiguous([event for page in pages for event in page], after=3)
    assert pages[-1][-1].position == 20
    assert [page async for page in store.iterate_log(30, 40)] == []


async def test_two_racing_writers_win_each_version_once(store: EventStore) -> None:
    stream = new_id()

    async def write(rounds: int) -> int:
        wins = 0
        for _ in range(rounds):
            version = len(await store.read_stream(RUN, stream))
            result = await store.append(an_append(stream_id=stream, expected=version))
            wins += isinstance(result, Appended)
        return wins

    wins = sum(await asyncio.gather(write(30), write(30)))
    events = await store.read_stream(RUN, stream)
    assert [event.version for event in events] == list(range(1, wins + 1))
    assert 30 <= wins <= 60


async def test_a_tailing_reader_misses_nothing_while_writers_race(store: EventStore) -> None:
    done = asyncio.Event()
    acknowledged: dict[int, UUID] = {}

    async def write() -> None:
        for _ in range(25):
            command = an_append(*[a_run_requested() for _ in range(2)])
            result = await store.append(command)
            assert isinstance(result, Appended)
            acknowledged[result.position] = command.events[-1].event_id

    async def tail() -> list[StoredEvent]:
        seen: list[StoredEvent] = []
        while True:
            finished = done.is_set()
            page = await store.read_log(seen[-1].position if seen else 0, 17)
            seen += page
            if finished and not page:
                return seen
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(tail())
        async with asyncio.TaskGroup() as writers:
            for _ in range(8):
                writers.create_task(write())
        done.set()
    seen = reader.result()
    assert_contiguous(seen)
    assert len(seen) == 8 * 25 * 2
    by_position = {event.position: event.event_id for event in seen}
    assert all(by_position[position] == event_id for position, event_id in acknowledged.items())
