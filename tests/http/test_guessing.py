"""Guessing passwords, flooding sign-ins, and what API keys may do."""

import asyncio
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.accounts.guesses import FREE_PAIR
from sql.postgres.pool import connect
from tests.support.api import PASSWORD, Person, running_api, sign_up


async def sign_in(api: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await api.post("/api/v1/auth/signin", json={"email": email, "password": password})


async def test_three_hundred_wrong_passwords_are_a_few_guesses(api: httpx.AsyncClient, dsn: str) -> None:
    ada, bob = await sign_up(api), await sign_up(api)
    answers = await asyncio.gather(*(sign_in(api, ada.email, f"wrong {n}") for n in range(300)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) <= FREE_PAIR + 5, "after the free ones, a guess after 1, 2, 4, 8 seconds"
    assert statuses.count(401) + statuses.count(429) == 300
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 900
    assert (await sign_in(api, ada.email)).status_code == 429, "the right password must not be told from a wrong one"
    assert (await sign_in(api, bob.email)).status_code == 200
    connection = await asyncpg.connect(dsn)
    await connection.execute("update iam.failed_guesses set closed_until = now()")
    assert (await sign_in(api, ada.email, "still wrong")).status_code == 401
    waits = await connection.fetchval("select max(closed_until - failed_at) > interval '1.5 s' from iam.failed_guesses")
    assert waits, "each further failure closes the account for twice as long"
    await connection.execute("update iam.failed_guesses set closed_until = now()")
    assert (await sign_in(api, ada.email)).status_code == 200
    assert (await sign_in(api, ada.email, "wrong")).status_code == 401
    assert (await sign_in(api, ada.email)).status_code == 200, "a right password starts the count anew"
    await connection.close()


async def test_failures_are_forgotten_after_an_hour(api: httpx.AsyncClient, dsn: str) -> None:
    ada = await sign_up(api)
    for n in range(FREE_PAIR + 2):
        await sign_in(api, ada.email, f"wrong {n}")
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "update iam.failed_guesses set failed_at = now() - interval '2 hours', closed_until = now()"
    )
    assert (await sign_in(api, ada.email, "wrong")).status_code == 401
    assert (await sign_in(api, ada.email)).status_code == 200
    await sign_in(api, "nobody@example.org")
    old = "select count(*) from iam.failed_guesses where failed_at < now() - interval '1 hour'"
    assert await connection.fetchval(old) == 0
    await connection.close()


async def test_a_flood_of_strangers_keeps_no_member_out(api: httpx.AsyncClient, dsn: str) -> None:
    ada = await sign_up(api)
    flood = [asyncio.create_task(sign_in(api, f"{uuid4().hex}@example.org", "some password")) for _ in range(100)]
    right = await asyncio.gather(*(sign_in(api, ada.email) for _ in range(20)))
    assert [answer.status_code for answer in right] == [200] * 20
    # Refused one by one, or as too many from one address, or as more than can be looked at.
    assert {answer.status_code for answer in await asyncio.gather(*flood)} <= {401, 429, 503}


@pytest.mark.parametrize("password", [" " * 8, "\t" * 10, "\u200b" * 12, "a\u3000" + " " * 20], ids=ascii)
async def test_a_password_that_can_not_be_seen_is_refused(api: httpx.AsyncClient, password: str) -> None:
    body = {"name": "Eve", "email": f"{uuid4().hex}@example.org", "password": password}
    answer = await api.post("/api/v1/auth/signup", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "password")


async def test_one_address_has_one_account_however_it_is_spelt(api: httpx.AsyncClient) -> None:
    unique = uuid4().hex
    ada = await sign_up(api, f"jos\u00e9.{unique}@example.org")
    for spelling in (f"jose\u0301.{unique}@example.org", f"\uff4aos\u00e9.{unique}@exam\u200bple.org"):
        body = {"name": "Eve", "email": spelling, "password": PASSWORD}
        assert (await api.post("/api/v1/auth/signup", json=body)).json()["code"] == "email_taken"
        assert (await sign_in(api, spelling)).json()["user"]["id"] == ada.id


async def test_one_domain_is_one_as_people_and_as_name_servers_write_it(api: httpx.AsyncClient) -> None:
    unique = uuid4().hex
    read, written = f"{unique}@m\u00fcnchen.example", f"{unique}@XN--MNCHEN-3YA.example"
    ada = await sign_up(api, written)
    assert ada.email == read
    body = {"name": "Eve", "email": read, "password": PASSWORD}
    assert (await api.post("/api/v1/auth/signup", json=body)).json()["code"] == "email_taken"
    for spelling in (read, written):
        assert (await sign_in(api, spelling)).json()["user"]["id"] == ada.id


@pytest.mark.parametrize("stored", ["m\u00fcnchen.example", "xn--mnchen-3ya.example"])
async def test_an_account_from_before_signs_in_by_either_spelling(
    api: httpx.AsyncClient, dsn: str, stored: str
) -> None:
    """Two accounts may have been made then: each finds its own by its spelling."""
    ada, bob = await sign_up(api, "ada@one.example"), await sign_up(api, "bob@two.example")
    connection = await connect(dsn, "test")
    put = "update iam.users set email = $1 where email = $2"
    await connection.execute(put, f"ada@{stored}", ada.email)
    for spelling in ("ada@m\u00fcnchen.example", "ada@xn--mnchen-3ya.example"):
        assert (await sign_in(api, spelling)).json()["user"]["id"] == ada.id
        body = {"name": "Eve", "email": spelling, "password": PASSWORD}
        assert (await api.post("/api/v1/auth/signup", json=body)).json()["code"] == "email_taken"
    (other,) = {"m\u00fcnchen.example", "xn--mnchen-3ya.example"} - {stored}
    await connection.execute(put, f"ada@{other}", bob.email)
    await connection.close()
    for domain, person in ((stored, ada), (other, bob)):
        assert (await sign_in(api, f"ada@{domain}")).json()["user"]["id"] == person.id


async def test_the_name_of_a_person_is_not_in_the_log(api: httpx.AsyncClient, dsn: str) -> None:
    await sign_up(api, name="Augusta Ada King")
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("select data || meta as text from es.readable_events")
    await connection.close()
    assert rows
    assert not [row for row in rows if "Augusta" in row["text"]]


async def with_key(ada: Person, body: dict[str, Any], method: str, path: str, json: Any = None) -> int:
    key = (await ada("POST", "/api-keys", json=body)).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    return (await ada.api.request(method, f"/api/v1{path}", json=json, headers=headers)).status_code


async def test_a_key_does_only_what_its_scopes_say(ada: Person) -> None:
    default, reading = {"name": "ci"}, {"name": "ci", "scopes": ["read"]}
    keeping = {"name": "ci", "scopes": ["read", "keys"]}
    zap = await ada.live_zap()
    assert await with_key(ada, default, "GET", f"/zaps/{zap['id']}") == 200
    assert await with_key(ada, default, "POST", f"/zaps/{zap['id']}/pause") == 200
    assert await with_key(ada, default, "POST", "/api-keys", {"name": "more"}) == 403
    assert await with_key(ada, default, "DELETE", f"/api-keys/{uuid4()}") == 403
    assert await with_key(ada, reading, "GET", f"/zaps/{zap['id']}") == 200
    assert await with_key(ada, reading, "POST", f"/zaps/{zap['id']}/enable") == 403
    assert await with_key(ada, keeping, "POST", "/api-keys", {"name": "more"}) == 403, "by default a key may write"
    assert await with_key(ada, keeping, "POST", "/api-keys", {"name": "more", "scopes": ["read"]}) == 201
    assert await with_key(ada, keeping, "POST", f"/zaps/{zap['id']}/enable") == 403
    listed = (await ada("GET", "/api-keys")).json()["items"]
    assert {tuple(key["scopes"]) for key in listed} == {("read", "write"), ("read",), ("read", "keys")}


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "admin"], "read", None])
async def test_unknown_scopes_are_refused(ada: Person, scopes: Any) -> None:
    assert (await ada("POST", "/api-keys", json={"name": "ci", "scopes": scopes})).status_code in {400, 422}


