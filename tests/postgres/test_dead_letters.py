"""The inbox: groups with counts that come out the same in whatever order partitions bring their events."""

import random
from uuid import UUID

import pytest

from domain.failures.failures import (
    AlertAttempted,
    FailuresEvent,
    FailuresNoted,
    FailuresResolved,
    Unreported,
    group_id,
    raise_alert,
    stream_of,
)
from domain.log.event import StreamKind
from domain.run.events import Recovered, RunCompleted, RunFailed, RunTimedOut
from domain.zap.events import Flag, ZapFlagged, ZapUnflagged
from projections.dead_letters import DEAD_LETTERS, DeadLetters, list_dead_letters
from projections.engine.engine import Engine
from projections.engine.verify import verify_read_models
from projections.recoveries import RECOVERIES
from projections.zap_health import ZAP_HEALTH, get_health
from projections.zap_list import ZAP_LIST, list_zaps
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.builders import TENANT, a_zap_created
from tests.support.clock import START
from tests.support.failing import FailingHouse
from tests.support.projected import PARTITIONS, append, batch_of, requested

KEPT = (DEAD_LETTERS, RECOVERIES, ZAP_HEALTH, ZAP_LIST)
CODES = ("http_500", "timeout", "tem\0plate")


async def a_long_story(store: PgEventStore, dice: random.Random, zap: UUID) -> None:
    """Runs that end, and what somebody makes of it in between."""

    async def on(stream: UUID, event: FailuresEvent) -> None:
        await append(store, stream, event, tenant_id=TENANT, key=zap, kind=StreamKind.CORE)

    failed, ended = 0, list[Recovered]()
    for _ in range(60):
        code = dice.choice(CODES)
        ends = [
            RunFailed(zap_id=zap, of_alert=dice.random() < 0.3, step_id="a", code=code, message=f"no\0 {failed}"),
            RunTimedOut(zap_id=zap, step_id="", message="too long"),
            RunFailed(step_id="a", code="of an older release", message=""),
            RunCompleted(zap_id=zap, recovers=tuple(dice.sample(ended, min(len(ended), 3)))),
        ]
        run_id, end = new_id(), dice.choice(ends)
        failed += end is ends[0]
        position = await append(store, run_id, requested(zap), end, tenant_id=TENANT, key=run_id)
        if end is ends[0]:
            ended.append(Recovered(run_id=run_id, position=position, step_id="a", code=code))
        told = Unreported(
            step_id="a", code=code, message="", run_id=run_id, first_at=START, last_at=START,
            total=dice.randrange(1, 9), of_alerts=dice.randrange(2), told=0, told_of_alerts=0,
        )  # fmt: skip
        raised = raise_alert(zap, "Orders", [told], flags_until=failed, every_s=60, moment=START)
        retry_at = dice.choice([None, START])
        choices: list[FailuresEvent] = [
            FailuresResolved(zap_id=zap, step_id="a", code=code, count=dice.randrange(1, 9)),
            FailuresNoted(zap_id=zap, step_id="a", code=code, note=f"note {failed}"),
            raised,
            AlertAttempted(zap_id=zap, alert_id=run_id, attempt=1, results={"webhook": "x\0"}, retry_at=retry_at),
        ]
        await on(stream_of(zap), dice.choice(choices))


async def some_flags(store: PgEventStore) -> None:
    """A flag that goes, and one that stays."""
    zap = new_id()
    flags = [Flag(kind="target_gone", step_id=step, detail="gone", since=START) for step in "ab"]
    changes = [ZapFlagged(flag=flags[0]), ZapUnflagged(kind="target_gone", step_id="a"), ZapFlagged(flag=flags[1])]
    await append(store, zap, a_zap_created(), *changes, tenant_id=TENANT, key=zap, kind=StreamKind.CORE)


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_the_order_of_partitions_and_the_cuts_of_batches_the_rows_equal_the_log(
    dsn: str, store: PgEventStore, seed: int
) -> None:
    dice = random.Random(seed)
    async with Engine(dsn, KEPT, PARTITIONS) as engine:
        await engine.start()  # while the log is empty: what is there already, a start builds by itself
        for _ in range(3):
            await a_long_story(store, dice, new_id())
        await some_flags(store)
        left = {partition: list(events) for partition, events in batch_of(await store.read_log(0, 10_000)).items()}
        while left:
            partition = dice.choice(list(left))
            count = dice.randrange(1, 40)
            await engine.apply({partition: left[partition][:count]})
            left[partition] = left[partition][count:]
            if not left[partition]:
                del left[partition]
    assert await verify_read_models(dsn, KEPT, PARTITIONS) == []
    groups = await list_dead_letters(
        store.pool, TENANT, zap_id=None, state=None, include_recovered=True, before=None, limit=100
    )
    assert {group.code for group in groups} == {"http_500", "timeout", "template", "deadline"}
    counted = await store.pool.fetchval("select sum(failed) from rm.zap_health")
    assert sum(group.count for group in groups) == counted > 20
    others = await list_dead_letters(store.pool, TENANT, zap_id=None, state=None, before=None, limit=100)
    made_up_for = await store.pool.fetchval("select count(*) from rm.recoveries")
    assert sum(group.recovered for group in groups) == made_up_for > 20
    assert sum(group.count for group in others) == counted - made_up_for


async def only(house: FailingHouse, zap: UUID) -> DeadLetters:
    (group,) = await house.groups(zap)
    return group


async def test_a_group_says_what_when_how_often_and_how_to_run_it_again(house: FailingHouse) -> None:
    zap = await house.zap()
    await house.fail(zap, 2)
    await house.fail(zap)
    group = await only(house, zap)
    assert (group.id, group.zap_id, group.step_id, group.code) == (
        group_id(zap, "send", "http_503"), zap, "send", "http_503",
    )  # fmt: skip
    assert (group.count, group.resolved, group.state, group.message) == (3, 0, "open", "the target answered 503")
    assert group.first_at < group.last_at
    assert (group.filter.zap_id, group.filter.step_id, group.filter.error_code, group.filter.status) == (
        zap, "send", "http_503", "failed",
    )  # fmt: skip
    (last,) = await house.store.read_log(group.position - 1, 1)
    assert last.stream_id == group.run_id
    health = await get_health(house.store.pool, TENANT, zap)
    assert (health.failed, health.last_failed_at) == (3, group.last_at)
    listed = {item.id: item for item in await list_zaps(house.store.pool, TENANT, before=None, limit=1_000)}[zap]
    assert (listed.completed, listed.failed, listed.last_completed_at) == (0, 3, None)
    assert listed.last_failed_at == group.last_at


async def test_groups_are_in_order_of_their_last_failure(house: FailingHouse) -> None:
    zap = await house.zap()
    for code in ("a", "b", "a"):
        await house.fail(zap, code=code)
    assert [group.code for group in await house.groups(zap)] == ["a", "b"]
