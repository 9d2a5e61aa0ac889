"""A listener is told everything once and in order, however the log is cut, and never holds more than it may."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.live import listeners
from app.live.listeners import Listener, News, NoRoomForStreams, Room, TooManyStreams, Wanted
from sql.process.clock import new_id

ADA, BOB, EVE = new_id(), new_id(), new_id()
ZAPS = [new_id() for _ in range(3)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def listener(room: Room | None = None, wanted: Wanted = Wanted(), tenant_id: UUID = ADA) -> Listener:  # noqa: B008
    return Listener(
        room or Room(), tenant_id, wanted, after=None, credential=new_id(), ends_at=NOW + timedelta(hours=1)
    )


def news(position: int, zap: int = 0, size: int = 10) -> News:
    text = b"id: %d\n" % position
    return News(position, "run.step", ZAPS[zap], None, text + b" " * max(0, size - len(text) - 1) + b"\n")


async def ids(one: Listener) -> list[int]:
    return [int(line[4:]) for line in (await one.read()).split(b"\n") if line.startswith(b"id: ")]


def pages(cuts: list[int], end: int) -> Iterator[tuple[int, int]]:
    yield from itertools.pairwise([0, *sorted({cut for cut in cuts if 0 < cut < end}), end])


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=60),
    st.integers(0, 60),
    st.lists(st.integers(1, 59)),
    st.sampled_from([None, 0, 1]),
)
async def test_whatever_the_pages_and_wherever_it_begins_it_is_told_the_rest_once(
    zaps: list[int], begin: int, cuts: list[int], wanted: int | None
) -> None:
    one = listener(wanted=Wanted(zap_id=None if wanted is None else ZAPS[wanted]))
    log = [news(position + 1, zap) for position, zap in enumerate(zaps)]
    begin = min(begin, len(log))
    one.welcome(begin, 1)
    assert await ids(one) == [begin]
    heard: list[int] = []
    for start, until in pages(cuts, len(log)):
        knows = one.position is not None and start <= one.position < until
        if knows and one.take(log[start:until], until, at_head=True):
            heard += await ids(one)
    expected = [n.position for n in log[begin:] if wanted is None or n.zap_id == ZAPS[wanted]]
    assert heard == expected
    assert one.position == len(log)


async def test_one_that_comes_from_before_is_told_as_much_as_it_may_leave_unread_and_the_rest_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "UNREAD_BYTES", 100)
    one, log, heard = listener(), [news(position, size=20) for position in range(1, 31)], list[int]()
    one.welcome(0, 1)
    await one.read()
    while one.position != 30:
        assert one.takes_more
        assert one.take(log, 30, at_head=False)
        assert not one.takes_more
        heard += await ids(one)
    assert heard == list(range(1, 31))


async def test_one_that_knew_everything_and_does_not_read_is_dropped_and_can_read_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "UNREAD_BYTES", 100)
    room = Room()
    one = listener(room)
    one.welcome(0, 1)
    assert one.take([news(position, size=20) for position in range(1, 31)], 30, at_head=True)
    held = room.total
    one.take([news(31)], 31, at_head=True)
    assert room.total == held
    read = await one.read()
    assert read.endswith(b'event: closed\ndata: {"type":"closed","reason":"too_slow"}\n\n')
    assert read.count(b"id: ") < 10
    assert await one.read() == b""


async def test_what_a_listener_held_is_free_again_when_it_leaves() -> None:
    room = Room()
    one = listener(room)
    one.welcome(0, 1)
    one.take([news(1)], 1, at_head=True)
    assert room.total > listeners.LISTENER_BYTES
    one.leave()
    assert (room.total, dict(room.held)) == (0, {})
    assert await one.read() == b""


def test_a_tenant_has_its_part_of_the_room_and_others_have_theirs() -> None:
    room = Room(size=4 * listeners.LISTENER_BYTES, of_tenant=2 * listeners.LISTENER_BYTES)
    kept = [listener(room, tenant_id=tenant_id) for tenant_id in (ADA, ADA, BOB, BOB)]
    with pytest.raises(TooManyStreams) as too_many:
        listener(room)
    assert too_many.value.retry_after_s
    with pytest.raises(NoRoomForStreams):
        listener(room, tenant_id=EVE)
    kept[0].leave()
    listener(room, tenant_id=EVE)


async def test_a_sign_of_life_says_how_far_it_has_come_unless_there_is_something_to_read() -> None:
    one = listener()
    one.beat(NOW)
    one.welcome(5, 1)
    one.beat(NOW)
    assert await ids(one) == [5]
    one.take([], 9, at_head=True)
    one.beat(NOW)
    assert await one.read() == b": heartbeat\nid: 9\n\n"
    one.beat(NOW + timedelta(hours=1))
    assert b"expired" in await one.read()
    assert await one.read() == b""
