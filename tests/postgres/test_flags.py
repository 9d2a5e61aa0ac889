"""Zaps whose runs all fail, or whose targets are gone, are flagged, and paused where they want that."""

from datetime import UTC, datetime, timedelta

import msgspec

from consumers.notifier.notifier import Notifier
from domain.zap.definition import Definition
from domain.zap.events import ZapEnabled, ZapFlagged, ZapPaused, ZapPublished, ZapUnflagged
from domain.zap.settings import OnFailure, ZapSettings
from projections.run_list import first_failed_at
from projections.zap_list import list_zaps
from tests.support.builders import TENANT, a_definition
from tests.support.failing import FailingHouse


def failing_definition(flag_after_s: int) -> Definition:
    settings = ZapSettings(on_failure=OnFailure(flag_after_s=flag_after_s))
    return msgspec.structs.replace(a_definition("send"), settings=settings)


async def listed_flags(house: FailingHouse) -> dict[str, list[str]]:
    await house.project()
    zaps = await list_zaps(house.store.pool, TENANT, before=None, limit=1_000)
    return {str(zap.id): [flag.kind for flag in zap.flags] for zap in zaps}


async def test_a_zap_whose_runs_all_fail_for_the_configured_time_is_flagged_and_its_owner_told(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url, flag_after_s=3_600, every_s=86_400))
    await house.complete(zap)
    await house.fail(zap)
    await house.settle(notifier)
    await house.check(notifier, 3_500)
    assert await house.zap_events(zap) == []
    await house.check(notifier, 100)
    (flagged,) = await house.zap_events(zap)
    assert isinstance(flagged, ZapFlagged)
    assert flagged.flag.kind == "failing"
    assert (await listed_flags(house))[str(zap)] == ["failing"]
    await house.settle(notifier)
    assert [message["failures"] for message in house.told()] == [1, 0], "at once, though the day is not over"
    (flag,) = house.told()[1]["flags"]
    assert (flag["kind"], flag["detail"]) == ("failing", flagged.flag.detail)
    await house.settle(notifier, 7_200)
    assert len(house.told()) == 2
    assert len(await house.zap_events(zap)) == 1


async def test_a_zap_of_which_a_run_completes_in_between_is_not_flagged(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(flag_after_s=3_600))
    await house.fail(zap)
    await house.check(notifier, 3_500)
    await house.complete(zap)
    await house.check(notifier, 200)
    await house.check(notifier, 100_000)
    assert await house.zap_events(zap) == []


async def test_a_run_that_completes_takes_the_flag_away(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(flag_after_s=60))
    await house.fail(zap)
    await house.check(notifier, 70)
    assert [type(event) for event in await house.zap_events(zap)] == [ZapFlagged]
    await house.complete(zap)
    await house.check(notifier)
    await house.check(notifier, 100)
    assert (await house.zap_events(zap))[1:] == [ZapUnflagged(kind="failing")]
    assert (await listed_flags(house))[str(zap)] == []


async def test_a_failing_zap_is_paused_where_it_wants_that_and_left_in_peace_once_it_is_enabled_again(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(flag_after_s=60, pause=True))
    await house.fail(zap)
    await house.check(notifier, 70)
    flagged, paused = await house.zap_events(zap)
    assert isinstance(flagged, ZapFlagged)
    assert paused == ZapPaused(reason=flagged.flag.detail)
    await house.on_zap(zap, ZapEnabled(), ZapUnflagged(kind="failing"))
    for _ in range(3):
        await house.check(notifier, 1_000)
    assert len(await house.zap_events(zap)) == 4, "the failures before that do not count any more"


async def test_a_changed_setting_counts_within_a_minute(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(flag_after_s=86_400))
    await house.fail(zap)
    await house.check(notifier, 100)
    await house.on_zap(zap, ZapPublished(number=2, name="Orders", definition=failing_definition(flag_after_s=60)))
    await house.fail(zap)
    await house.check(notifier, 65)
    assert isinstance((await house.zap_events(zap))[-1], ZapFlagged)


async def test_a_target_that_is_gone_flags_its_step_at_once_and_without_secrets(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url))
    await house.fail(zap, 3, code="http_410")
    await house.settle(notifier)
    (flagged,) = await house.zap_events(zap)
    assert isinstance(flagged, ZapFlagged)
    flag = flagged.flag
    assert (flag.kind, flag.step_id) == ("target_gone", "send")
    assert flag.detail == "https://api.example.com of step send wants no more requests: it answered 410"
    (message,) = house.told()
    assert [told["step_id"] for told in message["flags"]] == ["send"]
    assert "s3cret" not in str(message)

    await house.complete(zap)
    await house.fail(zap, code="http_410")
    await house.settle(notifier, 1_000)
    assert await house.zap_events(zap) == [flagged], "only its owner knows when the target is there again"

    await house.fail(zap, code="http_410")
    definition = a_definition("send")
    published = ZapPublished(number=2, name="Orders", definition=definition)
    await house.on_zap(zap, published, ZapUnflagged(kind="target_gone", step_id="send"))
    await house.settle(notifier, 1_000)
    assert len(await house.zap_events(zap)) == 3, "what failed before that does not count any more"
    await house.fail(zap, code="http_410")
    await house.settle(notifier, 1_000)
    assert isinstance((await house.zap_events(zap))[-1], ZapFlagged), "it still is gone"


async def test_a_target_that_is_gone_is_told_of_though_the_run_goes_on(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url))
    await house.fail(zap, 2, code="http_410", goes_on=True)
    await house.settle(notifier)
    (flagged,) = await house.zap_events(zap)
    assert isinstance(flagged, ZapFlagged)
    assert (flagged.flag.kind, flagged.flag.step_id) == ("target_gone", "send")
    published = ZapPublished(number=2, name="Orders", definition=a_definition("send"))
    await house.on_zap(zap, published, ZapUnflagged(kind="target_gone", step_id="send"))
    await house.settle(notifier, 1_000)
    assert len(await house.zap_events(zap)) == 3, "what came before that does not count any more"
    await house.fail(zap, code="http_410", goes_on=True)
    await house.settle(notifier, 1_000)
    assert isinstance((await house.zap_events(zap))[-1], ZapFlagged), "it still is gone"


async def test_a_paused_zap_is_not_flagged(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(flag_after_s=60))
    await house.fail(zap, code="http_410")
    await house.on_zap(zap, ZapPaused())
    await house.check(notifier, 1_000)
    assert await house.zap_events(zap) == [ZapPaused()]


async def test_read_models_that_lag_flag_nothing_twice(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(flag_after_s=60))
    await house.fail(zap)
    await house.check(notifier, 70)
    for _ in range(3):
        await house.notifier().check(house.connection, house.moment)
    assert len(await house.zap_events(zap)) == 1


async def test_a_run_that_fails_within_a_millisecond_of_its_zap_being_enabled_counts(house: FailingHouse) -> None:
    zap = await house.zap()
    await house.fail(zap)
    await house.project()
    run_id = await house.connection.fetchval("select run_id from rm.run_list where zap_id = $1", zap)
    asked_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=run_id.int >> 80)
    for us in (0, 499, 500, 999):
        assert await first_failed_at(house.connection, TENANT, zap, asked_at + timedelta(microseconds=us)), us
