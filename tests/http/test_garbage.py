"""Whatever arrives at the JSON API is answered with a problem document and a status below 500."""

import json
from typing import Any

import httpx
import pytest

from tests.support.api import PASSWORD, Person, zap_body

BODIES = [
    b"", b"{", b"null", b"[]", b'"text"', b"7", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 5_000, b'{"a":' * 100_000,
    b"NaN", b'{"name":NaN}', b'{"name":"\\ud800"}', b'{"name":1e999}', b"x" * 1_000_001, b"\x00", b'{"name":}',
    b"--x\r\ncontent-disposition: form-data\r\n\r\n", b"a=1&b=2",
]  # fmt: skip


def assert_problem(answer: httpx.Response) -> None:
    """A refusal as RFC 9457 has it."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert body["status"] == answer.status_code


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
async def test_a_body_that_is_no_good_is_refused_everywhere(ada: Person, body: bytes) -> None:
    zap = await ada.live_zap()
    for method, path in (
        ("POST", "/auth/signup"), ("POST", "/auth/signin"), ("POST", "/auth/refresh"), ("POST", "/zaps"),
        ("PUT", f"/zaps/{zap['id']}"), ("POST", f"/zaps/{zap['id']}/rollback"), ("POST", "/api-keys"),
        ("POST", "/runs/replay"), ("POST", "/runs/cancel"),
    ):  # fmt: skip
        for content_type in ("application/json", "text/plain", "nonsense"):
            headers = {"content-type": content_type, "if-match": "*"}
            assert_problem(await ada(method, path, content=body, headers=headers))


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=101", "limit=abc", "limit=NaN", "limit=1e9", "limit=", "limit=1.5", "limit=9" * 30,
     "cursor=x", "cursor=", "cursor=%00", "cursor=é", "cursor=AAAA", "cursor=" + "A" * 5_000, "limit=1&limit=x"],
)  # fmt: skip
async def test_paging_garbage_is_refused(ada: Person, query: str) -> None:
    for path in ("/api-keys", "/zaps", "/runs", "/jobs"):
        assert_problem(await ada("GET", f"{path}?{query}"))


@pytest.mark.parametrize(
    "query",
    ["zap_id=x", "status=nope", "source=nope", "from=yesterday", "to=", "from=99999-01-01", "min_position=-1",
     "min_position=x", "min_position=1e400", "min_position=99999999999999999999"],
)  # fmt: skip
async def test_filter_garbage_is_refused(ada: Person, query: str) -> None:
    assert_problem(await ada("GET", f"/runs?{query}"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PATCH", "/api/v1/zaps", 405), ("PUT", "/healthz", 405), ("POST", "/", 405), ("GET", "/nowhere", 404),
     ("GET", "/api/v1", 404), ("GET", "/api/v2/zaps", 404), ("GET", "/%00", 404), ("DELETE", "/api/v1/me", 405)],
)  # fmt: skip
async def test_what_is_not_offered_is_a_problem_too(ada: Person, method: str, path: str, status: int) -> None:
    answer = await ada.api.request(method, path)
    assert_problem(answer)
    assert answer.status_code == status


async def test_every_field_of_an_answer_is_refused_as_input(ada: Person) -> None:
    """Mass assignment: what the server decides can not be sent."""
    zap = await ada.live_zap()
    for field in set(zap) - {"name"}:
        answer = await ada("POST", "/zaps", json=zap_body() | {field: zap[field]})
        assert (answer.status_code, answer.json()["errors"][0]["reason"][:29]) == (400, "Object contains unknown field")


async def test_markup_in_names_stays_text(ada: Person) -> None:
    zap = await ada.create_zap("<script>alert(1)</script>")
    answer = await ada("GET", f"/zaps/{zap['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_unexpected_error_is_an_id_and_nothing_else(dsn: str) -> None:
    from tests.support.api import running_api

    async def broken() -> list[str]:
        raise RuntimeError("select password from secret_table")

    async with running_api(dsn, readiness=broken) as api:
        answer = await api.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["instance"].startswith("urn:uuid:")
    assert "secret" not in answer.text


async def test_health_and_readiness(dsn: str) -> None:
    from tests.support.api import running_api

    failing: list[str] = []

    async def readiness() -> list[str]:
        return failing

    async with running_api(dsn, readiness=readiness) as api:
        assert (await api.get("/healthz")).json() == {"status": "ok", "failing": []}
        assert (await api.get("/readyz")).status_code == 200
        failing.append("database")
        answer = await api.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "failing", "failing": ["database"]})
        assert (await api.get("/healthz")).status_code == 200


async def test_the_document_of_the_api_needs_no_other_host(api: httpx.AsyncClient) -> None:
    schema = await api.get("/schema/openapi.json")
    document: dict[str, Any] = schema.json()
    assert document["openapi"].startswith("3.1")
    assert "/hooks/catch/{user_id}/{zap_id}" in document["paths"]
    assert "http://" not in schema.text.replace("http://testserver.local", "")
    assert PASSWORD not in json.dumps(document)
