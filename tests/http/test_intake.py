"""What a hook can be told to do: verify, filter, limit, split, answer; and its account of every request."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.intake import live_zaps, request_log
from domain.hook.hops import OWN_PER_MINUTE, Hop, Hops
from domain.hook.request import Request
from domain.intake.events import RequestRejected
from domain.log.event import StreamKind
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.api import ENCRYPTION_KEY, Person, running_api, sign_up
from tests.support.eventually import eventually
from tests.support.projected import append
from tests.support.world import World

SECRET = "It's a Secret to Everybody"
GITHUB = {"verification": {"preset": "github"}}
THE_RUN = "select stream_id from es.events where type = 'zap.run.requested' and tenant_id = $1"
Rejected = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
def rejected(ada: Person, shared_world: World) -> Rejected:
    """What is listed of a zap's requests, once the read model is up to date."""

    async def read(zap: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        await shared_world.project()
        answer = await ada("GET", f"/zaps/{zap['id']}/requests{query}")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    return read


def signed(body: bytes, secret: str = SECRET, delivery: str = "") -> dict[str, str]:
    """Headers as GitHub sends them."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}
    return headers | ({"x-github-delivery": delivery} if delivery else {})


async def context(ada: Person, run_id: str) -> dict[str, Any]:
    """The trigger as the run's templates see it."""
    trigger: dict[str, Any] = (await ada("GET", f"/runs/{run_id}")).json()["trigger"]
    return trigger


async def test_a_signed_request_is_accepted_and_one_bit_off_is_not(ada: Person) -> None:
    zap = await ada.live_zap(trigger=GITHUB, secrets=[SECRET])
    body = b'{"zen":"x"}'
    assert (await ada.api.post(zap["hook_url"], content=body, headers=signed(body))).status_code == 200
    for content, headers in ((b'{"zen":"y"}', signed(body)), (body, {}), (body, signed(body, "other"))):
        answer = await ada.api.post(zap["hook_url"], content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


async def test_without_a_secret_nobody_is_let_in(ada: Person) -> None:
    zap = await ada.live_zap(trigger=GITHUB, secrets=[SECRET])
    await ada("PUT", f"/zaps/{zap['id']}/secrets", json={"secrets": []})
    assert (await ada.api.post(zap["hook_url"], content=b"x", headers=signed(b"x", ""))).status_code == 401


@pytest.mark.parametrize(
    "verification",
    [{"preset": "github"}, {"preset": "header_token", "header": "x-key"}, {"preset": "hmac", "header": "x-sig"},
     {"preset": "basic", "username": "u"}, {"preset": "standard_webhooks"}],
)  # fmt: skip
async def test_a_hook_that_could_let_nobody_in_is_not_published(ada: Person, verification: dict[str, Any]) -> None:
    zap = await ada.create_zap(trigger={"verification": verification})
    refused = await ada("POST", f"/zaps/{zap['id']}/publish")
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "trigger.config.verification")
    assert f"PUT /api/v1/zaps/{zap['id']}/secrets" in refused.json()["detail"]
    await ada("PUT", f"/zaps/{zap['id']}/secrets", json={"secrets": [SECRET]})
    assert (await ada("POST", f"/zaps/{zap['id']}/publish")).status_code == 200


async def test_a_hook_that_needs_no_secret_is_published_without(ada: Person) -> None:
    for verification in ({"preset": "none"}, {"preset": "ip_allow", "cidrs": ["10.0.0.0/8"]}):
        await ada.live_zap(trigger={"verification": verification})


async def test_two_secrets_live_side_by_side(ada: Person) -> None:
    zap = await ada.live_zap(trigger=GITHUB, secrets=["the new one", "the old one"])
    for secret, status in (("the new one", 200), ("the old one", 200), ("the older", 401)):
        answer = await ada.api.post(zap["hook_url"], content=b"{}", headers=signed(b"{}", secret))
        assert answer.status_code == status
    too_many = await ada("PUT", f"/zaps/{zap['id']}/secrets", json={"secrets": ["a" * 8, "b" * 8, "c" * 8]})
    assert too_many.status_code == 400


async def test_secrets_go_in_and_never_come_out(ada: Person, bob: Person, dsn: str) -> None:
    zap = await ada.live_zap(trigger=GITHUB, secrets=["canary-secret"])
    path = f"/zaps/{zap['id']}/secrets"
    told = await ada("GET", path)
    assert told.json()["count"] == 1
    assert told.json()["changed_at"]
    assert (await bob("GET", path)).status_code == 404
    assert (await bob("PUT", path, json={"secrets": ["x" * 8]})).status_code == 404
    connection = await asyncpg.connect(dsn)
    boxes = await connection.fetchval("select boxes from hooks.secrets")
    log = await connection.fetch("select data, meta from es.events")
    await connection.close()
    assert len(boxes) == 1
    everything = [*boxes, *(value for row in log for value in row), told.content, (await ada("GET", "/zaps")).content]
    assert not [value for value in everything if b"canary" in value]
    assert b'{"count":1}' in {row["data"] for row in log}
    await ada("DELETE", f"/zaps/{zap['id']}")
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select boxes from hooks.secrets") == []
    await connection.close()


async def test_other_processes_see_changed_secrets_at_once(
    ada: Person, shared_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_zaps, "POLL_S", 3_600)
    zap = await ada.live_zap(trigger=GITHUB, secrets=["first secret"])
    async with running_api(shared_dsn) as other:
        for secret in ("second secret", "third secret"):
            assert (await other.post(zap["hook_url"], headers=signed(b"", secret))).status_code == 401
            await ada("PUT", f"/zaps/{zap['id']}/secrets", json={"secrets": [secret]})

            async def seen(secret: str = secret) -> bool:
                return (await other.post(zap["hook_url"], headers=signed(b"", secret))).status_code == 200

            await eventually(seen)


async def test_an_authentic_body_that_does_not_parse_is_kept_as_text(ada: Person) -> None:
    zap = await ada.live_zap(trigger=GITHUB, secrets=[SECRET])
    answer = await ada.api.post(zap["hook_url"], content=b'{"a":', headers=signed(b'{"a":'))
    assert answer.status_code == 200
    assert (await context(ada, answer.json()["run_id"]))["body"] == '{"a":'


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"verification": {"preset": "nope"}}, "trigger.config.verification.preset"),
        ({"x": 1}, "trigger.config.x"),
        ({"dedupe": {"window_days": 0}}, "trigger.config.dedupe.window_days"),
        ({"filter": {"all": []}}, "trigger.config.filter.all"),
        ({"reply": {"mode": "custom", "body": "{{ x"}}, "trigger.config.reply.body"),
        ({"reply": {"mode": "custom", "headers": {"set-cookie": "a=b"}}}, "trigger.config.reply"),
        ({"reply": {"mode": "wait", "timeout_s": 31}}, "trigger.config.reply.timeout_s"),
        ({"limit": {"per_minute": 0}}, "trigger.config.limit.per_minute"),
        ({"split": "a b"}, "trigger.config.split"),
    ],
)
async def test_a_config_that_is_no_good_is_refused_with_its_path(ada: Person, config: Any, path: str) -> None:
    body = {"name": "Z", "trigger": {"type": "webhook.catch", "config": config}}
    answer = await ada("POST", "/zaps", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


async def test_slack_s_challenge_is_echoed_and_starts_no_run(ada: Person) -> None:
    zap = await ada.live_zap(trigger={"verification": {"preset": "slack"}}, secrets=[SECRET])
    body, moment = b'{"type":"url_verification","challenge":"3eZbrw1aB"}', str(int(time.time()))
    digest = hmac.new(SECRET.encode(), b"v0:" + moment.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-signature": f"v0={digest}", "x-slack-request-timestamp": moment}
    answer = await ada.api.post(zap["hook_url"], content=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aB")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_the_run_shows_query_and_form_and_no_secrets(ada: Person) -> None:
    zap = await ada.live_zap()
    answer = await ada.api.post(zap["hook_url"] + "/a/b?x=1&x=2&api_key=canary&y=", data={"name": "Ada", "n": "1"})
    trigger = await context(ada, answer.json()["run_id"])
    assert trigger["query"] == {"x": ["1", "2"], "api_key": "[redacted]", "y": ""}
    assert trigger["query_string"] == "x=1&x=2&api_key=[redacted]&y="
    assert (trigger["body"], trigger["path"]) == ({"name": "Ada", "n": "1"}, "a/b")


async def test_templates_and_filters_see_the_query_as_it_came(ada: Person) -> None:
    query = (
        "?author=Jane&session_id=cs&page_token=p2&max_tokens=5&api_key=k&hub.verify_token=v%20w&validationToken=a%2Bb"
    )
    shown = (
        "{{ trigger.query.author }} {{ trigger.query.session_id }} {{ trigger.query.page_token }}"
        " {{ trigger.query.max_tokens }} {{ trigger.query.api_key }} {{ trigger.query.validationToken }}"
    )
    wanted = {"field": 'trigger.query["hub.verify_token"]', "operator": "equals", "value": "v w"}
    zap = await ada.live_zap(trigger={"reply": {"mode": "custom", "body": shown}, "filter": wanted})
    answer = await ada.api.post(zap["hook_url"] + query)
    assert (answer.status_code, answer.text) == (200, "Jane cs p2 5 k a+b")
    refused = await ada.api.post(zap["hook_url"] + query.replace("v%20w", "other"))
    assert refused.json()["status"] == "filtered"
    headers = {"authorization": "Bearer mine", "x-api-key": "k1", "x-token-count": "5"}
    body = (
        '{{ trigger.headers.authorization }} {{ trigger.headers["x-api-key"] }} {{ trigger.headers["x-token-count"] }}'
    )
    zap = await ada.live_zap(trigger={"reply": {"mode": "custom", "body": body}})
    assert (await ada.api.post(zap["hook_url"], headers=headers)).text == "Bearer mine k1 5"


CANARY = "canary-secret-5"


def _basic() -> dict[str, Any]:
    return {"headers": {"authorization": httpx.BasicAuth("ada", CANARY)._auth_header}}


@pytest.mark.parametrize(
    ("verification", "options"),
    [
        ({"preset": "header_token", "header": "X-Shop-Key"}, {"headers": {"x-shop-key": CANARY}}),
        ({"preset": "header_token", "header": "x-hush"}, {"headers": {"X-HUSH": CANARY}}),
        ({"preset": "header_token", "header": "Authorization"}, {"headers": {"authorization": CANARY}}),
        ({"preset": "header_token", "header": "x-hush"}, {"headers": {"x-hush": CANARY, "x-too": f"again {CANARY}"}}),
        ({"preset": "header_token", "header": "x-hush"}, {"headers": {"x-hush": CANARY}, "params": {"n": CANARY}}),
        ({"preset": "gitlab"}, {"headers": {"x-gitlab-token": CANARY}}),
        ({"preset": "bearer"}, {"headers": {"authorization": f"Bearer {CANARY}"}}),
        ({"preset": "bearer"}, {"params": {"access_token": CANARY, "a": "1"}}),
        ({"preset": "bearer"}, {"query": f"?access%5Ftoken={CANARY.replace('-', '%2D')}&a=1"}),
        ({"preset": "basic", "username": "ada"}, _basic()),
    ],
)
async def test_what_a_preset_verifies_with_reaches_nothing(
    ada: Person, shared_store: PgEventStore, verification: dict[str, Any], options: dict[str, Any]
) -> None:
    config = {"verification": verification, "reply": {"mode": "custom", "body": "{{ trigger }}"}}
    zap = await ada.live_zap(trigger=config, secrets=[CANARY])
    url = zap["hook_url"] + options.pop("query", "")
    answer = await ada.api.post(url, json={"n": 1}, **options)
    assert answer.status_code == 200
    assert "redacted" in answer.text
    pool, person = shared_store.pool, UUID(ada.id)
    log = [v for row in await pool.fetch("select data, meta from es.events where tenant_id = $1", person) for v in row]
    run_id = await pool.fetchval(THE_RUN, person)
    pages = [(await ada("GET", f"/runs/{run_id}{page}")).content for page in ("", "/events")]
    encoded = base64.b64encode(f"ada:{CANARY}".encode())
    leaks = (CANARY.encode(), CANARY.replace("-", "%2D").encode(), encoded)
    assert not [text for text in [*log, *pages, answer.content] if any(leak in text for leak in leaks)]
    refused = await ada.api.post(zap["hook_url"], content=f"n={CANARY}".encode())
    assert refused.status_code == 401
    assert not await pool.fetch(
        "select 1 from es.events where tenant_id = $1 and position(convert_to($2, 'UTF8') in data) > 0", person, CANARY
    )


async def test_a_raw_hook_parses_nothing(ada: Person) -> None:
    body = {"name": "Z", "trigger": {"type": "webhook.catch_raw", "config": {}}}
    zap = (await ada("POST", "/zaps", json=body)).json()
    await ada("POST", f"/zaps/{zap['id']}/publish")
    answer = await ada.api.post(zap["hook_url"], json={"a": 1})
    assert (await context(ada, answer.json()["run_id"]))["body"] == '{"a":1}'


async def test_a_compressed_body_is_unpacked_for_templates_and_kept_as_it_came(ada: Person) -> None:
    import gzip

    zap = await ada.live_zap()
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    answer = await ada.api.post(zap["hook_url"], content=gzip.compress(b'{"a":1}'), headers=headers)
    assert (await context(ada, answer.json()["run_id"]))["body"] == {"a": 1}
    bomb = gzip.compress(b"0" * 50_000_000)
    assert (await ada.api.post(zap["hook_url"], content=bomb, headers=headers)).status_code == 413


async def test_a_filtered_request_is_on_record_and_can_be_let_in(ada: Person, rejected: Rejected) -> None:
    wanted = {"field": "trigger.body.amount", "operator": "greater_than", "value": 100}
    zap = await ada.live_zap(trigger={"filter": wanted})
    assert (await ada.api.post(zap["hook_url"], json={"amount": 101})).json()["status"] == "accepted"
    answer = await ada.api.post(zap["hook_url"], json={"amount": 7, "password": "canary"})
    assert (answer.status_code, answer.json()["status"]) == (200, "filtered")
    (item,) = await rejected(zap)
    assert (item["id"], item["reason"], item["admissible"]) == (answer.json()["request_id"], "filtered", True)
    assert "amount" in item["detail"]
    assert "canary" not in item["excerpt"]
    path = f"/zaps/{zap['id']}/requests/{item['id']}/admit"
    let_in = [(await ada("POST", path)).json() for _ in range(2)]
    assert [one["status"] for one in let_in] == ["accepted", "duplicate"]
    assert let_in[0]["run_id"] == let_in[1]["run_id"]
    assert (await context(ada, let_in[0]["run_id"]))["body"]["amount"] == 7
    (item,) = await rejected(zap)
    assert item["run_id"] == let_in[0]["run_id"]


async def test_a_paused_zap_keeps_what_it_refuses(ada: Person, bob: Person, rejected: Rejected) -> None:
    zap = await ada.live_zap()
    await ada("POST", f"/zaps/{zap['id']}/pause")
    answer = await ada.api.post(zap["hook_url"], json={"n": 1}, headers={"idempotency-key": "d1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "zap_paused")
    (item,) = await rejected(zap)
    path = f"/zaps/{zap['id']}/requests/{item['id']}/admit"
    assert (await bob("POST", path)).status_code == 404
    await ada("POST", f"/zaps/{zap['id']}/enable")
    repeat = await ada.api.post(zap["hook_url"], json={"n": 1}, headers={"idempotency-key": "d1"})
    assert (await ada("POST", path)).json() == repeat.json() | {"status": "duplicate"}


async def test_a_request_is_let_in_once_also_when_its_key_is_forgotten(
    ada: Person, shared_store: PgEventStore, rejected: Rejected
) -> None:
    zap = await ada.live_zap(trigger={"filter": {"field": "trigger.body.n", "operator": "equals", "value": 1}})
    await ada.api.post(zap["hook_url"], json={"n": 2}, headers={"idempotency-key": "d1"})
    (item,) = await rejected(zap)
    path = f"/zaps/{zap['id']}/requests/{item['id']}/admit"
    pool = shared_store.pool
    answers = []
    for _ in range(3):
        answers.append((await ada("POST", path)).json())
        await pool.execute("delete from es.dedupe")
    await rejected(zap)
    answers.append((await ada("POST", path)).json())
    assert [answer["status"] for answer in answers] == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert len({answer["run_id"] for answer in answers}) == 1
    assert [str(row[0]) for row in await pool.fetch(THE_RUN, UUID(ada.id))] == [answers[0]["run_id"]]


async def test_what_an_earlier_release_refused_can_still_be_let_in_once(
    ada: Person, shared_store: PgEventStore, rejected: Rejected
) -> None:
    """It is in the part of the log that is kept for ever, and shares a stream with others of its zap."""
    zap = await ada.live_zap()
    zap_id, of_before = UUID(zap["id"]), new_id()
    refused = RequestRejected(zap_id=zap_id, reason="paused", status=409, method="POST", request=Request(body="1"))
    for _ in range(2):
        await append(shared_store, of_before, refused, tenant_id=UUID(ada.id), key=zap_id, kind=StreamKind.CORE)
    paths = [f"/zaps/{zap['id']}/requests/{item['id']}/admit" for item in await rejected(zap)] * 2
    let_in = [(await ada("POST", path)).json() for path in paths]
    assert [one["status"] for one in let_in] == ["accepted", "accepted", "duplicate", "duplicate"]
    assert [one["run_id"] for one in let_in[:2]] == [one["run_id"] for one in let_in[2:]]


async def test_what_the_log_does_not_take_is_on_record(ada: Person, rejected: Rejected) -> None:
    zap = await ada.live_zap(trigger={"split": True})
    answer = await ada.api.post(zap["hook_url"], json=[1] * 1_001)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    (item,) = await rejected(zap)
    assert (item["reason"], item["status"], item["admissible"]) == ("too_large", 413, False)


async def test_requests_of_another_method_are_counted(ada: Person, rejected: Rejected) -> None:
    zap = await ada.live_zap()
    for _ in range(3):
        await ada.api.get(zap["hook_url"])

    async def listed() -> list[dict[str, Any]]:
        return await rejected(zap)

    (item,) = await eventually(listed)
    assert (item["reason"], item["count"]) == ("method", 3)


def hop(depth: int, zap_id: str, *via: str) -> dict[str, str]:
    """The header as a run of that zap sends it, which runs of others led to."""
    return {"triggerhub-depth": Hops(ENCRYPTION_KEY).write(Hop(depth, UUID(zap_id), tuple(map(UUID, via))))}


async def test_a_chain_of_runs_has_an_end(ada: Person, rejected: Rejected) -> None:
    zap, other = await ada.live_zap(), str(new_id())
    for depth in (1, 10):
        answer = await ada.api.post(zap["hook_url"], headers=hop(depth, other))
        events = (await ada("GET", f"/runs/{answer.json()['run_id']}/events")).json()["items"]
        assert events[0]["data"]["depth"] == depth
    refused = await ada.api.post(zap["hook_url"], json={"n": 1}, headers=hop(11, other))
    assert (refused.status_code, refused.json()["code"]) == (508, "loop_detected")
    assert [item["reason"] for item in await rejected(zap)] == ["loop"]
    flags = (await ada("GET", f"/zaps/{zap['id']}")).json()["flags"]
    assert [flag["kind"] for flag in flags] == ["loop"]
    forged = {"triggerhub-depth": hop(1, other)["triggerhub-depth"].replace("1.", "11.", 1)}
    for headers in (forged, {"triggerhub-depth": "11"}, {"triggerhub-depth": "99"}):
        assert (await ada.api.post(zap["hook_url"], headers=headers)).status_code == 200


async def a_minutes_worth_is_taken(ada: Person, zap: dict[str, Any], headers: dict[str, str]) -> None:
    """And what the time that this takes has added, until one is refused."""
    began, accepted = time.monotonic(), 0
    while (answer := await ada.api.post(zap["hook_url"], headers=headers)).status_code == 200:
        accepted += 1
    assert answer.status_code == 508
    added = (time.monotonic() - began) * OWN_PER_MINUTE / 60
    assert OWN_PER_MINUTE <= accepted <= OWN_PER_MINUTE + added + 1


async def test_a_zap_starts_itself_so_often_and_no_more(ada: Person) -> None:
    zap, another = await ada.live_zap(), await ada.live_zap()
    await a_minutes_worth_is_taken(ada, zap, hop(1, zap["id"]))
    assert (await ada.api.post(zap["hook_url"])).status_code == 200
    assert (await ada.api.post(zap["hook_url"], headers=hop(1, another["id"]))).status_code == 200


async def test_a_zap_starts_itself_so_often_through_others_and_no_more(ada: Person) -> None:
    zap, between, last = [await ada.live_zap() for _ in range(3)]
    await a_minutes_worth_is_taken(ada, zap, hop(3, last["id"], zap["id"], between["id"]))
    run_id = (await ada.api.post(between["hook_url"], headers=hop(1, zap["id"]))).json()["run_id"]
    (asked, *_rest) = (await ada("GET", f"/runs/{run_id}/events")).json()["items"]
    assert (asked["data"]["depth"], asked["data"]["via"]) == (1, [zap["id"]])


async def test_each_item_counts_against_the_limit(ada: Person) -> None:
    zap = await ada.live_zap(trigger={"split": True, "limit": {"per_minute": 10}})
    assert (await ada.api.post(zap["hook_url"], json=list(range(8)))).status_code == 200
    assert (await ada.api.post(zap["hook_url"], json=list(range(8)))).status_code == 200
    assert (await ada.api.post(zap["hook_url"], json=[1])).status_code == 429


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
async def test_a_list_in_any_charset_is_split(ada: Person, encoding: str) -> None:
    zap = await ada.live_zap(trigger={"split": True})
    charset = "iso-8859-1" if encoding == "iso-8859-1" else "utf-8"
    headers = {"content-type": f"application/json; charset={charset}"}
    first = (await ada.api.post(zap["hook_url"], content='["ü",2.50]'.encode(encoding), headers=headers)).json()
    assert [(await context(ada, run_id))["body"] for run_id in first["run_ids"]] == ["ü", 2.5]


async def test_forgeries_are_on_record_and_can_not_be_let_in(ada: Person, rejected: Rejected) -> None:
    zap = await ada.live_zap(trigger=GITHUB, secrets=[SECRET])
    await ada.api.post(zap["hook_url"] + "/x", content=b"token=canary&a=\x00" + b"y" * 5_000)
    (item,) = await rejected(zap)
    assert (item["reason"], item["status"], item["path"], item["size"]) == ("bad_signature", 401, "x", 5_016)
    assert len(item["excerpt"]) <= 1_024
    assert "canary" not in item["excerpt"]
    answer = await ada("POST", f"/zaps/{zap['id']}/requests/{item['id']}/admit")
    assert (answer.status_code, item["admissible"]) == (409, False)
    assert (await ada("POST", f"/zaps/{zap['id']}/requests/{new_id()}/admit")).status_code == 404


async def test_every_refusal_has_its_reason(ada: Person, rejected: Rejected) -> None:
    zap = await ada.live_zap()
    for options in (
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"x" * 100_001},
        {"headers": {"x": "v" * 33_000}},
        {"content": b"&" * 1_001, "headers": {"content-type": "application/x-www-form-urlencoded"}},
    ):
        assert (await ada.api.post(zap["hook_url"], **options)).status_code >= 400
    reasons = [item["reason"] for item in await rejected(zap)]
    assert reasons == ["malformed", "too_large", "too_large", "malformed"]
    assert len(await rejected(zap, "?reason=malformed")) == 2


async def test_a_flood_is_counted_and_does_not_fill_the_log(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "PER_MINUTE", 5)
    async with running_api(dsn) as api:
        zap = await (await sign_up(api)).live_zap(trigger=GITHUB, secrets=[SECRET])
        await asyncio.gather(*(api.post(zap["hook_url"], content=b"forged") for _ in range(50)))
        assert (await api.post(zap["hook_url"], content=b"{}", headers=signed(b"{}"))).status_code == 200
    connection = await asyncpg.connect(dsn)
    types = await connection.fetch(
        "select type, count(*) from es.events where type like 'zap.request.%' group by 1 order by 1"
    )
    counted = await connection.fetchval("select convert_from(data, 'UTF8') from es.events where type = $1", types[0][0])
    await connection.close()
    assert [tuple(row) for row in types] == [("zap.request.counted", 1), ("zap.request.rejected", 5)]
    assert '"count":45' in counted


async def test_repeats_are_counted_under_their_run(ada: Person, rejected: Rejected) -> None:
    zap = await ada.live_zap()
    headers = {"idempotency-key": "d1"}
    runs = {(await ada.api.post(zap["hook_url"], headers=headers)).json()["run_id"] for _ in range(4)}

    async def listed() -> list[dict[str, Any]]:
        return await rejected(zap)

    (item,) = await eventually(listed)
    assert (item["reason"], item["count"], item["repeats"]) == ("duplicate", 3, {runs.pop(): 3})


async def test_a_custom_reply(ada: Person) -> None:
    reply = {"mode": "custom", "status": 201, "headers": {"X-Mine": "yes"}, "body": "Hi {{ trigger.body.name }}"}
    zap = await ada.live_zap(trigger={"reply": reply})
    answer = await ada.api.post(zap["hook_url"], json={"name": "<b>"})
    assert (answer.status_code, answer.text, answer.headers["x-mine"]) == (201, "Hi <b>", "yes")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await ada.api.post(zap["hook_url"], json={})).json()["status"] == "accepted"
    lone = {"mode": "custom", "headers": {"content-type": "application/json"}, "body": "{{ trigger.body }}"}
    zap = await ada.live_zap(trigger={"reply": lone})
    assert (await ada.api.post(zap["hook_url"], json={"a": [1]})).json() == {"a": [1]}


async def test_a_waiting_sender_hears_of_the_run(ada: Person, shared_store: PgEventStore) -> None:
    from tests.http.test_runs import fail_run

    zap = await ada.live_zap(trigger={"reply": {"mode": "wait", "timeout_s": 5}})
    waiting = asyncio.create_task(ada.api.post(zap["hook_url"]))
    run_id = str(await eventually(lambda: shared_store.pool.fetchval(THE_RUN, UUID(ada.id))))
    await fail_run(shared_store.dsn, ada, run_id)
    answer = await waiting
    assert (answer.status_code, answer.json()["status"], answer.json()["run_id"]) == (200, "failed", run_id)
    assert answer.json()["error"]["code"] == "http_status"
    zap = await ada.live_zap(trigger={"reply": {"mode": "wait", "timeout_s": 0.05}})
    answer = await ada.api.post(zap["hook_url"])
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.headers["location"] == answer.json()["url"]


async def test_a_list_becomes_a_run_per_item(ada: Person) -> None:
    zap = await ada.live_zap(trigger={"split": "trigger.body.data.items"})
    body, headers = b'{"data":{"items":[{"n":1.10},"two",3]}}', {"idempotency-key": "d1"}
    first = (await ada.api.post(zap["hook_url"], content=body, headers=headers)).json()
    assert (first["status"], len(first["run_ids"])) == ("accepted", 3)
    bodies = [(await context(ada, run_id))["body"] for run_id in first["run_ids"]]
    assert bodies == [{"n": 1.10}, "two", 3]
    again = (await ada.api.post(zap["hook_url"], content=body, headers=headers)).json()
    assert again == first | {"status": "duplicate"}
    alone = (await ada.api.post(zap["hook_url"], json={"data": 1})).json()
    assert "run_ids" not in alone


async def test_a_limit_is_shared_by_all_processes(ada: Person, shared_dsn: str, rejected: Rejected) -> None:
    zap = await ada.live_zap(trigger={"limit": {"per_minute": 100}})
    async with running_api(shared_dsn) as one, running_api(shared_dsn) as two, running_api(shared_dsn) as three:
        apis = (ada.api, one, two, three)
        answers = await asyncio.gather(*(apis[n % 4].post(zap["hook_url"], json={"n": n}) for n in range(200)))
    accepted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(accepted) + len(refused) == 200
    assert 100 <= len(accepted) <= 110
    assert {1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused} == {True}
    assert {item["reason"] for item in await rejected(zap)} == {"over_limit"}


async def test_a_user_s_zaps_share_a_limit(shared_dsn: str) -> None:
    async with running_api(shared_dsn, user_per_minute=10) as api:
        ada = await sign_up(api)
        zaps = [await ada.live_zap() for _ in range(2)]
        statuses = [(await api.post(zaps[n % 2]["hook_url"])).status_code for n in range(14)]
        assert statuses[:10] == [200] * 10
        assert set(statuses[12:]) == {429}


async def test_cloud_events_in_both_forms(ada: Person) -> None:
    zap = await ada.live_zap()
    binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-note": "Euro%20%E2%82%AC"}
    structured = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}
    first = await ada.api.post(zap["hook_url"], json={"a": 1}, headers=binary)
    event = (await context(ada, first.json()["run_id"]))["event"]
    assert (event["data"], event["note"]) == ({"a": 1}, "Euro €")
    headers = {"content-type": "application/cloudevents+json"}
    again = await ada.api.post(zap["hook_url"], json=structured, headers=headers)
    assert again.json() == first.json() | {"status": "duplicate"}
    for broken in ({**binary, "ce-note": "%C0%A0"}, {"ce-specversion": "1.0"}):
        assert (await ada.api.post(zap["hook_url"], json={}, headers=broken)).status_code == 400


async def test_consent_is_given_to_who_asks_for_it(ada: Person) -> None:
    zap = await ada.live_zap(trigger={"limit": {"per_minute": 120}})
    headers = {"webhook-request-origin": "eventemitter.example.com", "webhook-request-rate": "500"}
    answer = await ada.api.options(zap["hook_url"], headers=headers)
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    assert answer.headers["webhook-allowed-rate"] == "120"
    assert "webhook-allowed-origin" not in (await ada.api.options(zap["hook_url"])).headers
    assert (await ada.api.options(f"/hooks/catch/{ada.id}/{new_id()}", headers=headers)).status_code == 404
