"""Mails go only where their reader has said yes; asking is bounded, and no question holds what a tenant writes."""

import asyncio
import re
from datetime import timedelta
from uuid import UUID

from consumers.notifier.notifier import Notifier
from domain.zap.settings import OnFailure
from sql.process.clock import new_id
from sql.tables.mail_addresses import ASKS_A_DAY, MAX_ADDRESSES
from tests.support.builders import TENANT
from tests.support.failing import PUBLIC_URL, FailingHouse

GRACE = "grace@example.com"
DAY_S = 24 * 3_600


def token(text: str) -> str:
    found = re.search(rf"{re.escape(PUBLIC_URL)}/mails/(\S+)", text)
    assert found is not None, text
    return found[1]


async def state(house: FailingHouse, tenant: UUID = TENANT) -> tuple[bool, bool]:
    (found,) = await house.addresses.of(tenant, [GRACE])
    return found.confirmed, found.stopped


async def ask(house: FailingHouse, *tenants: UUID) -> None:
    for tenant in tenants:
        await house.addresses.want(tenant, [GRACE], house.moment)
        await house.addresses.ask_again(tenant, GRACE, house.moment)


async def test_an_address_gets_a_question_first_and_the_alerts_once_it_has_said_yes(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(email=(GRACE,)), name="Cheap pills http://spam.example", confirmed=False)
    await house.fail(zap, 3)
    await house.settle(notifier)
    await house.settle(notifier, 60)
    (question,) = house.mails.boxes[GRACE]
    assert question["subject"] == "Do you want these alerts?"
    assert "spam.example" not in question.as_string()
    health = await house.health(zap)
    assert health.alert is not None
    assert "has not confirmed it yet" in health.alert.results[f"email:{GRACE}"]

    assert await house.addresses.answer(token(question.get_content()), "confirmed", house.moment)
    await house.settle(notifier, 3_600)
    _question, alert = house.mails.boxes[GRACE]
    assert "3 runs" in alert["subject"], "what it has missed is told, too"
    stop_url = f"{PUBLIC_URL}/mails/{token(alert.get_content())}/stop"
    assert (alert["list-unsubscribe"].strip(), alert["list-unsubscribe-post"]) == (
        f"<{stop_url}>", "List-Unsubscribe=One-Click",
    )  # fmt: skip

    assert await house.addresses.answer(token(alert.get_content()), "stopped", house.moment)
    await house.fail(zap)
    await house.settle(notifier, 3_600)
    assert len(house.mails.boxes[GRACE]) == 2
    await ask(house, TENANT)
    await house.settle(notifier, 2 * DAY_S)
    assert len(house.mails.boxes[GRACE]) == 2, "a no is for good"
    assert await house.addresses.answer(token(question.get_content()), "confirmed", house.moment)
    assert await state(house) == (True, False), "but for its owner"


async def test_no_number_of_tenants_asks_an_address_more_than_so_often_a_day(
    house: FailingHouse, notifier: Notifier
) -> None:
    tenants = [new_id() for _ in range(3 * ASKS_A_DAY)]
    await ask(house, *tenants)
    for _ in range(3):
        await house.check(notifier, 3_600)
        await ask(house, *tenants)
    assert len(house.mails.boxes[GRACE]) == ASKS_A_DAY
    await house.check(notifier, DAY_S)
    assert len(house.mails.boxes[GRACE]) == 2 * ASKS_A_DAY
    assert [await state(house, tenant) for tenant in tenants] == [(False, False)] * len(tenants)


async def test_a_tenant_asks_no_more_than_its_mails_of_an_hour_and_names_so_many_addresses(house: FailingHouse) -> None:
    notifier = house.notifier(per_hour=2)
    await house.addresses.want(TENANT, [f"p{n}@example.com" for n in range(5)], house.moment)
    for _ in range(5):
        await house.check(notifier)
    assert len(house.mails.boxes) == 2
    for _ in range(5):
        await house.check(notifier, 3_600)
    assert len(house.mails.boxes) == 5
    await house.addresses.want(TENANT, [f"q{n}@example.com" for n in range(MAX_ADDRESSES)], house.moment)
    await house.addresses.want(TENANT, [GRACE], house.moment)
    assert GRACE not in {one.email for one in await house.addresses.all(TENANT)}


async def test_a_question_that_the_mail_server_refuses_is_asked_again(house: FailingHouse, notifier: Notifier) -> None:
    await ask(house, TENANT)
    house.mails.refusal = "451 4.3.0 the disk is full"
    await house.check(notifier)
    house.mails.refusal = ""
    await house.check(notifier, 60)
    assert house.mails.mails == []
    await house.check(notifier, 900)
    assert len(house.mails.boxes[GRACE]) == 1


async def test_without_a_mail_server_questions_wait(house: FailingHouse) -> None:
    await ask(house, TENANT)
    await house.check(house.notifier(host=""))
    assert len(await house.addresses.due(house.moment, 10)) == 1


async def test_one_address_is_one_however_it_is_spelt(house: FailingHouse, notifier: Notifier) -> None:
    for spelling in ("Grace@Example.com", "grace@example.com.", "GRACE@EXAMPLE.COM"):
        await house.addresses.want(TENANT, [spelling], house.moment)
        await house.check(notifier)
    assert {box: len(mails) for box, mails in house.mails.boxes.items()} == {GRACE: 1}
    await house.addresses.want(TENANT, ["grace@m\u00fcnchen.example"], house.moment)
    await house.addresses.want(TENANT, ["grace@xn--mnchen-3ya.example"], house.moment)
    for _ in range(2):
        await house.check(notifier, 3_600)
    assert len(house.mails.boxes["grace@xn--mnchen-3ya.example"]) == 1, "which takes no extension of SMTP"


async def test_two_answers_at_once_leave_one_of_them(house: FailingHouse) -> None:
    await ask(house, TENANT)
    await house.addresses.add_link("t", TENANT, GRACE, house.moment)
    both = (
        house.addresses.answer("t", "confirmed", house.moment),
        house.addresses.answer("t", "stopped", house.moment),
    )
    assert all(await asyncio.gather(*both))
    assert await state(house) in {(True, False), (False, True)}
    assert not await house.addresses.answer("x", "confirmed", house.moment + timedelta(days=1))
