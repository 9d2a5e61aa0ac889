"""What a new client gets wrong is refused with everything that it takes to get it right."""

from typing import Any

import pytest

from tests.support.api import Person, zap_body

NO_ID = "0199c0de-1234-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    ("path", "name", "meant"),
    [
        ("/runs?state=failed", "state", "status"), ("/zaps?x=paused", "x", None),
        ("/runs?statsu=failed", "statsu", "status"),
        ("/me?x", "x", None), ("/jobs?limits=3", "limits", "limit"), ("/dead-letters?zapid=1", "zapid", "zap_id"),
        (f"/runs/{NO_ID}?as_off=now", "as_off", "as_of"), ("/triggers/available?q=", "q", None),
    ],
)  # fmt: skip
async def test_an_unknown_query_parameter_is_named_with_the_known_ones(
    ada: Person, path: str, name: str, meant: str | None
) -> None:
    answer = await ada("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    (error,) = answer.json()["errors"]
    assert (error["path"], error["code"], error.get("did_you_mean")) == (name, "unknown", meant)
    assert f"`{name}`" in answer.json()["detail"]
    if path.startswith("/runs?"):
        assert {"status", "cursor", "from"} <= set(error["allowed"])


async def test_commands_take_no_unknown_query_parameters_either(ada: Person) -> None:
    zap = await ada.create_zap()
    answer = await ada("POST", f"/zaps/{zap['id']}/publish?dry_run=true")
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "dry_run")
    assert (await ada("GET", f"/zaps/{zap['id']}")).json()["status"] == "draft"


@pytest.mark.parametrize(
    "query",
    ["to=0.5", "from=1795647000", "from=2026", "from=20261125", "to=2026-W01-1", "to=2026-02-30", "to=-1", "to=1e9",
     "from=2026-11-25T10:00", "from=2026-11-25T25:00:00Z", "limit=5&limit=5", "limit=1.0", "limit=+1", "limit=%201",
     "min_position=1_0", "status=Failed", "zap_id=1", f"zap_id={{{NO_ID}}}"],
)  # fmt: skip
async def test_query_values_are_what_their_type_says_and_nothing_near(ada: Person, query: str) -> None:
    answer = await ada("GET", f"/runs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), answer.text
    (error,) = answer.json()["errors"]
    name = query.partition("=")[0]
    assert (error["path"], error["pointer"]) in (
        (name, f"/{name}"),
        (f"{name}.0", f"/{name}/0"),
    )  # 0: the first of several


@pytest.mark.parametrize(
    "moment",
    ["2026-11-25", "2026-11-25T10:00:00Z", "2026-11-25T10:00:00.123456789%2B01:00", "2026-11-25t10:00:00z",
     "0001-01-01T00:00:00Z", "2026-11-25T10:00:00-00:00"],
)  # fmt: skip
async def test_dates_are_rfc_3339(ada: Person, moment: str) -> None:
    answer = await ada("GET", f"/runs?from={moment}&to={moment}")
    assert answer.status_code in (200, 503), answer.text  # 503: nobody builds the read model here


async def test_a_plus_that_a_url_took_for_a_blank_is_explained(ada: Person) -> None:
    answer = await ada("GET", "/runs?from=2026-11-25T10:00:00+01:00")
    assert (answer.status_code, "%2B" in answer.json()["detail"]) == (400, True)


async def test_all_wrong_parameters_are_listed_at_once(ada: Person) -> None:
    answer = await ada("GET", "/runs?limit=0&status=no&form=x&zap_id=y")
    assert [error["path"] for error in answer.json()["errors"]] == ["limit", "status.0", "form", "zap_id"]
    assert "queued" in answer.json()["errors"][1]["allowed"]


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/zaps", ["name", "trigger"]), ("/auth/signup", ["name", "email", "password"]),
        ("/auth/signin", ["email", "password"]), ("/auth/refresh", ["refresh_token"]), ("/api-keys", ["name"]),
        ("/runs/replay", ["filter"]), ("/runs/cancel", ["filter"]),
    ],
)  # fmt: skip
async def test_an_empty_object_is_told_all_that_it_lacks(ada: Person, path: str, missing: list[str]) -> None:
    answer = await ada("POST", path, json={})
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert [(error["path"], error["pointer"]) for error in errors] == [(name, f"/{name}") for name in missing]
    assert {error["code"] for error in errors} == {"missing"}


