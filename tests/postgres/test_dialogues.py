"""What is said to servers that speak no HTTP: mail, mailboxes and databases, each a real one on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from consumers.connectors import email, postgres
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.addresses import parse_networks
from domain.connection.kinds import Account, setup_of
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import Unreachable
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.connector.poll import Found, Place, PollContext, PollFailed
from domain.dialogue.questions import SqlQuery
from domain.values.json import JsonObject
from sql.process.clock import now
from tests.support.mail_server import PASSWORD as MAIL_PASSWORD
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.mailbox_server import PASSWORD, MailboxServer, mailbox_server

TENANT = UUID(int=1)


@pytest.fixture(scope="module")
async def dialogues() -> AsyncIterator[Dialogues]:
    async with aclosing(Dialogues(parse_networks("127.0.0.0/8"), processes=2)) as dialogues:
        yield dialogues


@pytest.fixture
async def shop(postgres_server: str) -> AsyncIterator[str]:
    """A database that is not ours."""
    name = f"shop_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_server.format("postgres"))
    await admin.execute(f"create database {name}")
    try:
        yield postgres_server.format(name)
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


@pytest.fixture
async def mails() -> AsyncIterator[MailServer]:
    async with running_mail_server(login=True) as mails:
        yield mails


@pytest.fixture
async def mailbox() -> AsyncIterator[MailboxServer]:
    async with mailbox_server() as mailbox:
        yield mailbox


def account(kind: str, password: str, **config: Any) -> Account:
    setup = setup_of(kind, config, {"password": password})
    assert isinstance(setup, Account)
    return setup


def acting(dialogues: Dialogues, known: Account) -> ActionContext:
    async def given() -> Account:
        return known

    return ActionContext(None, "run.step", UUID(int=1), now, account=given, dialogue=dialogues.of(TENANT))  # type: ignore[arg-type]  # it sends no HTTP


def database(dsn: str, **config: Any) -> Account:
    url = urlsplit(dsn)
    place = {"host": url.hostname, "port": url.port, "database": url.path[1:], "username": url.username, "tls": False}
    return account("postgres", url.password or "none", **place | config)


async def queried(dialogues: Dialogues, known: Account, sql: str, *parameters: Any, **config: Any) -> Outcome:
    rendered: JsonObject = {"sql": sql, "parameters": [*parameters], **config}
    assert postgres.check(rendered) == {}
    try:
        return await postgres.run(rendered, acting(dialogues, known))
    except Unreachable as error:
        return Failed(code=error.code, message=error.message)


async def rows(dialogues: Dialogues, known: Account, sql: str, *parameters: Any, **config: Any) -> Any:
    outcome = await queried(dialogues, known, sql, *parameters, **config)
    assert isinstance(outcome, Succeeded), outcome
    return outcome.output


async def test_rows_are_json_and_parameters_fit_their_types(dialogues: Dialogues, shop: str) -> None:
    known = database(shop)
    sql = """select $1::int8 as big, $2::numeric as price, $3::timestamptz as at, $4::jsonb as data, $5::text[] as tags,
             $6::uuid as id, $7::bytea as raw, $8::bool as yes, $9::date as day, null as nothing, 'NaN'::float8 as nan,
             $10::text as text"""
    given = [2**60, 12.50, "2027-01-01T09:00:00+02:00", {"a": [1]}, ["x", "y"], str(TENANT), "AP8=", True,
             "2027-02-03", {"as": "json"}]  # fmt: skip
    found = await rows(dialogues, known, sql, *given)
    (row,) = found["rows"]
    assert row.pop("at").endswith("+00:00")
    assert row == {
        "big": str(2**60), "price": "12.5", "data": {"a": [1]}, "tags": ["x", "y"], "id": str(TENANT), "raw": "AP8=",
        "yes": True, "day": "2027-02-03", "nothing": None, "nan": "nan", "text": '{"as":"json"}',
    }  # fmt: skip
    hostile = "'; drop table t; --"
    assert (await rows(dialogues, known, "select $1 as v", hostile))["rows"] == [{"v": hostile}]
    for wrong in (["x"], [1.5], [True, 1], []):
        assert (await queried(dialogues, known, "select $1::int4", *wrong)).code == "bad_parameters"  # type: ignore[union-attr]


async def test_json_that_no_run_could_hold_stays_text(dialogues: Dialogues, shop: str) -> None:
    deep = "[" * 500 + "]" * 500
    sql = "select $1::text::jsonb as deep, '\"\\ud800\"'::json as half"
    assert (await rows(dialogues, database(shop), sql, deep))["rows"] == [{"deep": deep, "half": "\ufffd"}]


async def test_what_may_not_write_does_not_and_what_may_does(dialogues: Dialogues, shop: str) -> None:
    writes, reads = database(shop, read_only=False), database(shop)
    assert (await rows(dialogues, writes, "create table t (a int)"))["affected"] == 0
    assert (await rows(dialogues, writes, "insert into t select generate_series(1, $1)", 3))["affected"] == 3
    assert (await rows(dialogues, writes, "update t set a = a returning a"))["count"] == 3
    for sql in (
        "insert into t values (1)", "set transaction read write", "drop table t", "commit",
        "do $$ begin set transaction read write; insert into t values (9); end $$",
        "do $$ begin perform set_config('transaction_read_only', 'off', false); insert into t values (9); end $$",
        "do $$ begin commit; set transaction read write; insert into t values (9); end $$",
        "do $$ begin set default_transaction_read_only = off; commit; insert into t values (9); end $$",
        "with x as (insert into t values (9) returning a) select * from x", "insert into t values (9); select 1",
    ):  # fmt: skip
        await queried(dialogues, reads, sql)
    assert (await rows(dialogues, reads, "select count(*)::int4 as n, max(a) as top from t"))["rows"] == [
        {"n": 3, "top": 3}
    ]


async def test_our_own_database_is_never_queried(dialogues: Dialogues, dsn: str) -> None:
    for known in (database(dsn), database(dsn, read_only=False), database(dsn, host="localhost")):
        outcome = await queried(dialogues, known, "select * from es.events")
        assert isinstance(outcome, Failed)
        assert outcome.code == ("own_database" if known.config.host != "localhost" else outcome.code)


async def test_rows_time_and_mistakes_have_bounds(dialogues: Dialogues, shop: str) -> None:
    known = database(shop)
    found = await rows(dialogues, known, "select generate_series(1, 1000000000) as n", max_rows=3)
    assert (found["rows"], found["truncated"]) == ([{"n": 1}, {"n": 2}, {"n": 3}], True)
    found = await rows(dialogues, known, "select repeat('x', 1000000) as n from generate_series(1, 100)")
    assert (found["count"], found["truncated"]) == (4, True)
    assert (await queried(dialogues, known, "select pg_sleep(20)", timeout_s=0.5)).code == "timeout"  # type: ignore[union-attr]
    outcome = await queried(dialogues, known, "selct 1")
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("the database answered 42601: syntax error")
    assert postgres.check({"sql": "select '{{ trigger.body.x }}'"})["sql"].startswith("data never stand")


async def test_a_mail_is_sent_and_a_refusal_is_told(dialogues: Dialogues, mails: MailServer) -> None:
    known = account("smtp", MAIL_PASSWORD, host="127.0.0.1", port=mails.port, username="hub", tls="off")
    config: JsonObject = {
        "to": "Ada <ada@example.com>", "bcc": ["eve@example.com"], "from": "hub@example.com", "subject": "Grüße",
        "text": "Hallo", "cc": None,
    }  # fmt: skip
    outcome = await email.send(config, acting(dialogues, known))
    assert isinstance(outcome, Succeeded), outcome
    (mail,) = mails.boxes["ada@example.com"]
    assert (mail["Subject"], mail["Bcc"], mail.get_content().strip()) == ("Grüße", None, "Hallo")
    assert outcome.output == {
        "message_id": mail["Message-ID"], "accepted": ["ada@example.com", "eve@example.com"], "refused": {},
        "answer": "taken",
    }  # fmt: skip
    for refusal, permanent in (("550 not here", True), ("451 later", False)):
        mails.refusal = refusal
        with pytest.raises(Unreachable, match=refusal) as raised:
            await email.send(config, acting(dialogues, known))
        assert (raised.value.code, raised.value.permanent) == ("mail_refused", permanent)
    stranger = account("smtp", "wrong", host="127.0.0.1", port=mails.port, username="hub", tls="off")
    with pytest.raises(Unreachable) as raised:
        await email.send(config, acting(dialogues, stranger))
    assert (raised.value.code, raised.value.permanent) == ("login_refused", True)


async def test_new_mails_are_found_once_and_older_ones_where_wished(
    dialogues: Dialogues, mailbox: MailboxServer
) -> None:
    mailbox.mails = {number: b"Subject: old %d\r\n\r\nx" % number for number in (1, 3)}
    first = await looked(dialogues, mailbox, Place())
    assert (first.items, first.place.cursor) == ((), "17:3")
    assert (await looked(dialogues, mailbox, first.place)).items == ()
    mailbox.mails |= {number: b"Subject: new %d\r\n\r\nx" % number for number in (4, 6, 7)}
    second = await looked(dialogues, mailbox, first.place, max_items=2)
    assert [(item.key, item.body["subject"]) for item in second.items] == [  # type: ignore[index, call-overload]
        ("imap/17/4", "new 4"), ("imap/17/6", "new 6"),
    ]  # fmt: skip
    assert second.more
    third = await looked(dialogues, mailbox, second.place)
    assert ([item.key for item in third.items], third.more) == (["imap/17/7"], False)
    everything = await looked(dialogues, mailbox, Place(), start_from="all")
    assert len(everything.items) == 5
    mailbox.validity = 18
    anew = await looked(dialogues, mailbox, third.place)
    assert (anew.items, anew.place.cursor, len(anew.skipped)) == ((), "18:7", 1)
    assert not [said for said in mailbox.seen if said.startswith(("STORE", "SELECT")) or "BODY[]" in said]


async def test_a_name_in_latin_1_holds_no_mail_behind_it_up(dialogues: Dialogues, mailbox: MailboxServer) -> None:
    mailbox.mails = {1: "From: Jérôme <j@example.com>\r\n\r\nx".encode("latin-1"), 2: b"Subject: two\r\n\r\nx"}
    found = await looked(dialogues, mailbox, Place(), start_from="all")
    assert [item.key for item in found.items] == ["imap/17/1", "imap/17/2"]


async def looked(dialogues: Dialogues, mailbox: MailboxServer, place: Place, **config: Any) -> Found:
    password, host = config.pop("password", PASSWORD), config.pop("host", "127.0.0.1")
    known = account("imap", password, host=host, port=mailbox.port or 9, username="ada", tls="off")

    async def given() -> Account:
        return known

    context = PollContext(
        http=None, dialogue=dialogues.of(TENANT), place=place, moment=now(), clock=now, beginning=not place.cursor,  # type: ignore[arg-type]  # it sends no HTTP
        is_known=lambda _item: False, account=given,
    )  # fmt: skip
    return await email.look(config, context)


async def test_a_mailbox_that_does_not_work_is_told(dialogues: Dialogues, mailbox: MailboxServer) -> None:
    for config, code in (({"password": "wrong"}, "login_refused"), ({"folder": "Nowhere"}, "no_folder")):
        with pytest.raises(PollFailed) as raised:
            await looked(dialogues, mailbox, Place(), **config)
        assert raised.value.code == code
        assert "wrong" not in raised.value.message

    async def strange(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 what\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(strange, "127.0.0.1", 0)
    async with server:
        mailbox.port = server.sockets[0].getsockname()[1]
        with pytest.raises(PollFailed) as raised:
            await looked(dialogues, mailbox, Place())
        assert raised.value.code in {"not_understood", "connect"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "127.1", "0x7f000001"])
async def test_no_dialogue_reaches_an_internal_address(host: str) -> None:
    async with aclosing(Dialogues((), processes=1)) as guarded:
        codes = []
        for known in (
            account("postgres", "p", host=host, database="d", username="u", tls=False),
            account("smtp", "p", host=host, username="hub@example.com", tls="off"),
            account("smtp", "p", host=host, username="hub@example.com", tls="tls"),
        ):
            try:
                if known.config.__class__.__name__ == "PostgresConfig":
                    await queried_raw(guarded, known)
                else:
                    await email.send({"to": "ada@example.com"}, acting(guarded, known))
            except Unreachable as error:
                codes.append(error.code)
        with pytest.raises(PollFailed) as raised:
            await looked(guarded, MailboxServer(), Place(), host=host)
        wanted = {"address_refused"} if ip_address_of(host) else {"address_refused", "connect"}  # no name server has it
        assert len(codes) == 3
        assert {*codes, raised.value.code} <= wanted


def ip_address_of(host: str) -> bool:
    return host.strip("[]").replace(".", "").isdigit() and host.count(".") == 3


async def queried_raw(guarded: Dialogues, known: Account) -> None:
    config = known.config
    await guarded.of(TENANT).query(
        SqlQuery(host=config.host, port=5432, username="u", password="p", database="d", tls="off", read_only=True,
                 sql="select 1", parameters=[], max_rows=1, timeout_s=30)
    )  # fmt: skip
