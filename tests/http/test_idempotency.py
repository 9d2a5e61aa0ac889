"""Idempotency-Key: a repeated POST has one effect and one answer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from app.http.idempotency import ids_from
from sql.process.clock import new_id, now
from tests.support.api import Person, running_api, sign_up, zap_body


def keyed(key: str) -> dict[str, str]:
    return {"idempotency-key": key}


def same(one: httpx.Response, other: httpx.Response) -> bool:
    return (one.status_code, sorted(one.headers.items()), one.content) == (
        other.status_code, sorted(other.headers.items()), other.content,
    )  # fmt: skip


async def zaps_of(dsn: str, person: Person) -> int:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        count: int = await pool.fetchval(
            "select count(*) from es.events where type = 'zap.created' and tenant_id = $1", UUID(person.id)
        )
        return count


async def test_a_zap_is_created_once(dsn: str, ada: Person) -> None:
    first, *repeats = [await ada("POST", "/zaps", json=zap_body(), headers=keyed("a")) for _ in range(3)]
    assert first.status_code == 201
    assert {"location", "etag"} <= set(first.headers)
    assert all(same(first, repeat) for repeat in repeats)
    assert await zaps_of(dsn, ada) == 1


async def test_every_command_has_one_effect(ada: Person) -> None:
    zap = await ada.create_zap()
    for command in ("publish", "pause", "enable"):
        first = await ada("POST", f"/zaps/{zap['id']}/{command}", headers=keyed(command))
        assert first.status_code == 200
        assert same(first, await ada("POST", f"/zaps/{zap['id']}/{command}", headers=keyed(command)))
    accepted = (await ada.api.post((await ada("GET", f"/zaps/{zap['id']}")).json()["hook_url"], json={})).json()
    cancelled = await ada("POST", f"/runs/{accepted['run_id']}/cancel", headers=keyed("c"))
    assert same(cancelled, await ada("POST", f"/runs/{accepted['run_id']}/cancel", headers=keyed("c")))
    replayed = [await ada("POST", f"/runs/{accepted['run_id']}/replay", headers=keyed("r")) for _ in range(2)]
    assert replayed[0].status_code == 201
    assert same(*replayed)


async def test_an_api_key_is_shown_again_and_kept_nowhere_in_clear(dsn: str, ada: Person) -> None:
    first, repeat = [await ada("POST", "/api-keys", json={"name": "ci"}, headers=keyed("k")) for _ in range(2)]
    assert same(first, repeat)
    secret = first.json()["key"].encode()
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        kept = await pool.fetch("select answer from iam.answers")
    assert len(kept) == 1
    assert secret not in kept[0]["answer"]


@pytest.mark.parametrize(
    ("path", "body"), [("/zaps", zap_body("another")), ("/zaps?", {}), ("/api-keys", {"name": "x"})]
)
async def test_the_key_of_another_request_is_refused(ada: Person, path: str, body: dict[str, Any]) -> None:
    assert (await ada("POST", "/zaps", json=zap_body(), headers=keyed("b"))).status_code == 201
    answer = await ada("POST", path, json=body, headers=keyed("b"))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_keys_are_each_callers_own(dsn: str, ada: Person, bob: Person) -> None:
    made = (await ada("POST", "/api-keys", json={"name": "ci", "scopes": ["read", "write"]})).json()
    machine = {"authorization": f"Bearer {made['key']}"}
    answers = [
        await ada("POST", "/zaps", json=zap_body(), headers=keyed("same")),
        await bob("POST", "/zaps", json=zap_body(), headers=keyed("same")),
        await ada("POST", "/zaps", json=zap_body(), headers=keyed("same") | machine),
    ]
    assert len({answer.json()["id"] for answer in answers}) == 3


async def test_a_refusal_leaves_the_key_free(ada: Person) -> None:
    refused = await ada("POST", "/zaps", json={}, headers=keyed("f"))
    assert refused.status_code == 400
    assert (await ada("POST", "/zaps", json=zap_body(), headers=keyed("f"))).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "\t"])
async def test_a_key_that_is_none_is_refused(ada: Person, key: str) -> None:
    headers = {"idempotency-key": key.encode("latin-1").decode("latin-1")}
    answer = await ada.api.post(
        "/api/v1/zaps", json=zap_body(),
        headers=[(b"authorization", f"Bearer {ada.access_token}".encode()),
                 *((name.encode(), value.encode("latin-1")) for name, value in headers.items())],
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_racing_repeats_are_one_effect(dsn: str, ada: Person) -> None:
    answers = await asyncio.gather(*(ada("POST", "/zaps", json=zap_body(), headers=keyed("race")) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("request_in_progress", "1")
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await zaps_of(dsn, ada) == 1


async def test_without_credentials_there_is_no_repeat(ada: Person) -> None:
    await ada("POST", "/zaps", json=zap_body(), headers=keyed("c"))
    answer = await ada.api.post("/api/v1/zaps", json=zap_body(), headers=keyed("c"))
    assert answer.status_code == 401


class Later:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead


@pytest.fixture
def clock() -> Later:
    return Later()


@pytest.fixture
async def grace(dsn: str, clock: Later) -> AsyncIterator[Person]:
    """Somebody whose API has that clock."""
    async with running_api(dsn, now=clock) as api:
        yield await sign_up(api)


async def test_after_a_day_the_key_is_new_and_the_answer_gone(dsn: str, clock: Later, grace: Person) -> None:
    key = (await grace("POST", "/api-keys", json={"name": "ci", "scopes": ["read", "write"]})).json()["key"]
    bearer = {"authorization": f"Bearer {key}"}
    first = await grace("POST", "/zaps", json=zap_body(), headers=keyed("d") | bearer)
    clock.ahead = timedelta(hours=23, minutes=59)
    assert same(first, await grace("POST", "/zaps", json=zap_body(), headers=keyed("d") | bearer))
    clock.ahead = timedelta(hours=24, minutes=1)
    again = await grace("POST", "/zaps", json=zap_body("new"), headers=keyed("e") | bearer)
    assert again.status_code == 201
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        assert await pool.fetchval("select count(*) from iam.answers") == 1
    assert not same(first, await grace("POST", "/zaps", json=zap_body(), headers=keyed("d") | bearer))


async def test_a_request_that_was_cut_short_is_finished_by_its_repeat(dsn: str, clock: Later, grace: Person) -> None:
    """The process died between the commit and the answer: the repeat finds the zap that there is."""
    key = (await grace("POST", "/api-keys", json={"name": "ci", "scopes": ["read", "write"]})).json()["key"]
    bearer = {"authorization": f"Bearer {key}"}
    first = await grace("POST", "/zaps", json=zap_body(), headers=keyed("cut") | bearer)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        await pool.execute("update iam.answers set answer = null")
        waits = await grace("POST", "/zaps", json=zap_body(), headers=keyed("cut") | bearer)
        assert (waits.status_code, waits.json()["code"]) == (409, "request_in_progress")
        clock.ahead = timedelta(minutes=2)
        repeat = await grace("POST", "/zaps", json=zap_body(), headers=keyed("cut") | bearer)
    assert (repeat.status_code, repeat.json()["id"]) == (201, first.json()["id"])
    assert await zaps_of(dsn, grace) == 1


async def test_sign_in_takes_no_part(ada: Person) -> None:
    body = {"email": ada.email, "password": "correct horse battery staple"}
    answers = [await ada.api.post("/api/v1/auth/signin", json=body, headers=keyed("s")) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json()["access_token"] != answers[1].json()["access_token"]


def test_ids_from_a_seed_are_version_7_of_its_time_and_always_the_same() -> None:
    seed = new_id()
    first, again = ([next(ids) for ids in [ids_from(seed)] for _ in range(5_000)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 5_000
    assert {(one.version, one.variant, one.int >> 80) for one in first} == {(7, uuid4().variant, seed.int >> 80)}
    assert first[:4_096] == sorted(first[:4_096])