async def test_sign_ups_can_be_closed(dsn: str) -> None:
    body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    async with running_api(dsn, signup="off") as api:
        refused = await api.post("/api/v1/auth/signup", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "sign_up_closed")
    async with running_api(dsn, signup="first") as api:
        assert (await api.post("/api/v1/auth/signup", json=body)).status_code == 201
        second = await api.post("/api/v1/auth/signup", json={**body, "email": "bob@example.org"})
        assert second.json()["code"] == "sign_up_closed"
    async with running_api(dsn, signup="off") as api:
        assert (await sign_in(api, "ada@example.org")).status_code == 200


@pytest.mark.parametrize("trusted", [True, False])
async def test_guesses_count_by_the_client_that_a_trusted_proxy_names_and_by_nobody_elses_word(
    dsn: str, trusted: bool
) -> None:
    """The test's own address is 127.0.0.1."""
    proxies = (ip_network("127.0.0.0/8" if trusted else "10.0.0.0/8"),)
    async with running_api(dsn, trusted_proxies=proxies) as api:
        ada = await sign_up(api)

        async def guess(password: str, client: str) -> int:
            body = {"email": ada.email, "password": password}
            headers = {"x-forwarded-for": f"6.6.6.6, {client}"}
            return (await api.post("/api/v1/auth/signin", json=body, headers=headers)).status_code

        for n in range(FREE_PAIR + 1):
            await guess(f"wrong {n}", "203.0.113.1")
        assert await guess(PASSWORD, "203.0.113.1") == 429
        assert await guess(PASSWORD, "203.0.113.2") == (200 if trusted else 429)


async def test_an_allow_list_of_a_hook_sees_the_client_behind_a_trusted_proxy(dsn: str) -> None:
    trigger = {"verification": {"preset": "ip_allow", "cidrs": ["203.0.113.0/24"]}}
    async with running_api(dsn, trusted_proxies=(ip_network("127.0.0.0/8"),)) as api:
        zap = await (await sign_up(api)).live_zap(trigger=trigger)
        for said, status in (("203.0.113.7", 200), ("203.0.113.7, 6.6.6.6", 401), ("6.6.6.6", 401), ("", 401)):
            answer = await api.post(zap["hook_url"], json={}, headers={"x-forwarded-for": said})
            assert answer.status_code == status, said


async def test_a_key_makes_no_key_that_can_more_than_itself(ada: Person) -> None:
    made = await ada("POST", "/api-keys", json={"name": "k", "scopes": ["keys", "read"]})
    headers = {"authorization": f"Bearer {made.json()['key']}"}
    for scopes, status in ((["keys"], 201), (["read", "keys"], 201), (["write"], 403), (["read", "write"], 403)):
        answer = await ada("POST", "/api-keys", json={"name": "child", "scopes": scopes}, headers=headers)
        assert answer.status_code == status, answer.text
    assert "it has the scopes keys, read" in answer.json()["detail"]
