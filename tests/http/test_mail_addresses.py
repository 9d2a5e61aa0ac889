"""Alerts by mail, as the account and the owner of the address see them: a GET changes nothing, a POST answers."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from sql.log.event_store import PgEventStore
from sql.process.clock import now
from sql.tables.mail_addresses import MailAddresses
from tests.support.api import Person, sign_up, zap_body
from tests.support.stores import patient_store

GRACE = "grace@example.com"


@pytest.fixture
async def ada(api: httpx.AsyncClient, store: PgEventStore) -> Person:
    """Somebody whose zap mails alerts to Grace, who has the link with `the-token`."""
    ada = await sign_up(api)
    body = zap_body() | {"settings": {"on_failure": {"email": [GRACE]}}}
    zap = (await ada("POST", "/zaps", json=body)).json()
    assert (await ada("GET", "/mail-addresses")).json()["items"] == [], "a draft asks nobody"
    await ada("POST", f"/zaps/{zap['id']}/publish")
    assert (await stands(ada))["email"] == GRACE
    await MailAddresses(store.pool).add_link("the-token", UUID(ada.id), GRACE, now())
    return ada


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as store:
        yield store


async def stands(person: Person) -> dict[str, Any]:
    (item,) = (await person("GET", "/mail-addresses")).json()["items"]
    assert isinstance(item, dict)
    return item


async def test_programs_that_follow_links_confirm_nothing_and_a_button_does(
    api: httpx.AsyncClient, ada: Person
) -> None:
    for path in ("", "/stop", "/confirm"):
        for method in ("GET", "HEAD"):
            page = await api.request(method, f"/mails/the-token{path}")
            assert page.status_code == 200
    assert (await stands(ada))["confirmed"] is False
    page = await api.get("/mails/the-token")
    assert GRACE in page.text
    assert ada.email in page.text
    assert "<script" not in page.text
    assert (page.headers["cache-control"], page.headers["x-robots-tag"]) == ("no-store", "noindex")
    assert page.headers["referrer-policy"] == "no-referrer"
    answer = await api.post("/mails/the-token/confirm", data={})
    assert answer.status_code == 200
    told = await stands(ada)
    assert (told["confirmed"], told["stopped"]) == (True, False)


@pytest.mark.parametrize(
    "body", [{"data": {"List-Unsubscribe": "One-Click"}}, {"files": {"List-Unsubscribe": "One-Click"}}]
)
async def test_one_click_ends_the_mails_and_the_account_cannot_begin_again(
    api: httpx.AsyncClient, ada: Person, body: dict[str, Any]
) -> None:
    assert (await api.post("/mails/the-token/stop", **body)).status_code == 200
    told = await stands(ada)
    assert (told["confirmed"], told["stopped"]) == (False, True)
    again = await ada("POST", "/mail-addresses", json={"email": "GRACE@example.com"})
    assert (again.status_code, again.json()["code"]) == (409, "wrong_status")


async def test_an_account_has_an_address_asked_again_and_sees_its_own_only(ada: Person, api: httpx.AsyncClient) -> None:
    answer = await ada("POST", "/mail-addresses", json={"email": GRACE})
    assert (answer.status_code, answer.json()["confirmed"]) == (200, False)
    listed = (await ada("GET", "/mail-addresses")).json()
    assert [item["email"] for item in listed["items"]] == [GRACE]
    bob = await sign_up(api)
    assert (await bob("GET", "/mail-addresses")).json()["items"] == []


@pytest.mark.parametrize("token", ["x", "the-token%00", "%ff", "a" * 5_000, "the-token "])
async def test_a_link_that_nobody_was_sent_is_a_page_that_says_so(
    api: httpx.AsyncClient, ada: Person, token: str
) -> None:
    for answer in (await api.get(f"/mails/{token}"), await api.post(f"/mails/{token}/confirm")):
        assert answer.status_code in {400, 404, 405}
    assert (await stands(ada))["confirmed"] is False
