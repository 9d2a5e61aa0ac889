"""Whoever has an account can have the log verified."""

import asyncio

import pytest

from sql.log import sparing
from sql.log.sparing import Busy, SparingVerifier
from tests.support.api import Person
from tests.support.projected import tamper


async def test_the_log_is_verified_as_a_whole_and_in_ranges(ada: Person, dsn: str) -> None:
    for number in range(5):
        await ada.create_zap(f"Zap {number}")
    found = (await ada("GET", "/audit/verify")).json()
    assert found["holds"]
    assert found["first_problem"] is None
    head = found["head"]["position"]
    assert found["events"] == head >= 6
    assert len(bytes.fromhex(found["head"]["hash"])) == 32
    part = (await ada("GET", "/audit/verify?from=3&to=4")).json()
    assert (part["holds"], part["events"], part["head"]["position"]) == (True, 2, 4)

    await tamper(dsn, "update es.events set data = data || ' ' where position = 4")
    broken = (await ada("GET", "/audit/verify")).json()
    assert not broken["holds"]
    assert broken["first_problem"] == {"position": 4, "reason": "the event was changed"}
    assert broken["head"]["position"] == 3
    assert (await ada("GET", "/audit/verify?from=5")).json()["holds"]


async def test_a_range_that_is_empty_or_too_long_is_refused(
    ada: Person, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in ("from=3&to=2", "from=100000"):
        assert (await ada("GET", f"/audit/verify?{query}")).status_code == 422
    assert (await ada("GET", "/audit/verify?from=0")).status_code == 400
    await ada.create_zap()
    monkeypatch.setattr(sparing, "MOST_EVENTS", 1)
    assert (await ada("GET", "/audit/verify?from=1")).status_code == 422
    newest = (await ada("GET", "/audit/verify")).json()
    assert (newest["holds"], newest["events"]) == (True, 1)


async def test_verifications_take_turns_and_rest_between(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = SparingVerifier(dsn)
    done = await asyncio.gather(*(verifier.verify(None, None, 0) for _ in range(3)))
    assert all(one.report.broken_at is None for one in done)
    monkeypatch.setattr(sparing, "PATIENCE_S", 0.0)
    monkeypatch.setattr(sparing, "REST", 10_000)
    with pytest.raises(Busy):  # the rest after the last one
        await verifier.verify(None, None, 0)
