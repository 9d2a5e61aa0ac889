"""The catch URLs: what is accepted is one committed run, what is not says why, and nothing is a 5xx."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.log.event import StreamKind
from domain.registry import decode
from domain.run.events import RunRequested
from domain.values.json import Json
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.api import Person, running_api, sign_up
from tests.support.eventually import eventually


async def requested(ada: Person, run_id: str) -> dict[str, Any]:
    """The data of a run's first event."""
    events = (await ada("GET", f"/runs/{run_id}/events")).json()["items"]
    assert [event["type"] for event in events] == ["zap.run.requested"]
    event = events[0]
    data: dict[str, Any] = event["data"] | {"meta": event["meta"], "position": event["position"]}
    return data


async def test_an_accepted_request_is_in_the_log_as_it_came(ada: Person) -> None:
    zap = await ada.live_zap()
    body = b'{"a": [1.10, 12345678901234567890123, "\\u0000\xc3\xa9"], "a": 2}'
    answer = await ada.api.post(
        zap["hook_url"] + "/sub/path?x=1&x=%20y", content=body,
        headers=[(b"content-type", b"application/json"), (b"X-Two", b"a"), (b"x-two", b"b"), (b"x-name", b"caf\xe9")],
    )  # fmt: skip
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    accepted = answer.json()
    assert accepted["status"] == "accepted"
    data = await requested(ada, accepted["run_id"])
    request = data["request"]
    assert (data["zap_id"], data["zap_version"], data["source"]) == (zap["id"], 1, "webhook")
    assert (request["path"], request["query"], request["body"]) == ("sub/path", "x=1&x=%20y", body.decode())
    assert (request["headers"]["x-two"], request["headers"]["x-name"]) == ("a, b", "caf\xe9")
    assert data["meta"] == {"actor": "hook", "correlation_id": accepted["run_id"]}
    assert data["position"] == accepted["position"]


async def count_runs(store: PgEventStore, person: Person) -> int:
    """Somebody's runs in the log."""
    count: int = await store.pool.fetchval(
        "select count(*) from es.events where type = 'zap.run.requested' and tenant_id = $1", UUID(person.id)
    )
    return count


