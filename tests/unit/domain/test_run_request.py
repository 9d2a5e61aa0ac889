"""Asking for a run: its deadline, and which runs have to meet in one process."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.hook.request import Request
from domain.log.event import Append, Metadata
from domain.run.events import RunRequested
from domain.run.request import made_at, ordering_key, request_append
from domain.zap.settings import Concurrency, ZapSettings
from sql.process.clock import new_id
from tests.support.builders import TENANT, ZAP

AT = datetime(2026, 11, 25, 12, 0, 0, 123_000, tzinfo=UTC)
RUN = UUID(int=int(AT.timestamp() * 1000) << 80 | 7 << 76 | 8 << 60)


def asked(settings: ZapSettings, body: str = "{}") -> Append:
    return request_append(
        RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=Request(body=body)),
        settings,
        tenant_id=TENANT,
        new_id=iter([RUN, UUID(int=1)]).__next__,
        metadata=Metadata(actor="hook"),
    )


def key(concurrency: Concurrency, body: str = "{}", run_id: UUID = RUN) -> UUID:
    return ordering_key(run_id, ZAP, concurrency, Request(body=body))


def test_a_run_id_carries_the_moment_of_its_making() -> None:
    assert made_at(RUN) == AT
    assert abs(made_at(new_id()) - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_deadline_counts_from_the_request_and_is_a_timer() -> None:
    (new,) = asked(ZapSettings(deadline_s=60)).events
    assert isinstance(new.event, RunRequested)
    assert new.event.deadline == new.due_at == AT + timedelta(seconds=60)


def test_without_a_deadline_there_is_no_timer() -> None:
    append = asked(ZapSettings())
    assert (append.events[0].due_at, append.stream_id, append.expected) == (None, RUN, 0)
    assert append.metadata.correlation_id == RUN


def test_parallel_runs_need_not_meet_unless_they_are_counted() -> None:
    assert key(Concurrency()) == RUN
    assert key(Concurrency(limit=5)) == ZAP


def test_serial_runs_meet_all_or_by_key() -> None:
    assert key(Concurrency(mode="serial")) == ZAP
    by_customer = Concurrency(mode="serial", key="{{ trigger.body.customer }}")
    keys = [key(by_customer, f'{{"customer": {value}}}', new_id()) for value in ('"a"', '"a"', '"b"', "1", '"1"')]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"customer": {}}', "{", "\x00"])
def test_requests_without_the_key_meet_one_another(body: str) -> None:
    by_customer = Concurrency(mode="serial", key="{{ trigger.body.customer.id }}")
    assert key(by_customer, body) == key(by_customer, "{}", new_id())


def test_keys_of_different_zaps_differ() -> None:
    by_customer = Concurrency(mode="serial", key="{{ trigger.body.id }}")
    request = Request(body='{"id": 1}')
    assert ordering_key(RUN, ZAP, by_customer, request) != ordering_key(RUN, TENANT, by_customer, request)