@pytest.mark.parametrize("preview", [0, 1, "false", "", None, [], 0.0])
async def test_bodies_have_strict_types(ada: Person, preview: Any) -> None:
    """0 was taken for false, and the job began."""
    for path in ("/runs/cancel", "/runs/replay"):
        answer = await ada("POST", path, json={"filter": {"status": "failed"}, "preview": preview})
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "preview"), answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "wrong"),
    [
        ("POST", "/runs/cancel", {"filter": {"from": 0.5}}, "filter.from"),
        ("POST", "/runs/cancel", {"filter": {"status": 1}}, "filter.status"),
        ("POST", "/runs/replay", {"filter": {"zap_id": 7}}, "filter.zap_id"),
        ("POST", "/runs/replay", {"filter": {}, "rate_per_s": "5"}, "rate_per_s"),
        ("POST", "/runs/replay", {"filter": {}, "rate_per_s": 5.5}, "rate_per_s"),
        ("POST", "/zaps", zap_body() | {"name": 5}, "name"),
        ("POST", "/zaps", zap_body() | {"settings": {"deadline_s": "60"}}, "settings.deadline_s"),
    ],
)  # fmt: skip
async def test_no_value_is_bent_into_shape(
    ada: Person, method: str, path: str, body: dict[str, Any], wrong: str
) -> None:
    answer = await ada(method, path, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, wrong), answer.text


async def test_a_definition_with_several_mistakes_shows_all_of_them(ada: Person) -> None:
    body = zap_body() | {"setings": {}, "name": ""}
    body["steps"] = [
        {"id": "a", "type": "test.echo", "config": {"text": "x"}, "retry": {"kind": "fixd"}, "timeout_s": -1},
        {"id": "b", "kind": "dealy", "for_s": 1},
        {"id": "c", "type": "test.echo", "on_error": {"steps": [{"id": "d", "typ": "test.echo"}]}},
    ]
    errors = {error["path"]: error for error in (await ada("POST", "/zaps", json=body)).json()["errors"]}
    assert {"name", "setings", "steps.0.retry.kind", "steps.0.timeout_s", "steps.1.kind",
            "steps.2.on_error.steps.0.type", "steps.2.on_error.steps.0.typ"} == set(errors)  # fmt: skip
    assert errors["steps.1.kind"]["did_you_mean"] == "delay"
    assert errors["steps.2.on_error.steps.0.typ"]["pointer"] == "/steps/2/on_error/steps/0/typ"
    assert errors["steps.2.on_error.steps.0.typ"]["did_you_mean"] == "type"


async def test_a_body_where_none_belongs_is_refused(ada: Person) -> None:
    zap = await ada.create_zap()
    answer = await ada("POST", f"/zaps/{zap['id']}/publish", json={"draft": 2})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "draft")
    assert (await ada("POST", f"/zaps/{zap['id']}/publish", json={})).status_code == 200


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/xml"])
async def test_what_says_that_it_is_no_json_is_not_read_as_json(ada: Person, content_type: str) -> None:
    answer = await ada("POST", "/api-keys", content=b'{"name": "x"}', headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_compressed_body_is_refused_and_not_read_as_if_it_were_none(ada: Person) -> None:
    answer = await ada("POST", "/api-keys", content=b'{"name": "x"}', headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/v1/zaps", "GET, HEAD, OPTIONS, POST"), ("/api/v1/runs", "GET, HEAD, OPTIONS"),
        (f"/api/v1/zaps/{NO_ID}", "DELETE, GET, HEAD, OPTIONS, PUT"), ("/api/v1/auth/signin", "OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"), ("/docs", "GET, HEAD, OPTIONS"),
        (f"/api/v1/zaps/{NO_ID}/secrets", "GET, HEAD, OPTIONS, PUT"), ("/api/v1/connectors/import", "OPTIONS, POST"),
        ("/api/v1/connectors/shop", "GET, HEAD, OPTIONS"), ("/api/v1/runs/paths", "GET, HEAD, OPTIONS"),
    ],
)  # fmt: skip
async def test_allow_is_true(ada: Person, path: str, allow: str) -> None:
    options = await ada.api.options(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allow, b"")
    refused = await ada.api.request("PATCH", path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allow)
    assert refused.json()["code"] == "method_not_allowed"


