"""Zaps that run when others fail: each failure is one run of each of them, and it ends."""

from typing import Any
from uuid import UUID

from consumers.notifier.notifier import Notifier
from domain.hook.hops import MAX_DEPTH
from domain.hook.request import Request, trigger_data
from domain.log.event import StreamKind
from domain.registry import decode
from domain.run.events import RunFailed, RunRequested, RunTimedOut
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapEnabled, ZapPaused, ZapPublished
from sql.process.clock import new_id
from tests.support.builders import TENANT
from tests.support.failing import FailingHouse
from tests.support.projected import append

REQUESTS = "select data from es.events where type = 'zap.run.requested' and kind = 1 order by position"


async def listener(house: FailingHouse, config: "JsonObject | None" = None, tenant: UUID = TENANT) -> UUID:
    zap_id, definition = new_id(), Definition(Trigger("zap.failed", config or {}))
    events = (
        ZapCreated(name="Ears", definition=definition),
        ZapPublished(number=1, name="Ears", definition=definition),
    )
    await house.on_zap(zap_id, *events, ZapEnabled(), tenant=tenant)
    return zap_id


async def heard(house: FailingHouse, zap_id: UUID) -> list[RunRequested]:
    found = [decode("zap.run.requested", 1, row[0]) for row in await house.store.pool.fetch(REQUESTS)]
    return [one for one in found if isinstance(one, RunRequested) and (one.zap_id, one.source) == (zap_id, "failure")]


async def a_failed_run(house: FailingHouse, zap_id: UUID, depth: int = 0, **fields: Any) -> UUID:
    run_id = new_id()
    requested = RunRequested(
        zap_id=zap_id, zap_version=1, source=fields.pop("source", "webhook"), request=Request(), depth=depth
    )
    end = RunFailed(zap_id=zap_id, step_id="send", code="http_503", message="no answer", **fields)
    await append(house.store, run_id, requested, end, tenant_id=TENANT, key=run_id)
    return run_id


async def test_a_failure_starts_each_zap_that_listens_once(house: FailingHouse, notifier: Notifier) -> None:
    zap, other = await house.zap(), await house.zap(name="Other")
    every, one = await listener(house), await listener(house, {"zap_ids": [str(other)]})
    stranger = await listener(house, tenant=new_id())
    await house.check(notifier)
    run_id = await a_failed_run(house, zap, depth=3)
    await house.check(notifier)
    await house.check(notifier)
    (run,) = await heard(house, every)
    body: Any = trigger_data(run.request)["body"]
    assert (body["zap"], body["error"]["code"]) == ({"id": str(zap), "name": "Orders", "tags": []}, "http_503")
    assert body["run"] == {"id": str(run_id), "url": f"https://hub.example.com/api/v1/runs/{run_id}"}
    assert (run.depth, run.dedupe_id) == (4, str(run_id))
    timed_out = new_id()
    requested = RunRequested(zap_id=other, zap_version=1, source="webhook", request=Request())
    end = RunTimedOut(zap_id=other, step_id="", message="too late")
    await append(house.store, timed_out, requested, end, tenant_id=TENANT, key=timed_out)
    await house.check(notifier)
    assert [run.dedupe_id for run in await heard(house, one)] == [str(timed_out)]
    assert len(await heard(house, every)) == 2
    assert await heard(house, stranger) == []


async def test_a_notifier_that_dies_before_it_remembers_starts_nothing_twice(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap, ears = await house.zap(), await listener(house)
    await house.check(notifier)
    before = await house.store.pool.fetchval("select position from proj.listened")
    await a_failed_run(house, zap)
    await house.check(notifier)
    await house.store.pool.execute("update proj.listened set position = $1", before)
    await house.check(house.notifier())
    assert len(await heard(house, ears)) == 1


async def test_a_zap_hears_of_no_failure_from_before_it_listened(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap()
    await house.check(notifier)
    before = await a_failed_run(house, zap)
    ears = await listener(house)
    after = await a_failed_run(house, zap)
    await house.on_zap(ears, ZapPaused())
    meanwhile = await a_failed_run(house, zap)
    await house.on_zap(ears, ZapEnabled())
    await house.check(notifier)
    assert {str(before), str(meanwhile)}.isdisjoint(run.dedupe_id for run in await heard(house, ears))
    assert [run.dedupe_id for run in await heard(house, ears)] == [str(after)]


async def test_a_zap_listens_to_those_with_a_tag(house: FailingHouse, notifier: Notifier) -> None:
    billing, other = await house.zap(tags=("eu", "billing")), await house.zap()
    both = await listener(house, {"tags": ["billing", "sales"]})
    one = await listener(house, {"tags": ["billing"], "zap_ids": [str(other)]})
    await house.check(notifier)
    run_id = await a_failed_run(house, billing)
    await a_failed_run(house, other)
    await house.check(notifier)
    (run,) = await heard(house, both)
    body: Any = trigger_data(run.request)["body"]
    assert (run.dedupe_id, body["zap"]["tags"]) == (str(run_id), ["eu", "billing"])
    assert await heard(house, one) == []


async def test_it_ends(house: FailingHouse, notifier: Notifier) -> None:
    zap, ears = await house.zap(), await listener(house)
    await house.check(notifier)
    await a_failed_run(house, ears)  # a zap does not listen to itself
    await a_failed_run(house, zap, source="failure", of_alert=True)
    await a_failed_run(house, zap, depth=MAX_DEPTH)
    await house.check(notifier)
    assert await heard(house, ears) == []


async def test_a_zap_that_is_paused_does_not_listen(house: FailingHouse, notifier: Notifier) -> None:
    zap, ears = await house.zap(), await listener(house)
    await house.on_zap(ears, ZapPaused())
    await house.check(notifier)
    await a_failed_run(house, zap)
    await house.check(notifier)
    await house.on_zap(ears, ZapEnabled())
    await house.check(notifier)
    assert await heard(house, ears) == []
    assert await house.store.read_stream(StreamKind.CORE, ears)
