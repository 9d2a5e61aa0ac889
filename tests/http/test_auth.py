"""Sign-up, sign-in, tokens, sessions and API keys, as clients meet them."""

import asyncio
import base64
import json
import re
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
import pytest

from app.accounts.tokens import AUDIENCE, ISSUER
from app.http.services import Services
from sql.process.clock import now
from tests.support.api import PASSWORD, SECRET, Person, running_api, sign_up


async def test_a_new_account_gets_tokens_that_work(api: httpx.AsyncClient) -> None:
    email = f"Ada.{uuid4().hex}@Example.org"
    answer = await api.post("/api/v1/auth/signup", json={"name": "Ada", "email": email, "password": PASSWORD})
    assert answer.status_code == 201
    signed_in = answer.json()
    assert signed_in["user"] == {"id": signed_in["user"]["id"], "name": "Ada", "email": email.lower()}
    assert signed_in["expires_in"] == 900
    assert answer.headers["cache-control"] == "no-store"
    assert (await Person(api, signed_in)("GET", "/me")).json() == signed_in["user"]


async def test_an_address_has_one_account_in_any_case(api: httpx.AsyncClient, ada: Person) -> None:
    body = {"name": "Eve", "email": ada.email.upper(), "password": PASSWORD}
    answer = await api.post("/api/v1/auth/signup", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


async def test_racing_sign_ups_make_one_account(api: httpx.AsyncClient) -> None:
    body = {"name": "Eve", "email": f"{uuid4().hex}@example.org", "password": PASSWORD}
    answers = await asyncio.gather(*(api.post("/api/v1/auth/signup", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    "change",
    [
        {"password": "short12"},
        {"password": "x" * 257},
        {"email": "no-at-sign"},
        {"email": "a b@example.org"},
        {"email": "x@" + "y" * 300},
        {"email": "nul\x00@example.org"},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "nul\x00"},
        {"name": "   "},
        {"name": None},
        {"admin": True},
        {"id": "01890000-0000-7000-8000-000000000000"},
    ],
)
async def test_a_sign_up_that_breaks_a_rule_is_refused(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    body = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD} | change
    answer = await api.post("/api/v1/auth/signup", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_signing_in_tells_nothing_about_which_addresses_exist(api: httpx.AsyncClient, ada: Person) -> None:
    wrong = [
        await api.post("/api/v1/auth/signin", json={"email": email, "password": "not the password"})
        for email in (ada.email, "nobody@example.org")
    ]
    assert wrong[0].status_code == wrong[1].status_code == 401
    assert wrong[0].json() == wrong[1].json()
    right = await api.post("/api/v1/auth/signin", json={"email": ada.email.upper(), "password": PASSWORD})
    assert right.status_code == 200
    assert right.json()["user"]["id"] == ada.id


async def test_facts_go_to_the_log_without_secrets(api: httpx.AsyncClient, ada: Person, dsn: str) -> None:
    key = (await ada("POST", "/api-keys", json={"name": "ci"})).json()
    await ada("DELETE", f"/api-keys/{key['id']}")
    await api.post("/api/v1/auth/signin", json={"email": ada.email, "password": PASSWORD})
    await ada("POST", "/auth/signout")
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("select type, data, meta from es.readable_events order by position")
    await connection.close()
    assert [row["type"] for row in rows] == [
        "user.signed_up", "user.api_key_created", "user.api_key_deleted", "user.signed_in", "user.signed_out",
    ]  # fmt: skip
    text = " ".join(row["data"] + row["meta"] for row in rows)
    for secret in (PASSWORD, key["key"], ada.access_token, ada.refresh_token, ada.email):
        assert secret not in text


async def refresh(api: httpx.AsyncClient, token: str) -> httpx.Response:
    return await api.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_a_refresh_token_is_traded_for_new_tokens(api: httpx.AsyncClient, ada: Person) -> None:
    answer = await refresh(api, ada.refresh_token)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != ada.refresh_token
    ada.access_token = answer.json()["access_token"]
    assert (await ada("GET", "/me")).status_code == 200


async def test_a_lost_reply_to_a_refresh_can_be_asked_for_again(api: httpx.AsyncClient, ada: Person) -> None:
    answers = await asyncio.gather(*(refresh(api, ada.refresh_token) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert (await refresh(api, answers[0].json()["refresh_token"])).status_code == 200


async def test_an_old_refresh_token_ends_the_session(api: httpx.AsyncClient, ada: Person) -> None:
    second = (await refresh(api, ada.refresh_token)).json()["refresh_token"]
    third = (await refresh(api, second)).json()["refresh_token"]
    assert (await refresh(api, ada.refresh_token)).status_code == 401
    assert (await refresh(api, third)).status_code == 401
    assert (await ada("GET", "/me")).status_code == 401


async def test_the_token_before_is_an_old_one_once_the_grace_is_over(
    api: httpx.AsyncClient, ada: Person, dsn: str
) -> None:
    second = (await refresh(api, ada.refresh_token)).json()["refresh_token"]
    connection = await asyncpg.connect(dsn)
    await connection.execute("update iam.sessions set rotated_at = rotated_at - interval '11 seconds'")
    await connection.close()
    assert (await refresh(api, ada.refresh_token)).status_code == 401
    assert (await refresh(api, second)).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "thr_", "thr_AAAA", "thr_" + "A" * 70, "thr_é", "thr_" + "=" * 60])
async def test_a_made_up_refresh_token_is_refused(api: httpx.AsyncClient, ada: Person, token: str) -> None:
    assert (await refresh(api, token)).status_code == 401
    assert (await ada("GET", "/me")).status_code == 200


async def test_signing_out_voids_both_tokens_at_once(api: httpx.AsyncClient, ada: Person) -> None:
    assert (await ada("POST", "/auth/signout")).status_code == 204
    assert (await ada("GET", "/me")).status_code == 401
    assert (await refresh(api, ada.refresh_token)).status_code == 401
    ada.access_token += "="
    assert (await ada("GET", "/me")).status_code == 401


def claims(ada: Person) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(ada.access_token, options={"verify_signature": False})
    return decoded


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "other"}, {"aud": [AUDIENCE]}, {"iss": "other"}, {"typ": "refresh"}, {"sub": "x"}, {"sid": "x"},
        {"sid": "01890000-0000-7000-8000-000000000000"}, {"sub": "01890000-0000-7000-8000-000000000000"},
        {"exp": 1}, {"exp": "soon"}, {"iat": 2**40}, {"aud": None}, {"iss": None}, {"typ": None}, {"sub": None},
        {"sid": None}, {"exp": None}, {"iat": None}, {"jti": None}, {"sub": 7}, {"sid": ["x"]}, {"nbf": 2**40},
    ],
    ids=str,
)  # fmt: skip
async def test_a_token_with_a_wrong_or_missing_claim_is_refused(ada: Person, change: dict[str, Any]) -> None:
    """A missing claim is written as None here. The untouched claims pass, so it is the change that is refused."""
    wrong = {name: value for name, value in (claims(ada) | change).items() if value is not None}
    untouched = jwt.encode(claims(ada), SECRET, "HS256")
    ada.access_token = untouched
    assert (await ada("GET", "/me")).status_code == 200
    ada.access_token = _signed(wrong)
    answer = await ada("GET", "/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def _signed(claims: dict[str, Any]) -> str:
    """As jwt.encode, which refuses to write some of the wrong types."""
    head = _b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + _b64(json.dumps(claims).encode())
    return (
        head
        + "."
        + _b64(jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), SECRET.encode()))
    )


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_forged_tokens_are_refused(ada: Person) -> None:
    header, payload, signature = ada.access_token.split(".")
    none = _b64(b'{"alg":"none","typ":"JWT"}')
    forged = [
        f"{none}.{payload}.", f"{none}.{payload}.{signature}", f"{header}.{payload}.", f"{header}.{payload}",
        f"{header}.{payload}.{signature[:-4]}AAAA", f"{_b64(b'{')}.{payload}.{signature}", "a.b.c", "...", "é.é.é",
        jwt.encode(claims(ada), b"another secret that is also 32 bytes long", "HS256"),
        jwt.encode(claims(ada), SECRET * 2, "HS512"), jwt.encode(claims(ada), SECRET * 2, "HS384"), "x" * 10_000,
        f"{_b64(b'[' * 3000)}.{payload}.{signature}", "thk_", "thk_" + "x" * 43, "thk_\x00",
    ]  # fmt: skip
    for token in forged:
        ada.access_token = token
        headers = [(b"authorization", f"Bearer {token}".encode())]
        answer = await ada.api.get("/api/v1/me", headers=headers)
        assert answer.status_code == 401, token


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "bearer  ", "Token x", "Bearer a b"])
async def test_a_request_without_good_credentials_says_how_to_send_them(api: httpx.AsyncClient, header: str) -> None:
    answer = await api.get("/api/v1/me", headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="triggerhub"')


async def test_every_route_of_the_api_needs_credentials_but_the_known_few(api: httpx.AsyncClient) -> None:
    auth = {f"/api/v1/auth/{name}" for name in ("signup", "signin", "refresh", "session", "session/signup")}
    public = {*auth, "/healthz", "/readyz"}  # /auth/session/refresh wants its cookie, so it is a 401 as well
    schema = (await api.get("/schema/openapi.json")).json()
    some_id = str(UUID(int=7))
    checked = 0
    for path, operations in schema["paths"].items():
        if path.startswith("/hooks/"):
            continue
        for method in operations:
            concrete = re.sub(r"\{\w+_id\}", some_id, path.replace("{number}", "1").replace("{other}", "2"))
            answer = await api.request(method, concrete, headers={"triggerhub-ui": "1"})
            assert (answer.status_code == 401) == (path not in public), path
            checked += 1
    assert checked > 15


async def test_an_api_key_acts_for_its_user_until_it_is_deleted(ada: Person) -> None:
    created = await ada("POST", "/api-keys", json={"name": "ci"})
    assert created.status_code == 201
    key = created.json()
    assert key["key"].startswith("thk_")
    assert len(key["key"]) == 47
    listed = (await ada("GET", "/api-keys")).json()["items"]
    assert listed == [{name: key[name] for name in ("id", "name", "prefix", "scopes", "created_at")}]
    headers = {"authorization": f"Bearer {key['key']}"}
    assert (await ada.api.get("/api/v1/me", headers=headers)).json()["id"] == ada.id
    assert (await ada.api.post("/api/v1/auth/signout", headers=headers)).status_code == 409
    assert (await ada("DELETE", f"/api-keys/{key['id']}")).status_code == 204
    assert (await ada("DELETE", f"/api-keys/{key['id']}")).status_code == 404
    assert (await ada.api.get("/api/v1/me", headers=headers)).status_code == 401


async def test_keys_are_listed_page_by_page(ada: Person) -> None:
    for name in ("a", "b", "c"):
        await ada("POST", "/api-keys", json={"name": name})
    first = (await ada("GET", "/api-keys?limit=2")).json()
    second = (await ada("GET", f"/api-keys?limit=2&cursor={first['next_cursor']}")).json()
    assert [key["name"] for key in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None


async def test_an_account_has_a_bounded_number_of_keys(ada: Person, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "insert into iam.api_keys select gen_random_uuid(), $1, 'x', 'x', sha256(i::text::bytea) "
        "from generate_series(1, 100) i",
        UUID(ada.id),
    )
    await connection.close()
    assert (await ada("POST", "/api-keys", json={"name": "one more"})).json()["code"] == "limit_reached"


async def test_a_sign_up_that_can_not_be_recorded_can_be_repeated(dsn: str, api: httpx.AsyncClient) -> None:
    """Without its fact in the log there is no account, or the next try would hear that the address is taken."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("alter table es.events rename to gone")
    body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    refused = await api.post("/api/v1/auth/signup", json=body)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    await connection.execute("alter table es.gone rename to events")
    await connection.close()
    assert (await api.post("/api/v1/auth/signup", json=body)).status_code == 201


async def test_passwords_are_stored_as_argon2id(dsn: str) -> None:
    async with running_api(dsn, password_hasher=Services.password_hasher) as api:
        await sign_up(api)
    connection = await asyncpg.connect(dsn)
    stored = await connection.fetchval("select password_hash from iam.users")
    await connection.close()
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_the_token_expires_a_quarter_hour_after_it_was_made(ada: Person) -> None:
    made = claims(ada)
    assert made["exp"] - made["iat"] == 900
    assert abs(made["iat"] - now().timestamp()) < 60
    assert (made["iss"], made["aud"], made["sub"], made["typ"]) == (ISSUER, AUDIENCE, ada.id, "access")


async def test_two_sessions_of_one_user_are_independent(api: httpx.AsyncClient, ada: Person) -> None:
    answer = await api.post("/api/v1/auth/signin", json={"email": ada.email, "password": PASSWORD})
    other = Person(api, answer.json())
    await ada("POST", "/auth/signout")
    assert (await other("GET", "/me")).status_code == 200
    assert (await sign_up(api)).id != ada.id