async def test_every_method_that_is_allowed_is_taken_and_no_other(ada: Person) -> None:
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
    for path in (f"/zaps/{NO_ID}", "/zaps", "/jobs", "/dead-letters", f"/runs/{NO_ID}/replay", "/runs/replay"):
        allowed = set((await ada("OPTIONS", path)).headers["allow"].split(", "))
        taken = {method for method in methods if (await ada(method, path)).status_code != 405}
        assert taken == allowed - {"OPTIONS"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/api/v1/me", "/schema/openapi.json"])
async def test_head_is_a_get_without_its_body(ada: Person, path: str) -> None:
    headers = {"authorization": f"Bearer {ada.access_token}"}
    got = await ada.api.get(path, headers=headers)
    head = await ada.api.head(path, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("content-type", "content-length")} == {
        name: got.headers[name] for name in ("content-type", "content-length")
    }


@pytest.mark.parametrize("bad", ["1", "abc", NO_ID[:-1], "undefined", NO_ID + "0", "%20", "a%2Fb"])
async def test_a_malformed_id_is_told_what_an_id_looks_like(ada: Person, bad: str) -> None:
    for path in ("/zaps/{}", "/runs/{}", "/jobs/{}", "/zaps/{}/publish", "/api-keys/{}"):
        answer = await ada("GET" if path.count("/") == 2 else "POST", path.format(bad))
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        if path != "/api-keys/{}" and "%2F" not in bad:
            assert "ids look like" in answer.json()["detail"]


async def test_an_unknown_route_is_a_problem_that_shows_the_way(ada: Person) -> None:
    answer = await ada("GET", "/zap")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "/api/v1/zaps" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/me", 200), ("POST", "/zaps", 400), ("GET", f"/runs/{NO_ID}", 404),
     ("GET", "/runs?x=1", 400), ("PATCH", "/zaps", 405), ("GET", "/nowhere", 404), ("POST", "/auth/signin", 400)],
)  # fmt: skip
async def test_nothing_of_the_api_is_kept_by_caches(ada: Person, method: str, path: str, status: int) -> None:
    answer = await ada(method, path)
    assert (answer.status_code, answer.headers.get("cache-control")) == (status, "no-store")


@pytest.mark.parametrize("path", ["//api/v1/me", "///api/v1/zaps", "/API/v1/me", "/api", "/readyz", "/nowhere"])
async def test_neither_is_what_goes_by_another_path(ada: Person, path: str) -> None:
    answer = await ada.api.get(
        f"http://testserver.local{path}", headers={"authorization": f"Bearer {ada.access_token}"}
    )
    assert answer.headers.get("cache-control") == "no-store"


async def test_without_credentials_nothing_is_kept_either(ada: Person) -> None:
    answer = await ada.api.get("/api/v1/me")
    assert (answer.status_code, answer.headers.get("cache-control")) == (401, "no-store")


