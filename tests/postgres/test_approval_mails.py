"""Mails that ask for approvals: one for each who is asked, again where it was not taken, never after an answer."""

from datetime import timedelta
from email.message import EmailMessage

from app.commands.approvals import Approvals, Reply
from consumers.notifier.notifier import Notifier
from domain.log.event import Via
from domain.run.events import RunCancelled
from domain.run.state import LoadedRun
from domain.run.waits import Asked
from sql.process.clock import new_id, now
from sql.tables.identity import Identity
from tests.support.builders import TENANT
from tests.support.failing import FailingHouse
from tests.support.waiting import asking, happens, link, now_of

ADA, BOB = "ada@example.com", "bob@example.com"
HOUR_S = 3_600.0


async def asks(house: FailingHouse, *to: Asked, required: int = 1) -> LoadedRun:
    return await asking(house.store, TENANT, *(to or (Asked(email=ADA),)), required=required, within_s=48 * HOUR_S)


async def answered(house: FailingHouse, run: LoadedRun, recipient: int = 0) -> None:
    approvals = Approvals(house.store, Identity(house.store.pool), now, new_id)
    opened = await approvals.open(link(run, recipient).rpartition("/")[2])
    await approvals.answer_link(opened, Reply(decision="approve"), Via(ip="192.0.2.1", user_agent="a browser"))


async def mails(house: FailingHouse, run: LoadedRun) -> dict[str, str]:
    """What became of each mail, as the run has it."""
    mailed = (await now_of(house.store, run.id)).state.approvals["ok"].mailed
    return dict(mailed.results) if mailed else {}


def text_of(mail: EmailMessage) -> str:
    content: str = mail.get_content()
    return content


async def test_each_gets_a_link_of_their_own_once(house: FailingHouse, notifier: Notifier) -> None:
    await house.confirm(ADA, BOB)
    run = await asks(house, Asked(email=ADA), Asked(email=BOB), Asked(role="editor"))
    for _ in range(4):
        await house.check(notifier, 60)
    for number, address in enumerate((ADA, BOB)):
        (mail,) = house.mails.boxes[address]
        assert mail["subject"] == "Refund <b>5</b>?"
        assert link(run, number) in text_of(mail)
        assert "for order 7" in text_of(mail)
    assert await mails(house, run) == {ADA: "", BOB: ""}
    stored = await house.store.read_stream(run.aggregate.kind, run.id)
    token = link(run).rpartition("/")[2].encode()
    assert not any(token in event.data for event in stored)


async def test_a_mail_that_was_not_taken_is_sent_again_with_the_same_id_and_link(
    house: FailingHouse, notifier: Notifier
) -> None:
    await house.confirm(ADA)
    house.mails.refusal = "451 come again"
    run = await asks(house)
    await house.check(notifier)
    await house.check(notifier)
    assert "come again" in (await mails(house, run))[ADA]
    house.mails.refusal = ""
    for _ in range(3):
        await house.check(notifier, 120)
    (mail,) = house.mails.boxes[ADA]
    assert link(run) in text_of(mail)
    assert await mails(house, run) == {ADA: ""}


async def test_a_repeat_after_a_crash_has_the_same_id_and_link(house: FailingHouse, notifier: Notifier) -> None:
    """The mail went out, and the record of it was lost: another scheduler sends it again."""
    await house.confirm(ADA)
    run = await asks(house)
    await house.check(notifier)
    await house.check(notifier)
    before = await now_of(house.store, run.id)
    mailed = before.state.approvals["ok"].mailed
    assert mailed is not None
    sent, again = notifier._approvals, house.notifier()._approvals
    approval = run.state.approvals["ok"]
    assert await again._mail(run, approval, 0, house.moment) == await sent._mail(run, approval, 0, house.moment) == ""
    ids = {mail["message-id"] for mail in house.mails.boxes[ADA]}
    assert (len(ids), len(house.mails.boxes[ADA])) == (1, 3)


async def test_who_has_answered_gets_no_mail_any_more(house: FailingHouse, notifier: Notifier) -> None:
    await house.confirm(ADA, BOB)
    house.mails.refusal = "451 come again"
    run = await asks(house, Asked(email=ADA), Asked(email=BOB), required=2)
    await house.check(notifier)
    await house.check(notifier)
    await answered(house, run)
    house.mails.refusal = ""
    for _ in range(3):
        await house.check(notifier, 600)
    assert list(house.mails.boxes) == [BOB]


async def test_after_the_answer_or_the_end_nothing_is_sent(house: FailingHouse, notifier: Notifier) -> None:
    await house.confirm(ADA)
    settled, ended = await asks(house), await asks(house)
    await answered(house, settled)
    await happens(house.store, ended, RunCancelled())
    for _ in range(3):
        await house.check(notifier, 600)
    assert not house.mails.boxes


async def test_the_deadline_stays_where_it_was(house: FailingHouse, notifier: Notifier) -> None:
    await house.confirm(ADA)
    run = await asks(house)
    until = run.state.approvals["ok"].asked.until
    await house.check(notifier)
    await house.check(notifier)
    (timer,) = await house.store.pool.fetch("select timer_id, due_at from es.timers where stream_id = $1", run.id)
    assert timer[1] == until
    assert timer[0] == (await now_of(house.store, run.id)).timer_id


async def test_an_address_that_has_not_said_yes_is_asked_that_first(house: FailingHouse, notifier: Notifier) -> None:
    run = await asks(house)
    await house.check(notifier)
    await house.check(notifier)
    assert "has not confirmed it yet" in (await mails(house, run))[ADA]
    await house.confirm(ADA)
    for _ in range(3):
        await house.check(notifier, 600)
    assert any(link(run) in text_of(mail) for mail in house.mails.boxes[ADA])


async def test_without_a_mail_server_it_says_so_and_does_not_try_again(house: FailingHouse) -> None:
    notifier = house.notifier(host="")
    run = await asks(house)
    for _ in range(4):
        await house.check(notifier, 600)
    assert "no mail server" in (await mails(house, run))[ADA]
    mailed = (await now_of(house.store, run.id)).state.approvals["ok"].mailed
    assert mailed is not None
    assert (mailed.attempt, mailed.retry_at) == (1, None)


async def test_past_its_deadline_nobody_is_asked(house: FailingHouse, notifier: Notifier) -> None:
    await house.confirm(ADA)
    run = await asks(house)
    house.elapsed_s += timedelta(hours=49).total_seconds()
    await house.check(notifier)
    await house.check(notifier)
    assert not house.mails.boxes
    await happens(house.store, run, RunCancelled())