@pytest.mark.parametrize(
    ("config", "started", "refused"),
    [
        ({}, ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"], ["GET", "HEAD"]),
        ({"dedupe": {"from": "none"}}, ["POST"], ["GET", "HEAD"]),
        ({"methods": ["GET"]}, ["GET"], ["HEAD", "POST", "PUT", "PROPFIND"]),
        ({"methods": ["HEAD", "GET", "POST"]}, ["GET", "HEAD", "POST"], ["PUT", "DELETE"]),
    ],
)
async def test_what_nobody_means_as_a_delivery_starts_nothing(
    ada: Person, shared_store: PgEventStore, config: dict[str, Any], started: list[str], refused: list[str]
) -> None:
    zap = await ada.live_zap(trigger=config)
    for method in refused:
        answer = await ada.api.request(method, zap["hook_url"])
        assert answer.status_code == 405
        assert method not in answer.headers["allow"].split(", ")
        if method != "HEAD":
            assert (answer.json()["code"], "methods" in answer.json()["detail"]) == ("method_not_allowed", True)
    assert await count_runs(shared_store, ada) == 0
    for method in started:
        assert (await ada.api.request(method, zap["hook_url"])).status_code == 200
    assert await count_runs(shared_store, ada) == len(started)


async def test_a_sender_that_tries_the_address_is_answered_and_starts_nothing(
    ada: Person, shared_store: PgEventStore
) -> None:
    verification = {"preset": "header_token", "header": "X-Token"}
    zap = await ada.live_zap(trigger={"verification": verification, "probes": ["HEAD"]}, secrets=["open sesame"])
    tried = await ada.api.head(zap["hook_url"])
    assert (tried.status_code, tried.content) == (200, b"")
    assert (await ada.api.get(zap["hook_url"])).status_code == 405
    assert (await ada.api.post(zap["hook_url"])).status_code == 401
    assert await count_runs(shared_store, ada) == 0
    both = {"name": "Z", "trigger": {"type": "webhook.catch", "config": {"probes": ["HEAD"], "methods": ["HEAD"]}}}
    assert (await ada("POST", "/zaps", json=both)).status_code == 422


@pytest.mark.parametrize("methods", [[], ["OPTIONS"], ["get"], "GET"])
async def test_methods_are_those_of_deliveries(ada: Person, methods: Any) -> None:
    body = {"name": "Z", "trigger": {"type": "webhook.catch", "config": {"methods": methods}}}
    assert (await ada("POST", "/zaps", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("config", "allow"),
    [
        ({}, "POST, PUT, PATCH, DELETE, OPTIONS"),
        ({"methods": ["POST", "GET"]}, "GET, POST, OPTIONS"),
        ({"methods": ["POST"], "probes": ["HEAD"]}, "POST, HEAD, OPTIONS"),
    ],
)
async def test_a_preflight_tells_the_methods_and_starts_nothing(
    ada: Person, shared_store: PgEventStore, config: dict[str, Any], allow: str
) -> None:
    zap = await ada.live_zap(trigger=config)
    asked = await ada.api.options(zap["hook_url"])
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allow, b"")
    assert await count_runs(shared_store, ada) == 0
    if "GET" not in allow:
        assert (await ada.api.get(zap["hook_url"])).headers["allow"] == allow


async def test_a_preflight_of_a_hook_that_there_is_not_is_told_so(ada: Person) -> None:
    for path in ("/hooks/catch/x/y", f"/hooks/catch/{ada.id}/{new_id()}"):
        assert (await ada.api.options(path)).status_code == 404


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/plain", b"{not json"), ("application/x-www-form-urlencoded", b"a=1&b=%ff"), ("text/xml", b"<a/>"),
     ("application/octet-stream", bytes(range(256))), ("application/json", b""), ("", b"plain"), ("", b'{"a":1}'),
     ("nonsense", b"{"), ("application/json; charset=bogus", b"[]"),
     ("application/xml", b"<a"), ("multipart/form-data; boundary=x", b"--x")],
)  # fmt: skip
async def test_bodies_are_kept_byte_for_byte(
    ada: Person, shared_store: PgEventStore, content_type: str, body: bytes
) -> None:
    zap = await ada.live_zap()
    headers = {"content-type": content_type} if content_type else {}
    answer = await ada.api.post(zap["hook_url"], content=body, headers=headers)
    assert answer.status_code == 200
    (stored,) = await shared_store.read_stream(StreamKind.RUN, answer.json()["run_id"])
    event = decode(stored.type, stored.schema_version, stored.data)
    assert isinstance(event, RunRequested)
    assert event.request.raw_body() == body


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON", "a/b+json", ""]
)
@pytest.mark.parametrize(
    "body",
    [b'{"a":', b"[" * 65 + b"]" * 65, b"[" * 100_000, b'{"a":NaN}', b"[Infinity]", b'{"a":"\xff"}', b'["\\u12"]',
     b"{'a':1}", b"[1,]", b"[1] [2]"],
)  # fmt: skip
async def test_json_that_is_not_json_is_refused(ada: Person, content_type: str, body: bytes) -> None:
    zap = await ada.live_zap()
    headers = {"content-type": content_type} if content_type else {}
    answer = await ada.api.post(zap["hook_url"], content=body[:99_000], headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"NaN", b"\xff", b"\xef\xbb\xbf{", b"tru", b'"', b"{}\0"])
async def test_what_claims_to_be_json_has_to_be(ada: Person, body: bytes) -> None:
    zap = await ada.live_zap()
    headers = {"content-type": "application/json"}
    assert (await ada.api.post(zap["hook_url"], content=body, headers=headers)).status_code == 400