async def test_a_zap_as_it_was_read_can_be_put_back(ada: Person) -> None:
    zap = await ada.live_zap()
    read = await ada("GET", f"/zaps/{zap['id']}")
    answer = await ada("PUT", f"/zaps/{zap['id']}", json=read.json(), headers={"if-match": read.headers["etag"]})
    assert answer.status_code == 200, answer.text
    changed = answer.json() | {"name": "Another"}
    changed["draft"]["steps"][0]["config"]["text"] = "new"
    del changed["draft"]["steps"][0]["kind"]
    answer = await ada("PUT", f"/zaps/{zap['id']}", json=changed, headers={"if-match": answer.headers["etag"]})
    assert (answer.status_code, answer.json()["name"]) == (200, "Another")
    assert answer.json()["draft"]["steps"][0]["config"] == {"text": "new"}


async def test_what_the_server_decides_is_not_changed_by_sending_it(ada: Person) -> None:
    zap = await ada.live_zap()
    others = {
        "id": NO_ID, "status": "paused", "version": 7, "hook_url": "http://x", "position": 0, "flags": [1],
        "created_at": "2020-01-01T00:00:00Z", "updated_at": None, "set_aside": {}, "draft_differs": 1,
        "warnings": [2],
    }  # fmt: skip
    assert set(others) == set(zap) - {"name", "draft", "next_runs"}, "next_runs goes on while somebody edits"
    for field, value in others.items():
        answer = await ada("PUT", f"/zaps/{zap['id']}", json=zap | {field: value}, headers={"if-match": "*"})
        assert answer.status_code == 400, field
        (error,) = answer.json()["errors"]
        assert (error["path"], error["code"]) == (field, "read_only")
    answer = await ada("PUT", f"/zaps/{zap['id']}", json=zap | {"version": 7}, headers={"if-match": '"1"'})
    assert answer.status_code == 412
    answer = await ada("PUT", f"/zaps/{zap['id']}", json={"name": "x"}, headers={"if-match": "*"})
    assert (answer.status_code, "draft" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/connectors/a%00b"), ("GET", "/connectors/github/%00"), ("GET", "/connectors/shop/%00"),
        ("GET", "/variables/a%00"), ("DELETE", "/variables/a%00"), ("POST", "/archives/a%00/import"),
    ],
)  # fmt: skip
async def test_a_name_that_no_database_keeps_is_the_clients_mistake(ada: Person, method: str, path: str) -> None:
    answer = await ada(method, path)
    assert (answer.status_code // 100, answer.headers["content-type"]) == (4, "application/problem+json")
    assert answer.json()["code"] in {"malformed", "not_found"}


async def test_a_connector_file_with_a_character_that_no_database_keeps_is_told_where(ada: Person) -> None:
    file = {
        "connector": "shop", "version": "1.0.0", "name": "A\0B", "base_url": "https://shop.example",
        "actions": {"list": {"name": "List", "request": {"path": "/"}, "output": {"sample": 1}}},
    }  # fmt: skip
    answer = await ada("POST", "/connectors", json={"file": file})
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["/name"])
    odd = await ada("POST", "/connectors", json={"file": {**file, "name": "Shop", "icon": "\0"}})
    assert (odd.status_code, odd.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(("start", "end"), [("from", "to"), ("finished_from", "finished_to")])
async def test_a_stretch_of_time_that_ends_before_it_begins_is_refused(ada: Person, start: str, end: str) -> None:
    span = {start: "2026-11-26", end: "2026-11-25"}
    listed = await ada("GET", f"/runs?{start}={span[start]}&{end}={span[end]}")
    assert (listed.status_code, listed.json()["errors"][0]["path"]) == (400, end)
    replayed = await ada("POST", "/runs/replay", json={"filter": span})
    assert (replayed.status_code, f"{end} is before {start}" in replayed.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("body", "key"),
    [('{"name": "x", "name": "y", "trigger": {"type": "manual.run"}, "steps": []}', "name"),
     ('{"name": "x", "steps": [{"id": "a", "id": "b"}]}', "id")],
)  # fmt: skip
async def test_a_key_that_is_there_twice_is_named(ada: Person, body: str, key: str) -> None:
    answer = await ada("POST", "/zaps", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert f"the key {key!r} is there twice" in answer.json()["detail"]
