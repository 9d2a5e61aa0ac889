"""The account of rejected requests: bounded per minute, and counted beyond."""

from typing import cast
from uuid import UUID

import pytest

from app.intake import request_log
from app.intake.request_log import BYTES_PER_MINUTE, PER_MINUTE, RequestLog
from domain.hook.request import Request
from domain.intake.events import RequestRejected, RequestsCounted
from domain.log.event import Append, Appended, AppendResult, StreamKind
from domain.log.ports import EventStore, StoreUnavailable
from sql.process.clock import new_id, now

TENANT, ZAP = UUID(int=1), UUID(int=2)


class Store:
    """Remembers what it was given, and can be away."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.commands: list[Append] = []
        self.away = False

    async def append(self, command: Append) -> AppendResult:
        if self.away:
            raise StoreUnavailable("away")
        self.commands.append(command)
        self.events += [new.event for new in command.events]
        return Appended(1, 1)


class Moment:
    """A monotonic clock that stands still."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def requests(store: Store, moment: Moment) -> RequestLog:
    return RequestLog(cast(EventStore, store), now, new_id, moment)


def a_rejected(request: Request | None = None) -> RequestRejected:
    return RequestRejected(zap_id=ZAP, reason="bad_signature", status=401, request=request)


async def test_a_minute_s_worth_is_recorded_and_the_rest_counted(
    requests: RequestLog, store: Store, moment: Moment
) -> None:
    ids = [await requests.record(TENANT, a_rejected()) for _ in range(PER_MINUTE + 5)]
    assert ids.count(None) == 5
    moment.s = 60
    assert await requests.record(TENANT, a_rejected())
    await requests.flush()
    assert len([event for event in store.events if isinstance(event, RequestRejected)]) == PER_MINUTE + 1
    (counted,) = [event for event in store.events if isinstance(event, RequestsCounted)]
    assert (counted.reason, counted.count) == ("bad_signature", 5)
    # Each is a stream of its own, in the part of the log that retention drops.
    assert {command.kind for command in store.commands} == {StreamKind.REQUEST}
    assert len({command.stream_id for command in store.commands}) == PER_MINUTE + 2
    assert all(command.stream_id == command.events[0].event_id for command in store.commands)


async def test_counts_are_written_soon_and_then_once_a_minute(
    requests: RequestLog, store: Store, moment: Moment
) -> None:
    written = []
    for second in (0, 1, 2, 30, 61, 62, 121):
        moment.s = second
        requests.count(ZAP, TENANT, "duplicate", UUID(int=7))
        await requests._write(second)
        written.append(len(store.events))
    assert written == [0, 1, 1, 1, 2, 2, 3]
    assert sum(event.count for event in store.events if isinstance(event, RequestsCounted)) == 7


async def test_idle_accounts_are_forgotten(requests: RequestLog, moment: Moment) -> None:
    requests.count(ZAP, TENANT, "duplicate")
    await requests._write(1.0)
    moment.s = 120
    await requests._write(120.0)
    assert requests._accounts == {}


async def test_whole_requests_are_kept_up_to_a_size(requests: RequestLog, store: Store) -> None:
    body = "x" * (BYTES_PER_MINUTE // 2)
    for _ in range(3):
        await requests.record(TENANT, a_rejected(Request(body=body)))
    kept = [event.request is not None for event in store.events if isinstance(event, RequestRejected)]
    assert kept == [True, True, False]


async def test_repeats_and_zaps_are_bounded(
    requests: RequestLog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MAX_ZAPS", 3)
    for number in range(200):
        requests.count(ZAP, TENANT, "duplicate", UUID(int=number))
        requests.count(UUID(int=1_000 + number), TENANT, "filtered")
    await requests.flush()
    counted = [event for event in store.events if isinstance(event, RequestsCounted)]
    assert len(counted) == 3
    assert (counted[0].count, len(counted[0].repeats)) == (200, request_log.MAX_REPEATS)


async def test_without_the_log_nothing_is_raised_for_counts(requests: RequestLog, store: Store) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await requests.record(TENANT, a_rejected())
    requests.count(ZAP, TENANT, "duplicate")
    await requests.flush()
