"""Sessions of the web UI: the refresh token is in a cookie, which nobody but our own page can make use of."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.api import PASSWORD, Person, running_api, sign_up

SESSION = "/api/v1/auth/session"
OWN = {"triggerhub-ui": "1"}


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex}@example.org"


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The attributes of the cookie that an answer sets, in lower case; its value under `value`."""
    first, *others = answer.headers["set-cookie"].split("; ")
    found = {name.lower(): value for name, _, value in (other.partition("=") for other in others)}
    return found | {"name": first.partition("=")[0], "value": first.partition("=")[2]}


async def begin(api: httpx.AsyncClient, email: str) -> tuple[dict[str, Any], str]:
    """A new account's session: the answer's body, and the cookie."""
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    answer = await api.post(f"{SESSION}/signup", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json(), cookie_of(answer)["value"]


def refresh(api: httpx.AsyncClient, cookie: str | None, **headers: str) -> Any:
    api.cookies.clear()
    sent = {"cookie": f"triggerhub_session={cookie}"} if cookie is not None else {}
    return api.post(f"{SESSION}/refresh", headers=sent | headers)


async def test_signing_in_gives_the_refresh_token_to_the_browser_alone(api: httpx.AsyncClient, ada: Person) -> None:
    answer = await api.post(SESSION, json={"email": ada.email, "password": PASSWORD})
    assert answer.status_code == 200
    assert set(answer.json()) == {"user", "access_token", "expires_in"}
    cookie = cookie_of(answer)
    assert cookie["value"].startswith("thr_")
    assert cookie["value"] not in answer.text
    assert (cookie["path"], cookie["samesite"], "httponly" in cookie) == ("/api/v1/auth", "strict", True)
    assert int(cookie["max-age"]) == 30 * 24 * 3600
    assert "secure" not in cookie  # the public URL of these tests is http


async def test_over_https_the_cookie_is_secure_and_below_the_path_of_the_proxy(dsn: str, email: str) -> None:
    async with running_api(dsn, public_url="https://example.org/hub") as api:
        body = {"name": "Ada", "email": email, "password": PASSWORD}
        cookie = cookie_of(await api.post(f"{SESSION}/signup", json=body))
    assert ("secure" in cookie, cookie["path"]) == (True, "/hub/api/v1/auth")


async def test_a_refresh_goes_on_with_the_session_and_replaces_the_cookie(api: httpx.AsyncClient, email: str) -> None:
    signed_in, cookie = await begin(api, email)
    answer = await refresh(api, cookie, **OWN)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "expires_in"}
    assert cookie_of(answer)["value"] != cookie
    assert (await Person(api, signed_in | answer.json() | {"refresh_token": ""})("GET", "/me")).json()["email"] == email


async def test_a_page_of_another_site_can_neither_refresh_nor_sign_out(api: httpx.AsyncClient, email: str) -> None:
    """It can send no header of its own without asking first, and is told nothing that allows it to."""
    _, cookie = await begin(api, email)
    assert (await refresh(api, cookie)).status_code == 400
    ended = await api.delete(SESSION, headers={"cookie": f"triggerhub_session={cookie}"})
    assert ended.status_code == 400
    asked = await api.options(f"{SESSION}/refresh", headers={"origin": "https://evil.example"})
    assert not [name for name in asked.headers if name.startswith("access-control-")]
    assert (await refresh(api, cookie, **OWN)).status_code == 200


@pytest.mark.parametrize("cookie", [None, "", "thr_", "thr_AAAA", "x" * 5_000])
async def test_without_a_session_there_is_nothing_to_go_on_with(api: httpx.AsyncClient, cookie: str | None) -> None:
    answer = await refresh(api, cookie, **OWN)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_signing_out_ends_the_session_and_takes_the_cookie_back(api: httpx.AsyncClient, email: str) -> None:
    signed_in, cookie = await begin(api, email)
    answer = await api.delete(SESSION, headers={"cookie": f"triggerhub_session={cookie}"} | OWN)
    assert answer.status_code == 204
    assert (cookie_of(answer)["value"], cookie_of(answer)["max-age"]) in [("", "0"), ('""', "0")]
    assert (await refresh(api, cookie, **OWN)).status_code == 401
    assert (await Person(api, signed_in | {"refresh_token": ""})("GET", "/me")).status_code == 401


async def test_signing_out_here_leaves_other_sessions_and_everywhere_ends_them(
    api: httpx.AsyncClient, ada: Person
) -> None:
    body = {"email": ada.email, "password": PASSWORD}
    first, second, third = [cookie_of(await api.post(SESSION, json=body))["value"] for _ in range(3)]
    await api.delete(SESSION, headers={"cookie": f"triggerhub_session={first}"} | OWN)
    assert (await ada("GET", "/me")).status_code == 200
    bob = await sign_up(api, name="Bob")
    await api.delete(f"{SESSION}?everywhere=true", headers={"cookie": f"triggerhub_session={second}"} | OWN)
    assert (await refresh(api, third, **OWN)).status_code == 401
    assert (await ada("GET", "/me")).status_code == 401
    assert (await bob("GET", "/me")).status_code == 200


