"""What is told of failures, when again, and in which words."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.failures.alert_message import payload, subject, text
from domain.failures.failures import (
    ATTEMPTS_AFTER_S,
    AlertRaised,
    Unreported,
    attempted,
    group_id,
    raise_alert,
    stream_of,
)
from domain.values.json import Json
from domain.zap.events import Flag
from tests.support.builders import ZAP
from tests.support.clock import START

RUN, ALERT = UUID(int=1), UUID(int=2)
GONE = Flag(kind="target_gone", step_id="send", detail="the target of step send answered 410", since=START)


def untold(
    total: int = 5, told: int = 0, *, code: str = "http_503", of_alerts: int = 0, told_of: int = 0
) -> Unreported:
    return Unreported(
        step_id="send",
        code=code,
        message="the target answered 503",
        run_id=RUN,
        first_at=START,
        last_at=START + timedelta(minutes=5),
        total=total,
        of_alerts=of_alerts,
        told=told,
        told_of_alerts=told_of,
    )


def raised(*groups: Unreported, flags: tuple[Flag, ...] = (), minutes_told: int | None = None) -> AlertRaised:
    return raise_alert(
        ZAP,
        "Orders",
        groups,
        flags=flags,
        last_until=None if minutes_told is None else START + timedelta(minutes=minutes_told),
        every_s=900,
        moment=START + timedelta(minutes=6),
    )


def test_an_alert_counts_what_is_new_and_remembers_how_far_it_went() -> None:
    alert = raised(untold(12, 7), untold(3, code="timeout"))
    assert [(cause.code, cause.count, cause.total) for cause in alert.causes] == [
        ("http_503", 5, 12),
        ("timeout", 3, 3),
    ]
    assert alert.failures == 8
    assert (alert.since, alert.until) == (START, START + timedelta(minutes=5))
    assert alert.quiet_until == START + timedelta(minutes=21)


def test_it_says_from_when_on_it_tells() -> None:
    assert raised(untold(), minutes_told=2).since == START + timedelta(minutes=2)
    assert raised(untold(), minutes_told=-9).since == START


@pytest.mark.parametrize(
    ("group", "chained"),
    [
        (untold(2, of_alerts=2), True),
        (untold(2, of_alerts=1), False),
        (untold(5, 3, of_alerts=4, told_of=2), True),
        (untold(5, 3, of_alerts=3, told_of=2), False),
    ],
)
def test_only_failures_of_runs_that_alerts_started_end_the_chain(group: Unreported, *, chained: bool) -> None:
    assert raised(group).chained is chained


def test_a_flag_alone_is_no_chain() -> None:
    assert not raised(flags=(GONE,)).chained


def test_attempts_end_when_all_are_told_or_when_there_were_enough() -> None:
    assert attempted(ZAP, ALERT, 1, {"webhook": ""}, START).retry_at is None
    delays = []
    for attempt in range(1, len(ATTEMPTS_AFTER_S) + 2):
        retry_at = attempted(ZAP, ALERT, attempt, {"webhook": "", "zap": "no"}, START).retry_at
        delays.append(retry_at and (retry_at - START).total_seconds())
    assert delays == [*ATTEMPTS_AFTER_S, None]


def test_the_message_as_json() -> None:
    failures = 5
    cause: Json = {
        "step_id": "send",
        "code": "http_503",
        "message": "the target answered 503",
        "count": failures,
        "run_id": str(RUN),
        "run_url": f"https://hub.example.com/api/v1/runs/{RUN}",
    }
    flag: Json = {
        "kind": "target_gone", "step_id": "send", "detail": GONE.detail, "since": "2026-01-01T12:00:00+00:00",
    }  # fmt: skip
    assert payload(ALERT, raised(untold(), flags=(GONE,)), "https://hub.example.com") == {
        "type": "zap.failures",
        "id": str(ALERT),
        "zap_id": str(ZAP),
        "zap_name": "Orders",
        "failures": failures,
        "since": "2026-01-01T12:00:00+00:00",
        "until": "2026-01-01T12:05:00+00:00",
        "causes": [cause],
        "flags": [flag],
    }


def test_the_message_as_text() -> None:
    alert = raised(untold(), untold(1, code="timeout"), flags=(GONE,))
    assert subject(alert) == "Orders: 6 runs failed"
    assert text(alert, "https://hub.example.com").splitlines() == [
        "6 runs of the zap 'Orders' failed between 2026-01-01 12:00:00 UTC and 2026-01-01 12:05:00 UTC.",
        "",
        "5 x http_503 at step send: the target answered 503",
        f"    the last one: https://hub.example.com/api/v1/runs/{RUN}",
        "",
        "1 x timeout at step send: the target answered 503",
        f"    the last one: https://hub.example.com/api/v1/runs/{RUN}",
        "",
        f"Flagged: {GONE.detail}.",
        "",
        f"All of them: https://hub.example.com/api/v1/dead-letters?zap_id={ZAP}",
    ]


def test_a_flag_has_a_subject_of_its_own() -> None:
    assert subject(raised(flags=(GONE,))) == "Orders: target gone"
    assert "Flagged: the target" in text(raised(flags=(GONE,)), "")


@given(st.text())
def test_a_subject_is_one_line(name: str) -> None:
    alert = raise_alert(ZAP, name, [untold()], every_s=1, moment=START)
    assert len(subject(alert).splitlines()) == 1


def test_ids_of_groups_and_streams_never_change() -> None:
    assert str(group_id(ZAP, "send", "http_503")) == "026bb678-1048-58af-9298-4d66c9291f2a"
    assert str(stream_of(ZAP)) == "5552e9f2-16cb-5ff0-aeed-63a4f78f03bc"
    assert len({group_id(ZAP, step, code) for step in ("a", "b", "") for code in ("x", "y")}) == 6