@pytest.mark.parametrize("hook", ["open", "signed"])
@pytest.mark.parametrize(
    ("content_type", "body", "seen"),
    [
        ("application/json", b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        ("application/json; charset=utf-16", '{"a":"ü"}'.encode("utf-16"), {"a": "ü"}),
        ("application/json; charset=utf-16", '{"a":"ü"}'.encode("utf-16-be"), {"a": "ü"}),
        ("application/json; charset=utf-32", '{"a":"ü"}'.encode("utf-32"), {"a": "ü"}),
        ("application/json; charset=iso-8859-1", b'{"a":"Garc\xeda"}', {"a": "García"}),
        ("application/json; charset=windows-1252", b'{"a":"\x80"}', {"a": "€"}),
        ("", b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        ("application/json", b'{"c":1e400,"id":7}', {"c": "1e400", "id": 7}),
        ("application/json", b'{"n":12345678901234567890123,"d":12345678901234567.89}',
         {"n": 12345678901234567890123, "d": "12345678901234567.89"}),
        ("application/json", rb'{"t":"\ud83d","u":"\ud83d\ude00"}', {"t": "\ufffd", "u": "\U0001f600"}),
        ("application/json", b'{"a":1,"a":2}', {"a": 2}),
        ("application/json", b"", None),
        ("application/json", b" \n", None),
        ("application/x-www-form-urlencoded", b"\xef\xbb\xbfa=1&b=%00", {"a": "1", "b": "\0"}),
        ("application/x-www-form-urlencoded; charset=windows-1252", b"n=Garc%EDa", {"n": "García"}),
        ("application/x-www-form-urlencoded", b'["' + b"&" * 2_000 + b'"]', ["&" * 2_000]),
        ("text/plain; charset=UTF-8", b'{"Type":"Notification"}', {"Type": "Notification"}),
        ("text/plain; charset=iso-8859-1", b"Garc\xeda", "García"),
        ("text/plain", "García".encode("utf-16"), "García"),
    ],
)  # fmt: skip
async def test_one_set_of_rules_for_the_intake_and_for_templates(
    ada: Person, hook: str, content_type: str, body: bytes, seen: Any
) -> None:
    signed: dict[str, Any] = {"verification": {"preset": "header_token", "header": "x-key"}}
    trigger = {"reply": {"mode": "custom", "body": "{{ trigger.body }}"}} | (signed if hook == "signed" else {})
    zap = await ada.live_zap(trigger=trigger, secrets=["hunter22"] if hook == "signed" else ())
    headers = {"x-key": "hunter22"} | ({"content-type": content_type} if content_type else {})
    answer = await ada.api.post(zap["hook_url"], content=body, headers=headers)
    assert answer.status_code == 200
    assert (answer.text if isinstance(seen, str) else answer.json()) == seen


@pytest.mark.parametrize(("size", "status"), [(99_999, 200), (100_000, 200), (100_001, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_limit_holds_to_the_byte(ada: Person, size: int, status: int, chunked: bool) -> None:
    zap = await ada.live_zap()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 7_000):
            yield b"x" * min(7_000, size - start)

    answer = await ada.api.post(zap["hook_url"], content=pieces() if chunked else b"x" * size)
    assert answer.status_code == status


async def test_an_endless_body_is_refused_at_the_limit(ada: Person) -> None:
    zap = await ada.live_zap()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000

    answer = await ada.api.post(zap["hook_url"], content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert sent <= 12


@pytest.mark.parametrize("announced", ["100001", "9" * 30, "9" * 5000])
async def test_an_announced_size_above_the_limit_is_refused_unread(ada: Person, announced: str) -> None:
    zap = await ada.live_zap()
    answer = await ada.api.post(zap["hook_url"], content=b"", headers={"content-length": announced})
    assert answer.status_code == 413


async def test_secrets_in_headers_are_not_shown(ada: Person) -> None:
    zap = await ada.live_zap()
    names = ("Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Gitlab-Token", "X-Auth-Token", "ApiKey")
    fine = {"x-token-count": "5", "authentication-results": "spf=pass", "x-author": "Jane", "x-page-token": "p2"}
    headers = dict.fromkeys(names, "canary") | {"connection": "keep-alive", "te": "trailers"} | fine
    answer = await ada.api.post(zap["hook_url"], headers=headers)
    for seen in (
        (await requested(ada, answer.json()["run_id"]))["request"]["headers"],
        (await ada("GET", f"/runs/{answer.json()['run_id']}")).json()["trigger"]["headers"],
    ):
        assert {seen[name.lower()] for name in names} == {"[redacted]"}
        assert fine.items() <= seen.items()
        assert not {"connection", "te"} & set(seen)


@pytest.mark.parametrize("headers", [[(f"x-{i}", "v") for i in range(101)], [("x-big", "v" * 33_000)]])
async def test_too_many_or_too_large_headers_are_refused(ada: Person, headers: list[tuple[str, str]]) -> None:
    zap = await ada.live_zap()
    assert (await ada.api.post(zap["hook_url"], headers=headers)).status_code == 431


async def test_a_too_long_query_is_refused(ada: Person) -> None:
    zap = await ada.live_zap()
    assert (await ada.api.post(zap["hook_url"] + "?" + "x" * 17_000)).status_code == 413


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 400), ("deflate", 400), ("br", 415), ("zstd", 415), ("x", 415), ("identity", 200)]
)
async def test_compressed_bodies_are_refused_where_they_can_not_be_unpacked(
    ada: Person, encoding: str, status: int
) -> None:
    zap = await ada.live_zap()
    answer = await ada.api.post(zap["hook_url"], content=b"x", headers={"content-encoding": encoding})
    assert answer.status_code == status


async def test_a_trace_is_carried_on_when_it_is_one(ada: Person) -> None:
    zap = await ada.live_zap()
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for sent, kept in ((good, good), (good.replace("0af7", "0AF7"), None), ("x", None), ("00-" + "0" * 53, None)):
        answer = await ada.api.post(zap["hook_url"], headers={"traceparent": sent})
        assert (await requested(ada, answer.json()["run_id"]))["meta"].get("traceparent") == kept


async def test_a_large_body_is_checked_like_a_small_one(dsn: str) -> None:
    async with running_api(dsn, max_body=1_000_000) as api:
        url = (await (await sign_up(api)).live_zap())["hook_url"]
        large = b"[" + b"1," * 200_000
        assert (await api.post(url, content=large + b"1]")).status_code == 200
        assert (await api.post(url, content=large)).status_code == 400


async def test_fifty_copies_of_one_delivery_are_one_run(ada: Person, shared_store: PgEventStore) -> None:
    zap = await ada.live_zap()
    headers = {"idempotency-key": "delivery-1"}
    copies = [ada.api.post(zap["hook_url"], json={"n": 1}, headers=headers) for _ in range(50)]
    answers = [answer.json() for answer in await asyncio.gather(*copies)]
    assert sorted(answer["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 49
    assert len({(answer["run_id"], answer["position"]) for answer in answers}) == 1
    assert await count_runs(shared_store, ada) == 1


async def test_the_same_delivery_id_at_two_hooks_is_two_deliveries(ada: Person) -> None:
    headers = {"idempotency-key": "delivery-1"}
    answers = [await ada.api.post((await ada.live_zap())["hook_url"], headers=headers) for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted"]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "caf\xe9", "\x01"])
async def test_an_odd_idempotency_key_is_refused(ada: Person, key: str) -> None:
    zap = await ada.live_zap()
    answer = await ada.api.post(zap["hook_url"], headers=[(b"idempotency-key", key.encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    "path",
    ["", "/", "x", "/x/y", "/{user}", "/{user}/", "/{user}/{user}", "/{zap}/{zap}", "/{user}/{zap}x", "/{user}-{zap}",
     "/{user}/{unknown}", "/{unknown}/{zap}", "//{user}//", "/%7Buser%7D/%00", "/{{{user}}}/{zap}"],
)  # fmt: skip
async def test_where_no_zap_listens_it_says_so(ada: Person, path: str) -> None:
    zap = await ada.live_zap()
    ids = {"user": ada.id, "zap": zap["id"], "unknown": "01890000-0000-7000-8000-000000000000"}
    answer = await ada.api.post("/hooks/catch" + path.format(**ids))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_only_a_published_zap_that_is_on_takes_requests(ada: Person) -> None:
    zap = await ada.create_zap()

    async def hook() -> tuple[int, Json]:
        answer = await ada.api.post(zap["hook_url"])
        return answer.status_code, answer.json().get("code")

    seen = [await hook()]
    for command in ("publish", "pause", "enable"):
        await ada("POST", f"/zaps/{zap['id']}/{command}")
        seen.append(await hook())
    await ada("DELETE", f"/zaps/{zap['id']}")
    seen.append(await hook())
    assert seen == [(404, "not_found"), (200, None), (409, "zap_paused"), (200, None), (404, "not_found")]


async def test_new_runs_use_the_live_version(ada: Person) -> None:
    zap = await ada.live_zap()
    path = f"/zaps/{zap['id']}"
    versions = []
    for command, body in (("", None), ("publish", None), ("rollback", {"version": 1})):
        if command == "publish":
            await ada("PUT", path, json={**zap["draft"], "name": "Changed"}, headers={"if-match": "*"})
        if command:
            await ada("POST", f"{path}/{command}", json=body)
        answer = await ada.api.post(zap["hook_url"])
        versions.append((await requested(ada, answer.json()["run_id"]))["zap_version"])
    assert versions == [1, 2, 1]


async def test_what_can_not_be_committed_is_never_acknowledged(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    connection = await asyncpg.connect(dsn)
    async with running_api(dsn, patience_s=0.3) as api:
        await eventually(lambda: _is_taken(api, zap))
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(7301, 1)")
            answers = await asyncio.gather(*(api.post(zap["hook_url"]) for _ in range(20)))
    await connection.close()
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
    assert {answer.json()["code"] for answer in answers} == {"unavailable"}


async def _is_taken(api: httpx.AsyncClient, zap: dict[str, Any]) -> bool:
    return (await api.post(zap["hook_url"])).status_code == 200


class Sent(msgspec.Struct):
    """A request to a hook, as a sender makes it."""

    body: bytes
    headers: list[tuple[bytes, bytes]]
    content_type: bytes
    query: bytes
    suffix: str


# Whatever a server may hand on: httptools and h11 refuse more than these.
_header_names = st.text(st.characters(codec="latin-1"), min_size=1, max_size=30).map(
    lambda name: name.encode("latin-1")
)
_header_values = st.binary(max_size=60)
_known = st.sampled_from([b"content-type", b"idempotency-key", b"traceparent", b"content-length", b"content-encoding"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    sent=st.builds(
        Sent,
        body=st.one_of(st.binary(max_size=200), st.text(max_size=60).map(str.encode), st.just(b"[" * 3000)),
        headers=st.lists(st.tuples(st.one_of(_header_names, _known), _header_values), max_size=12),
        content_type=st.sampled_from([b"application/json", b"text/plain", b"", b"multipart/form-data; boundary=x"]),
        query=st.binary(max_size=60),
        suffix=st.text(max_size=20),
    )
)
def test_nothing_that_a_sender_sends_is_a_server_error(hook: "Hook", sent: Sent) -> None:
    assert hook(sent) in {200, 400, 413, 415, 431}


class Hook:
    """Calls the application without a client in between that would refuse odd headers; one loop for all examples."""

    def __init__(self, runner: asyncio.Runner, app: Any, path: str) -> None:
        self.runner, self.app, self.path = runner, app, path

    def __call__(self, sent: Sent) -> int:
        statuses: list[int] = []
        headers = [*sent.headers, (b"content-type", sent.content_type)]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http", "method": "POST", "path": f"{self.path}/{sent.suffix}", "raw_path": b"", "root_path": "",
            "query_string": sent.query, "headers": [(name.lower(), value) for name, value in headers], "scheme": "http",
            "http_version": "1.1", "server": ("x", 80), "client": ("x", 1), "asgi": {"version": "3.0"},
        }  # fmt: skip
        self.runner.run(self.app(scope, receive, send))
        (status,) = statuses
        return status


@pytest.fixture
def hook(postgres_server: str) -> Any:
    """A live hook, on a loop that ordinary functions can drive."""
    from tests.support import postgres

    with asyncio.Runner() as runner:
        database = postgres.cloned_database(postgres_server)
        api = running_api(runner.run(database.__aenter__()))
        client: httpx.AsyncClient = runner.run(api.__aenter__())

        async def live_zap() -> str:
            zap = await (await sign_up(client)).live_zap()
            return httpx.URL(zap["hook_url"]).path

        transport = client._transport
        assert isinstance(transport, httpx.ASGITransport)
        yield Hook(runner, transport.app, runner.run(live_zap()))
        runner.run(api.__aexit__(None, None, None))
        runner.run(database.__aexit__(None, None, None))
