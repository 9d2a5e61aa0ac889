"""A draft is tested before it is published: what each step would do, with stubs or really, and nothing of it a run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.commands import draft_tests
from consumers.connectors import catalog
from consumers.outbound.addresses import parse_networks
from domain.hook.request import Request
from domain.log.event import StreamKind, decode_metadata
from domain.registry import decode
from domain.run.children import ChildIds, LoopStarted, Parent
from domain.run.events import RunRequested, StepSucceeded
from domain.zap.events import DraftTested
from sql.process.clock import new_id, now
from tests.support import postgres
from tests.support.api import Person, running_api, sign_up
from tests.support.projected import append
from tests.support.raw_target import RawTarget, raw_target
from tests.support.served_api import build_read_models
from tests.support.stores import patient_store

EU = {"field": "trigger.body.country", "operator": "equals", "value": "DE"}


@pytest.fixture(scope="module")
async def own_database(postgres_server: str) -> AsyncIterator[str]:
    async with postgres.cloned_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def api(own_database: str) -> AsyncIterator[httpx.AsyncClient]:
    """With the real connectors, and leave to call this machine."""
    async with running_api(own_database, catalog=catalog(), outbound_allow=parse_networks("127.0.0.0/8")) as client:
        yield client


@pytest.fixture
async def ada(api: httpx.AsyncClient) -> Person:
    return await sign_up(api, name="Ada")


@pytest.fixture
async def target() -> AsyncIterator[RawTarget]:
    async with raw_target() as opened:
        yield opened


def send(url: str, step_id: str = "send", **more: Any) -> dict[str, Any]:
    """An action that posts what came."""
    config = {"method": "POST", "url": url, "body": {"n": "{{ trigger.body.n }}"}}
    return {"id": step_id, "kind": "action", "type": "http.request", "config": config} | more


async def draft(ada: Person, *steps: dict[str, Any], **settings: Any) -> dict[str, Any]:
    body = {"name": "z", "trigger": {"type": "webhook.catch"}, "steps": steps}
    answer = await ada("POST", "/zaps", json=body | ({"settings": settings} if settings else {}))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def tried(ada: Person, zap: dict[str, Any], **wish: Any) -> dict[str, Any]:
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json={"sample": {"payload": {"n": 1}}} | wish)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def by_id(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["id"]: step for step in answer["steps"]}


async def test_a_test_shows_what_each_step_would_do_and_sends_nothing(ada: Person, target: RawTarget) -> None:
    route = {
        "id": "route", "kind": "paths",
        "paths": [{"id": "eu", "condition": EU, "steps": [send(target.url)]}],
        "otherwise": {"steps": [{"id": "halt", "kind": "stop", "as": "failed", "message": "no"}]},
    }  # fmt: skip
    answer = {"id": "answer", "kind": "return", "value": {"id": "{{ steps.send.output.body.id }}"}}
    zap = await draft(ada, route, {"id": "wait", "kind": "delay", "for_s": 3_600}, answer)
    sample = {"payload": {"n": 7, "country": "DE"}}
    shown = await tried(ada, zap, sample=sample, stubs={"send": {"status": 201, "body": {"id": 42}}})
    assert shown["outcome"] == {
        "status": "completed", "timed_out": False, "error": None, "reason": None, "answer": {"id": 42}
    }  # fmt: skip
    steps = by_id(shown)
    assert (steps["send"]["input"]["body"], steps["send"]["output"]["status"]) == ({"n": 7}, 201)
    assert (steps["send"]["answered_by"], steps["send"]["parent"], steps["send"]["branch"]) == ("stub", "route", "eu")
    assert steps["route"]["decision"]["reasons"]["eu"] == 'trigger.body.country equals "DE": is "DE"'
    assert (steps["halt"]["status"], steps["halt"]["why"]) == (
        "skipped", "otherwise of route was not taken: a path was taken"
    )  # fmt: skip
    assert steps["wait"]["output"]["until"] > steps["send"]["finished_at"]
    assert target.requests == []


async def test_without_a_stub_an_action_is_answered_by_a_sample(ada: Person, target: RawTarget) -> None:
    shown = await tried(ada, await draft(ada, send(target.url)))
    assert (shown["steps"][0]["answered_by"], shown["steps"][0]["output"]["status"]) == ("sample", 200)
    assert target.requests == []


async def test_the_sample_run_answers_as_it_was_answered(ada: Person, target: RawTarget, own_database: str) -> None:
    zap = await draft(ada, send(target.url), send(target.url, "second"))
    await ada("POST", f"/zaps/{zap['id']}/publish")
    run_id = (await ada.api.post(zap["hook_url"], json={"n": 3})).json()["run_id"]
    async with patient_store(own_database) as store:
        done = StepSucceeded(step_id="send", attempt=1, started_at=now(), duration_ms=1.0, output={"body": {"id": 5}})
        await append(store, UUID(run_id), done, tenant_id=UUID(ada.id), key=UUID(run_id))
    shown = await tried(ada, zap, sample={"run_id": run_id})
    steps = by_id(shown)
    answered = [(step["answered_by"], step["input"]["body"]) for step in shown["steps"]]
    assert answered == [("record", {"n": 3}), ("sample", {"n": 3})]
    assert steps["send"]["output"] == {"body": {"id": 5}}
    run = (await ada("GET", f"/runs/{run_id}")).json()
    assert shown["sample_position"] == run["position"]


async def test_one_step_is_tested_alone_with_what_is_known_of_the_others(ada: Person, target: RawTarget) -> None:
    target.says("Content-Type: application/json", body=b'{"id": 9}')
    second = send(target.url, "second")
    second["config"]["body"] = {"of": "{{ steps.first.output.body.id }}"}
    zap = await draft(ada, send(target.url, "first"), second, send(target.url, "third"))
    stubs = {"first": {"body": {"id": 8}}}
    shown = await tried(ada, zap, steps=["second"], effects="real", stubs=stubs)
    assert [(s["id"], s["status"], s.get("answered_by")) for s in shown["steps"]] == [
        ("first", "succeeded", "stub"), ("second", "succeeded", "target"), ("third", "pending", None),
    ]  # fmt: skip
    assert (shown["outcome"]["status"], by_id(shown)["second"]["output"]["body"]) == ("partial", {"id": 9})
    (request,) = target.requests
    assert request.body == b'{"of":8}'


async def test_real_effects_are_made_once_under_a_key_of_their_own_and_put_on_record(
    ada: Person, target: RawTarget, own_database: str
) -> None:
    zap = await draft(ada, send(target.url))
    before = (await ada("GET", f"/zaps/{zap['id']}")).headers["etag"]
    shown = await tried(ada, zap, effects="real")
    assert shown["outcome"]["status"] == "completed"
    (request,) = target.requests
    assert f"idempotency-key: {shown['id']}.send".encode() in request.head.lower()
    assert (await ada("GET", f"/zaps/{zap['id']}")).headers["etag"] == before
    assert (await ada("GET", f"/runs/{shown['id']}")).status_code == 404
    async with patient_store(own_database) as store:
        (stored,) = await store.read_stream(StreamKind.CORE, UUID(shown["id"]))
        assert await store.read_stream(StreamKind.RUN, UUID(shown["id"])) == []
    event = decode(stored.type, stored.schema_version, stored.data)
    assert event == DraftTested(zap_id=UUID(zap["id"]), draft=1)
    assert decode_metadata(stored.meta).actor == f"user:{ada.id}"


async def test_a_test_with_stubs_leaves_nothing_in_the_log(ada: Person, target: RawTarget, own_database: str) -> None:
    zap = await draft(ada, send(target.url))
    async with patient_store(own_database) as store:
        before = await store.head()
        await tried(ada, zap)
        assert await store.head() == before


async def test_a_repeat_with_the_same_key_is_not_made_again(ada: Person, target: RawTarget) -> None:
    zap = await draft(ada, send(target.url))
    wish = {"sample": {"payload": {"n": 1}}, "effects": "real"}
    path, headers = f"/zaps/{zap['id']}/test", {"idempotency-key": "once"}
    first, second = [await ada("POST", path, json=wish, headers=headers) for _ in range(2)]
    assert first.json() == second.json()
    assert len(target.requests) == 1


async def test_a_retry_is_told_of_and_not_waited_for(ada: Person, target: RawTarget) -> None:
    target.says(status="503 Unavailable")
    shown = await tried(ada, await draft(ada, send(target.url), send(target.url, "next")), effects="real")
    assert shown["outcome"]["status"] == "waiting"
    (attempt,) = shown["steps"][0]["attempts"]
    assert (attempt["attempt"], attempt["error"]["code"]) == (1, "http_503")
    assert attempt["retry_at"] > attempt["started_at"]
    assert shown["steps"][1]["status"] == "pending"
    assert len(target.requests) == 1


async def test_a_stub_may_be_a_failure(ada: Person, target: RawTarget) -> None:
    repair = {"steps": [{"id": "repair", "kind": "set", "values": {"why": "{{ steps.send.error.code }}"}}]}
    zap = await draft(ada, send(target.url, on_error=repair), send(target.url, "next"))
    stubs = {"send": {"error": {"code": "http_404", "message": "gone"}}}
    steps = by_id(await tried(ada, zap, stubs=stubs))
    assert (steps["send"]["status"], steps["repair"]["output"]) == ("failed", {"why": "http_404"})
    assert steps["next"]["why"] == "send failed: the steps of its on_error run instead"


async def test_decisions_may_be_given(ada: Person, target: RawTarget) -> None:
    no = {"field": "trigger.body.n", "operator": "equals", "value": 0}
    route = {"id": "route", "kind": "paths", "paths": [{"id": "a", "condition": no, "steps": [send(target.url)]}]}
    zap = await draft(ada, {"id": "f", "kind": "filter", "condition": no}, route)
    assert (await tried(ada, zap))["outcome"]["reason"].startswith("trigger.body.n equals 0")
    shown = await tried(ada, zap, stubs={"f": {"passes": True}, "route": {"taken": ["a"]}})
    assert shown["outcome"]["status"] == "completed"
    assert by_id(shown)["send"]["status"] == "succeeded"


async def test_what_takes_too_long_is_left_where_it_was(
    ada: Person, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_tests, "LIMIT_S", 0.3)
    target.answer = b""
    shown = await tried(ada, await draft(ada, send(target.url), send(target.url, "next")), effects="real")
    assert (shown["outcome"]["status"], shown["outcome"]["timed_out"]) == ("partial", True)
    assert [step["status"] for step in shown["steps"]] == ["running", "pending"]
    assert len(target.requests) == 1


async def test_a_tenant_has_two_tests_at_a_time(
    ada: Person, bob: Person, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_tests, "LIMIT_S", 0.5)
    target.answer = b""
    zap = await draft(ada, send(target.url))
    wish = {"sample": {"payload": {"n": 1}}, "effects": "real", "steps": ["send"]}
    his = await draft(bob, send(target.url))
    asked = [ada("POST", f"/zaps/{zap['id']}/test", json=wish) for _ in range(4)]
    *answers, other = await asyncio.gather(*asked, bob("POST", f"/zaps/{his['id']}/test", json=wish))
    assert other.status_code == 200, "her tests take none of his turns"
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "5")
    assert (await ada("POST", f"/zaps/{zap['id']}/test", json=wish)).status_code == 200


async def test_a_test_reaches_no_internal_network(ada: Person) -> None:
    shown = await tried(ada, await draft(ada, send("http://169.254.169.254/")), effects="real")
    assert shown["outcome"]["error"]["code"] == "address_refused"


async def test_a_heavy_template_is_rendered_elsewhere_and_has_its_bounds(ada: Person) -> None:
    endless = "{% for i in (1..100000) %}{% for j in (1..100000) %}{{ j }}{% endfor %}{% endfor %}"
    shown = await tried(ada, await draft(ada, {"id": "s", "kind": "set", "values": {"x": endless}}))
    assert shown["outcome"]["status"] == "failed"
    many = "{% for i in (1..5000) %}{{ i }}{% endfor %}"
    shown = await tried(ada, await draft(ada, {"id": "s", "kind": "set", "values": {"x": many}}))
    assert shown["steps"][0]["output"]["x"].startswith("123")


async def test_secrets_are_not_shown(ada: Person, target: RawTarget) -> None:
    step = send(target.url)
    step["config"]["headers"] = {"Authorization": "Bearer {{ trigger.body.n }}"}
    shown = await tried(ada, await draft(ada, step))
    assert shown["steps"][0]["input"]["headers"]["Authorization"] == "[redacted]"


@pytest.mark.parametrize(
    ("wish", "status", "path"),
    [
        ({"sample": {}}, 400, "sample"),
        ({"sample": {"payload": 1, "run_id": "01900000-0000-7000-8000-000000000001"}}, 400, "sample"),
        ({"steps": ["nope"]}, 422, "steps.0"),
        ({"stubs": {"nope": 1}}, 422, "stubs.nope"),
        ({"stubs": {"send": {"error": 7}}}, 422, "stubs.send"),
        ({"effects": "both"}, 400, "effects"),
    ],
)
async def test_a_wrong_wish_is_refused(ada: Person, wish: dict[str, Any], status: int, path: str) -> None:
    zap = await draft(ada, send("http://example.org"))
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json={"sample": {"payload": 1}} | wish)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (status, path)


async def test_the_answer_of_a_person_is_a_decision(ada: Person) -> None:
    ask = {"id": "ask", "kind": "approval", "title": "Refund?", "to": [{"role": "owner"}]}
    zap = await draft(ada, ask)
    wish = {"sample": {"payload": 1}, "stubs": {"ask": {"decision": "aprove"}}}
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json=wish)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "stubs.ask")
    shown = await tried(ada, zap, stubs={"ask": {"decision": "reject"}})
    assert shown["outcome"]["error"]["message"] == "rejected by the test"


async def test_zaps_and_samples_of_others_are_not_found(ada: Person, api: httpx.AsyncClient) -> None:
    bob = await sign_up(api, name="Bob")
    theirs, zap = await draft(ada, send("http://example.org")), await draft(bob, send("http://example.org"))
    await ada("POST", f"/zaps/{theirs['id']}/publish")
    run_id = (await api.post(theirs["hook_url"], json={})).json()["run_id"]
    for path, sample in (
        (zap["id"], {"run_id": run_id}),
        (theirs["id"], {"payload": 1}),
    ):
        answer = await bob("POST", f"/zaps/{path}/test", json={"sample": sample})
        assert answer.status_code == 404, answer.text


async def test_a_request_that_started_no_run_is_a_sample(ada: Person, own_database: str, target: RawTarget) -> None:
    zap = await draft(ada, send(target.url), when_paused="hold")
    await ada("POST", f"/zaps/{zap['id']}/publish")
    await ada("POST", f"/zaps/{zap['id']}/pause")
    assert (await ada.api.post(zap["hook_url"], json={"n": 11})).status_code == 200
    await build_read_models(own_database)
    (held,) = (await ada("GET", f"/zaps/{zap['id']}/requests")).json()["items"]
    shown = await tried(ada, zap, sample={"request_id": held["id"]})
    assert (shown["steps"][0]["input"]["body"], shown["sample_position"]) == ({"n": 11}, held["position"])


async def test_nobody_is_asked_and_nobody_is_waited_for(ada: Person, target: RawTarget, own_database: str) -> None:
    ask: dict[str, Any] = {"id": "ask", "kind": "approval", "title": "Refund?", "to": [{"email": "boss@example.com"}]}
    ask["rejected"] = {"steps": [send(target.url, "sorry")]}
    tell = send(target.url, "tell")
    tell["config"]["body"] = {"url": "{{ callback.back.url }}"}
    note = {
        "id": "note",
        "kind": "set",
        "values": {"by": "{{ steps.ask.output.by }}", "n": "{{ steps.back.output.body.n }}"},
    }
    zap = await draft(ada, ask, tell, {"id": "back", "kind": "wait_for"}, note)
    async with patient_store(own_database) as store:
        before = await store.head()
        stubs = {"back": {"body": {"n": 5}}}
        shown = await tried(ada, zap, stubs=stubs)
        rejected = await tried(ada, zap, stubs={"ask": {"decision": "reject", "by": "bob@example.com"}})
        assert await store.head() == before
    steps = by_id(shown)
    assert (shown["outcome"]["status"], steps["note"]["output"]) == ("completed", {"by": "ada@example.com", "n": 5})
    assert [steps[step_id].get("answered_by") for step_id in ("ask", "tell", "back")] == ["sample", "sample", "stub"]
    assert (steps["sorry"]["status"], steps["sorry"]["branch"]) == ("skipped", "rejected")
    url = steps["tell"]["input"]["body"]["url"]
    assert (await ada.api.post(url, json={})).status_code == 404
    again = by_id(rejected)
    assert [(again[step_id]["status"]) for step_id in ("sorry", "tell")] == ["succeeded", "skipped"]
    assert target.requests == []


async def test_an_item_of_a_loop_is_no_sample_but_its_run_is(ada: Person, own_database: str) -> None:
    zap = await draft(ada, send("http://example.org"))
    await ada("POST", f"/zaps/{zap['id']}/publish")
    parent = (await ada.api.post(zap["hook_url"], json={"n": 1})).json()["run_id"]
    item = RunRequested(
        zap_id=UUID(zap["id"]), zap_version=1, source="item", request=Request(),
        parent=Parent(run_id=UUID(parent), step_id="each", count=1),
    )  # fmt: skip
    run_id = new_id()
    async with patient_store(own_database) as store:
        await append(store, run_id, item, tenant_id=UUID(ada.id), key=run_id)
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json={"sample": {"run_id": str(run_id)}})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")
    assert parent in answer.json()["detail"]
    assert (await tried(ada, zap, sample={"run_id": parent}))["outcome"]["status"] == "completed"


def each(*steps: dict[str, Any], items: Any = "{{ trigger.body.lines }}", **more: Any) -> dict[str, Any]:
    return {"id": "each", "kind": "for_each", "items": items, "steps": steps} | more


def line(url: str, step_id: str = "add", value: str = "{{ item }} {{ loop.index }}/{{ loop.count }}") -> dict[str, Any]:
    made = send(url, step_id)
    made["config"]["body"] = {"line": value}
    return made


async def test_a_loop_does_its_first_items_and_shows_their_steps(ada: Person, target: RawTarget) -> None:
    odd = {"id": "odd", "kind": "filter", "condition": {"field": "loop.index", "operator": "not_equals", "value": 1}}
    note = {"id": "note", "kind": "set", "values": {"ids": "{{ steps.each.output.items | map: 'result' | compact }}"}}
    zap = await draft(ada, each(odd, line(target.url), result="{{ steps.add.output.body.id }}"), note)
    lines = [f"l{index}" for index in range(1_000)]
    shown = await tried(ada, zap, sample={"payload": {"lines": lines}}, stubs={"add": {"body": {"id": 7}}})
    steps = by_id(shown)
    loop = steps["each"]
    assert (shown["outcome"]["status"], [item["index"] for item in loop["items"]]) == ("completed", [*range(10)])
    output = loop["output"]
    assert (output["count"], output["succeeded"], output["filtered"], output["cancelled"]) == (1_000, 9, 1, 990)
    assert output["items"][:2] == [{"index": 0, "status": "completed", "result": 7}, {"index": 1, "status": "filtered"}]
    assert (len(output["items"]), output.get("result_ref")) == (10, None)
    assert steps["note"]["output"] == {"ids": "[7,7,7,7,7,7,7,7,7]"}
    third, second = loop["items"][2], loop["items"][1]
    assert (second["status"], second["reason"]) == ("filtered", "loop.index not_equals 1: is 1")
    assert (second["steps"][0]["decision"]["passes"], second["steps"][1]["status"]) == (False, "skipped")
    assert (third["item"], third["status"], third["steps"][1]["answered_by"]) == ("l2", "completed", "stub")
    assert third["steps"][1]["input"]["body"] == {"line": "l2 2/1000"}
    assert target.requests == []


async def test_items_are_chosen_by_their_indexes(ada: Person, target: RawTarget) -> None:
    zap = await draft(ada, each(line(target.url)))
    wish = {"sample": {"payload": {"lines": ["a", "b", "c"]}}, "items": {"each": [2, 99, 0, 2]}}
    shown = await tried(ada, zap, **wish)
    bodies = [item["steps"][0]["input"]["body"]["line"] for item in shown["steps"][0]["items"]]
    assert bodies == ["a 0/3", "c 2/3"]
    assert [item["index"] for item in shown["steps"][0]["output"]["items"]] == [0, 2]


async def test_a_step_inside_a_loop_is_tested_with_the_first_item(ada: Person, target: RawTarget) -> None:
    second = line(target.url, "second", "{{ steps.first.output.of }} {{ item }}")
    loop = each(line(target.url, "first"), second, line(target.url, "third"), order="parallel")
    zap = await draft(ada, loop, send(target.url, "behind"))
    wish = {"sample": {"payload": {"lines": ["a", "b"]}}, "steps": ["second"], "stubs": {"first": {"of": 5}}}
    shown = await tried(ada, zap, effects="real", **wish)
    (item,) = shown["steps"][0]["items"]
    assert [(s["id"], s["status"], s.get("answered_by")) for s in item["steps"]] == [
        ("first", "succeeded", "stub"), ("second", "succeeded", "target"), ("third", "pending", None),
    ]  # fmt: skip
    assert (shown["outcome"]["status"], item["status"], shown["steps"][1]["status"]) == (
        "partial",
        "partial",
        "pending",
    )
    (request,) = target.requests
    assert request.body == b'{"line":"5 a"}'


async def test_items_of_a_past_run_answer_for_the_same_items(ada: Person, target: RawTarget, own_database: str) -> None:
    """The first one as it was, the second one was another text then, the third one never was."""
    zap = await draft(ada, each(line(target.url)))
    await ada("POST", f"/zaps/{zap['id']}/publish")
    root = UUID((await ada.api.post(zap["hook_url"], json={"lines": ["a", "b", "c"]})).json()["run_id"])
    loop = LoopStarted(step_id="each", count=3, items_sha256="", at=now(), version=1)
    async with patient_store(own_database) as store:
        await append(store, root, loop, tenant_id=UUID(ada.id), key=root)
        for index, item in enumerate(("a", "x")):
            above = Parent(run_id=root, step_id="each", waits=True, index=index, count=3, version=1)
            asked = RunRequested(
                zap_id=UUID(zap["id"]), zap_version=1, source="item", request=Request(), parent=above, item=item
            )
            done = StepSucceeded(step_id="add", attempt=1, started_at=now(), duration_ms=1.0, output={"id": index})
            item_id = ChildIds(root, "each").of(index)
            await append(store, item_id, asked, done, tenant_id=UUID(ada.id), key=root)
    shown = await tried(ada, zap, sample={"run_id": str(root)})
    steps = [item["steps"][0] for item in shown["steps"][0]["items"]]
    assert [step["answered_by"] for step in steps] == ["record", "sample", "sample"]
    assert steps[0]["output"] == {"id": 0}
    stubbed = await tried(ada, zap, sample={"run_id": str(root)}, stubs={"add": {"id": 9}})
    assert {item["steps"][0]["answered_by"] for item in stubbed["steps"][0]["items"]} == {"stub"}


async def test_loops_in_loops_are_bounded_together(ada: Person, target: RawTarget) -> None:
    lowest = {"id": "lowest", "kind": "set", "values": {"at": "{{ loop.parent.parent.index }}{{ loop.index }}"}}
    numbers = [*range(100)]
    inner = each(each(lowest, items=numbers, id="c"), items=numbers, id="b")
    shown = await tried(ada, await draft(ada, each(inner, items=numbers, id="a")))
    assert shown["outcome"]["status"] == "completed"
    first = shown["steps"][0]["items"][0]["steps"][0]
    assert first["items"][0]["steps"][0]["items"][3]["steps"][0]["output"] == {"at": "03"}

    def count(steps: list[dict[str, Any]]) -> int:
        return sum(1 + count(item["steps"]) for step in steps for item in step.get("items", []))

    assert count(shown["steps"]) == 100


async def test_failed_items_fail_their_loop_as_in_a_run(ada: Person, target: RawTarget) -> None:
    bad = {"error": {"code": "http_404", "message": "gone"}}
    zap = await draft(ada, each(line(target.url)), send(target.url, "next"))
    shown = await tried(ada, zap, sample={"payload": {"lines": ["a", "b"]}}, stubs={"add": bad})
    loop = by_id(shown)["each"]
    assert (loop["error"]["code"], shown["outcome"]["status"]) == ("loop_failures_exceeded", "failed")
    assert [(item["status"], item["error"]["code"]) for item in loop["items"]] == [("failed", "http_404")]


async def test_what_items_would_ask_of_others_is_answered(ada: Person, own_database: str) -> None:
    ask = {"id": "ask", "kind": "approval", "title": "Ship {{ item }}?", "to": [{"email": "boss@example.com"}]}
    made = await ada("POST", "/zaps", json={"name": "c", "trigger": {"type": "zap.called"}, "steps": []})
    call = {"id": "call", "kind": "zap", "zap_id": made.json()["id"], "input": "{{ item }}"}
    zap = await draft(ada, each(ask, {"id": "back", "kind": "wait_for"}, call))
    async with patient_store(own_database) as store:
        before = await store.head()
        shown = await tried(ada, zap, sample={"payload": {"lines": ["a"]}}, stubs={"call": {"value": 3}})
        assert await store.head() == before
    (item,) = shown["steps"][0]["items"]
    assert [step["answered_by"] for step in item["steps"]] == ["sample", "sample", "stub"]
    assert (item["status"], shown["steps"][0]["output"]["items"][0]["result"]) == ("completed", {"value": 3})


async def test_a_step_that_ends_the_run_does_so_from_an_item(ada: Person) -> None:
    zap = await draft(ada, each({"id": "done", "kind": "return", "value": "{{ item }}"}, order="parallel"))
    shown = await tried(ada, zap, sample={"payload": {"lines": ["a", "b"]}})
    assert (shown["outcome"]["status"], shown["outcome"]["answer"]) == ("completed", "a")


@pytest.mark.parametrize(("items", "code"), [(5, 400), ({"each": [-1]}, 400), ({"nope": [0]}, 422), ({"each": 0}, 400)])
async def test_a_wrong_choice_of_items_is_refused(ada: Person, items: Any, code: int) -> None:
    zap = await draft(ada, each({"id": "s", "kind": "set", "values": {"a": 1}}, items=[1]))
    wish = {"sample": {"payload": {}}, "items": items}
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json=wish)
    assert (answer.status_code, answer.json()["errors"][0]["path"].partition(".")[0]) == (code, "items")


async def test_a_test_with_real_effects_has_the_files_of_its_sample_and_keeps_its_own_for_itself(
    api: httpx.AsyncClient, ada: Person, target: RawTarget, own_database: str
) -> None:
    photo = bytes(range(256)) * 1_500
    live = await draft(ada, {"id": "stop", "kind": "stop", "as": "completed"})
    assert (await ada("POST", f"/zaps/{live['id']}/publish")).status_code == 200
    came = await api.post(live["hook_url"], content=photo, headers={"content-type": "image/png"})
    run_id = came.json()["run_id"]
    reference = (await ada("GET", f"/runs/{run_id}")).json()["trigger"]["body"]
    config = {"method": "POST", "url": target.url, "body_type": "binary", "body": "{{ trigger.body }}"}
    again = config | {"body": "{{ steps.send.output.body }}"}
    target.says("Content-Type: image/png", body=photo[::-1])
    zap = await draft(ada, send("", "send") | {"config": config}, send("", "again") | {"config": again})
    for sample in ({"run_id": run_id}, {"payload": reference}):
        shown = await tried(ada, zap, effects="real", sample=sample)
        assert [step["status"] for step in shown["steps"]] == ["succeeded"] * 2, shown["steps"]
        assert shown["steps"][0]["output"]["body"]["size"] == len(photo)
        assert [one.body for one in target.requests[-2:]] == [photo, photo[::-1]]
    bob = await sign_up(api)
    theirs = await tried(
        bob, await draft(bob, send("", "send") | {"config": config}), effects="real", sample={"payload": reference}
    )
    assert theirs["steps"][0]["error"]["code"] == "file_missing"
    async with patient_store(own_database) as store:
        named = "select count(*) from proj.files f join es.events e on (e.stream_id, e.kind) = (f.owner_id, $1)"
        assert await store.pool.fetchval(f"{named} and e.version = 1", StreamKind.RUN) == 1, (
            "what a test has kept is nobody's, and is swept"
        )