async def test_signing_out_of_no_session_is_no_mistake(api: httpx.AsyncClient) -> None:
    assert (await api.delete(SESSION, headers=OWN)).status_code == 204


@pytest.mark.parametrize(("signup", "before", "after"), [
    ("on", (True, True), (True, False)), ("first", (True, True), (False, False)), ("off", (False, True), None),
])  # fmt: skip
async def test_a_sign_in_page_knows_what_it_can_offer(
    dsn: str, email: str, signup: str, before: tuple[bool, bool], after: tuple[bool, bool] | None
) -> None:
    async with running_api(dsn, signup=signup) as api:

        async def offered() -> tuple[bool, bool]:
            state = (await api.get("/api/v1/auth/signup")).json()
            return state["open"], state["first"]

        assert await offered() == before
        if after is not None:
            await begin(api, email)
            assert await offered() == after


NEW = "another long phrase altogether"


async def sessions_of(person: Person) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await person("GET", "/me/sessions")).json()["items"]
    return items


async def test_a_new_password_ends_the_other_sessions_and_is_on_record(api: httpx.AsyncClient, ada: Person) -> None:
    old = {"email": ada.email, "password": PASSWORD}
    other = Person(api, (await api.post("/api/v1/auth/signin", json=old)).json())
    key = (await ada("POST", "/api-keys", json={"name": "CI"})).json()["key"]
    answer = await ada("POST", "/me/password", json={"current_password": PASSWORD, "new_password": NEW})
    assert (answer.status_code, answer.text) == (204, "")
    assert (await other("GET", "/me")).status_code == 401
    assert (await ada("GET", "/me")).status_code == 200
    assert (await api.get("/api/v1/me", headers={"authorization": f"Bearer {key}"})).status_code == 200
    assert (await api.post("/api/v1/auth/signin", json=old)).status_code == 401
    assert (await api.post("/api/v1/auth/signin", json=old | {"password": NEW})).status_code == 200


async def test_a_password_is_changed_by_who_knows_it_and_to_one_that_is_seen(
    ada: Person, api: httpx.AsyncClient
) -> None:
    wrong = await ada("POST", "/me/password", json={"current_password": "not it at all", "new_password": NEW})
    blank = await ada("POST", "/me/password", json={"current_password": PASSWORD, "new_password": " " * 20})
    places = [(answer.status_code, answer.json()["errors"][0]["path"]) for answer in (wrong, blank)]
    assert places == [(422, "current_password"), (422, "new_password")]
    key = (await ada("POST", "/api-keys", json={"name": "CI", "scopes": ["read", "write", "keys"]})).json()["key"]
    by_key = await api.post(
        "/api/v1/me/password",
        json={"current_password": PASSWORD, "new_password": NEW},
        headers={"authorization": f"Bearer {key}"},
    )
    assert (by_key.status_code, by_key.json()["code"]) == (403, "forbidden")
    body = {"email": ada.email, "password": PASSWORD}
    assert (await api.post("/api/v1/auth/signin", json=body)).status_code == 200


async def test_passwords_can_not_be_guessed_by_changing_them(ada: Person) -> None:
    answers = [
        await ada("POST", "/me/password", json={"current_password": f"guess {number}", "new_password": NEW})
        for number in range(8)
    ]
    assert {answer.status_code for answer in answers} == {422, 429}
    assert answers[-1].headers["retry-after"]


async def test_one_sees_where_one_is_signed_in_and_signs_a_device_out(
    api: httpx.AsyncClient, ada: Person, bob: Person
) -> None:
    body = {"email": ada.email, "password": PASSWORD}
    answer = await api.post(SESSION, json=body, headers={"user-agent": "Chrome on a phone"})
    phone = Person(api, answer.json() | {"refresh_token": ""})
    seen = await sessions_of(ada)
    assert [(one["device"], one["current"]) for one in seen] == [
        ("Chrome on a phone", False),
        (seen[1]["device"], True),
    ]
    assert seen[0]["created_at"] <= seen[0]["last_used_at"] < seen[0]["expires_at"]
    page = (await ada("GET", "/me/sessions?limit=1")).json()
    rest = (await ada("GET", f"/me/sessions?limit=1&cursor={page['next_cursor']}")).json()
    assert ([*page["items"], *rest["items"]], rest["next_cursor"]) == (seen, None)
    assert (await bob("DELETE", f"/me/sessions/{seen[0]['id']}")).status_code == 404
    assert (await ada("DELETE", f"/me/sessions/{seen[0]['id']}")).status_code == 204
    assert (await phone("GET", "/me")).status_code == 401
    assert len(await sessions_of(ada)) == 1
