"""Everything that GitHub sends, signed as it signs: one delivery is one run, however often it comes."""

import asyncio
import hashlib
import hmac
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.test_hooks import Hook, Sent
from tests.support import postgres
from tests.support.api import Person, running_api, sign_up
from tests.support.webhooks import github_examples

SECRET = "It's a Secret to Everybody"
CONFIG = {"verification": {"preset": "github"}}


def deliveries() -> list[tuple[bytes, dict[str, str]]]:
    """Each example as a delivery of its own."""
    return [
        (
            body,
            {
                "content-type": "application/json",
                "x-github-event": event,
                "x-github-delivery": f"delivery-{number}",
                "x-hub-signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
            },
        )
        for number, (event, body) in enumerate(github_examples())
    ]


async def test_all_github_payloads_are_runs_once(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap(trigger=CONFIG, secrets=[SECRET])
    sent = deliveries()
    assert len(sent) == 329
    at_once = asyncio.Semaphore(50)  # all of them may take this process longer than a sender is kept waiting

    async def post(delivery: tuple[bytes, dict[str, str]]) -> dict[str, Any]:
        async with at_once:
            answer = await ada.api.post(zap["hook_url"], content=delivery[0], headers=delivery[1])
        assert answer.status_code == 200, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    first = await asyncio.gather(*map(post, sent))
    again = (await asyncio.gather(*map(post, reversed(sent))))[::-1]
    assert {answer["status"] for answer in first} == {"accepted"}
    assert again == [answer | {"status": "duplicate"} for answer in first]
    assert await count_runs(dsn) == len({answer["run_id"] for answer in first}) == 329


async def test_fifty_racing_copies_of_each_are_one_run(ada: Person, dsn: str) -> None:
    zap = await ada.live_zap(trigger=CONFIG, secrets=[SECRET])
    sent = deliveries()[::16]

    async def post(body: bytes, headers: dict[str, str]) -> tuple[str, str, str]:
        answer = await ada.api.post(zap["hook_url"], content=body, headers=headers)
        while answer.status_code == 503:  # a thousand at once may be too many for two seconds: as senders do, again
            answer = await ada.api.post(zap["hook_url"], content=body, headers=headers)
        accepted = answer.json()
        return headers["x-github-delivery"], accepted["status"], accepted["run_id"]

    answers = await asyncio.gather(*(post(body, headers) for body, headers in sent * 50))
    assert Counter(status for _, status, _ in answers) == {"accepted": len(sent), "duplicate": 49 * len(sent)}
    assert len({(delivery, run_id) for delivery, _, run_id in answers}) == len(sent)
    assert await count_runs(dsn) == len(sent)


async def test_a_forged_first_delivery_does_not_use_up_the_id(ada: Person) -> None:
    zap = await ada.live_zap(trigger=CONFIG, secrets=[SECRET])
    body, headers = deliveries()[0]
    forged = headers | {"x-hub-signature-256": "sha256=" + "0" * 64}
    assert (await ada.api.post(zap["hook_url"], content=body, headers=forged)).status_code == 401
    assert (await ada.api.post(zap["hook_url"], content=body, headers=headers)).json()["status"] == "accepted"


async def count_runs(dsn: str) -> int:
    """Runs in the log."""
    connection = await asyncpg.connect(dsn)
    found: int = await connection.fetchval("select count(*) from es.events where type = 'zap.run.requested'")
    await connection.close()
    return found


async def test_fifty_bodies_at_the_limit_do_not_blow_memory(dsn: str) -> None:
    """Each would be held several times over; at most three of one hook are under way, the others wait or get a 503."""
    size = 10 * 2**20

    async def chunks() -> AsyncIterator[bytes]:
        piece = b'"' + b"x" * 65_534 + b'",'
        for _ in range(size // len(piece)):
            await asyncio.sleep(0)
            yield piece

    async with running_api(dsn, max_body=size) as api:
        url = (await (await sign_up(api)).live_zap())["hook_url"]
        headers = {"content-type": "text/plain"}
        await api.post(url, content=chunks(), headers=headers)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answers = await asyncio.gather(*(api.post(url, content=chunks(), headers=headers) for _ in range(50)))
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 503}
    assert statuses[200] >= 3
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 503} <= {"1"}
    assert grown_mib < 700


CONFIGS: tuple[dict[str, Any], ...] = (
    CONFIG,
    {"verification": {"preset": "stripe"}},
    {"verification": {"preset": "standard_webhooks"}},
    {"verification": {"preset": "slack"}},
    {"verification": {"preset": "twilio"}},
    {"verification": {"preset": "basic", "username": "u"}},
    {"verification": {"preset": "bearer"}},
    {
        "filter": {"field": "trigger.body.a", "operator": "exists"},
        "split": True,
        "dedupe": {"from": "body", "path": "trigger.body.id"},
    },
    {"reply": {"mode": "custom", "body": "{{ trigger.body }} {{ trigger.query.x | upcase }}"}},
)
_CONTENT_TYPES = [
    b"application/json", b"text/plain", b"", b"multipart/form-data; boundary=x", b"application/xml",
    b"application/x-www-form-urlencoded", b"application/cloudevents+json", b"text/plain; charset=utf-7",
]  # fmt: skip
_names = st.sampled_from(
    [
        b"idempotency-key", b"content-encoding", b"content-length", b"authorization", b"stripe-signature",
        b"x-hub-signature-256", b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"x-slack-signature",
        b"x-slack-request-timestamp", b"x-twilio-signature", b"ce-specversion", b"ce-id", b"ce-source", b"ce-type",
    ]
)  # fmt: skip
_values = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"gzip", b"1.0", b"t=1,v1=a", b"v1,a=", b"Basic !", b"Bearer \xff", b""])
)
_bodies = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"[" * 3_000, b"[1,2]", b'{"a":1,"id":[]}', b"<a>&x;</a>", b"--x\r\n\r\n", b"a=%ff&a=\x00"]),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    number=st.integers(0, len(CONFIGS) - 1),
    sent=st.builds(
        Sent,
        body=_bodies,
        headers=st.lists(st.tuples(_names, _values), max_size=8),
        content_type=st.sampled_from(_CONTENT_TYPES),
        query=st.one_of(st.binary(max_size=60), st.sampled_from([b"x=1&x=2", b"bodySHA256=a", b"access_token=a"])),
        suffix=st.text(max_size=20),
    ),
)
def test_no_request_to_any_hook_is_a_server_error(hooks: "list[Hook]", number: int, sent: Sent) -> None:
    assert hooks[number](sent) in {200, 400, 401, 413, 415, 431}


@pytest.fixture
def hooks(postgres_server: str) -> Iterator[list[Hook]]:
    """A live hook for each configuration, on a loop that ordinary functions can drive."""
    with asyncio.Runner() as runner:
        database = postgres.cloned_database(postgres_server)
        api = running_api(runner.run(database.__aenter__()))
        client: httpx.AsyncClient = runner.run(api.__aenter__())

        async def live_zaps() -> list[str]:
            ada = await sign_up(client)
            zaps = [await ada.live_zap(trigger=config, secrets=["a secret of some length"]) for config in CONFIGS]
            return [httpx.URL(zap["hook_url"]).path for zap in zaps]

        transport = client._transport
        assert isinstance(transport, httpx.ASGITransport)
        yield [Hook(runner, transport.app, path) for path in runner.run(live_zaps())]
        runner.run(api.__aexit__(None, None, None))
        runner.run(database.__aexit__(None, None, None))
