"""What a template gives is shown before a zap uses it: for a body that could come, and for a run that was."""

from uuid import UUID

import pytest

from domain.flow.decisions import Taken
from domain.hook.request import Request
from domain.run.children import ChildIds, LoopStarted, Parent
from domain.run.events import RunRequested, StepDecided, StepSucceeded
from domain.values.json import Json, JsonObject
from sql.process.clock import now
from tests.support.api import Person
from tests.support.projected import append
from tests.support.stores import patient_store

URL = "/templates/preview"


async def test_a_template_is_rendered_for_a_body(ada: Person) -> None:
    template = {"to": "{{ trigger.body.email | upcase }}", "n": "{{ trigger.body.n }}"}
    answer = await ada("POST", URL, json={"template": template, "sample": {"payload": {"email": "a@b.c", "n": 1.5}}})
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["value"], shown["type"], shown["error"]) == ({"to": "A@B.C", "n": 1.5}, "object", None)
    assert {"trigger.body.email", "trigger.body.n"} <= set(shown["paths"])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ trigger.body.nope }}", "trigger.body.nope is undefined"),
        ({"a": ["{{ trigger.body | nope }}"]}, "nope"),
        ("{{ trigger.body", ""),
        ("{% for i in (1..100000) %}{% for j in (1..100000) %}{{ j }}{% endfor %}{% endfor %}", ""),
    ],
)
async def test_why_a_template_gives_nothing_is_told(ada: Person, template: object, said: str) -> None:
    shown = (await ada("POST", URL, json={"template": template, "sample": {"payload": {}}})).json()
    assert shown["value"] is None
    assert shown["error"]
    assert said in shown["error"]


async def test_only_ones_own_runs_are_samples(ada: Person, bob: Person) -> None:
    zap = await ada.live_zap()
    run = (await ada.api.post(zap["hook_url"], json={"n": 1})).json()["run_id"]
    mine = await ada("POST", URL, json={"template": "{{ run.id }} {{ trigger.body.n }}", "sample": {"run_id": run}})
    assert mine.json()["value"] == f"{run} 1"
    other = await bob("POST", URL, json={"template": "{{ run.id }}", "sample": {"run_id": run}})
    assert (other.status_code, other.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "sample", [{}, {"run_id": "x"}, {"payload": 1, "run_id": "01900000-0000-7000-8000-000000000001"}]
)
async def test_a_sample_is_one_or_the_other(ada: Person, sample: object) -> None:
    answer = await ada("POST", URL, json={"template": "x", "sample": sample})
    assert answer.status_code == 400
    assert "sample" in answer.json()["errors"][0]["path"]


async def test_outputs_of_joined_branches_and_urls_of_callbacks_are_among_the_paths(ada: Person, dsn: str) -> None:
    """The run took a branch, tried something, and waits."""
    always = {"field": "trigger.body.n", "operator": "exists"}
    echo = {"kind": "action", "type": "test.echo", "config": {"text": "x"}}
    steps = [
        {"id": "route", "kind": "paths", "paths": [{"id": "a", "condition": always, "steps": [{"id": "one", **echo}]}]},
        {"id": "t", "kind": "try", "steps": [{"id": "two", **echo}]},
        {"id": "back", "kind": "wait_for"},
    ]
    body = {"name": "z", "trigger": {"type": "webhook.catch"}, "steps": steps}
    zap = (await ada("POST", "/zaps", json=body)).json()
    await ada("POST", f"/zaps/{zap['id']}/publish")
    run_id = (await ada.api.post(zap["hook_url"], json={"n": 1})).json()["run_id"]
    decided = StepDecided(step_id="route", decision=Taken(taken=("a",), reasons={"a": "it is there"}))
    one, two = [
        StepSucceeded(step_id=step_id, attempt=1, started_at=now(), duration_ms=1.0, output={"id": 7})
        for step_id in ("one", "two")
    ]
    async with patient_store(dsn) as store:
        await append(store, UUID(run_id), decided, one, two, tenant_id=UUID(ada.id), key=UUID(run_id))
    template = "{{ steps.route.output.taken[0] }} {{ steps.t.output.result.id }} {{ callback.back.url }}"
    shown = (await ada("POST", URL, json={"template": template, "sample": {"run_id": run_id}})).json()
    assert {
        "steps.route.output.taken[0]", "steps.route.output.result.id", "steps.t.output.result.id",
        "steps.t.output.failed", "steps.one.output.id", "callback.back.url",
    } <= set(shown["paths"])  # fmt: skip
    value, number, url = shown["value"].split(" ")
    assert (value, number) == ("a", "7")
    assert url.startswith("http://testserver.local/hooks/resume/")
    assert (await ada.api.post(url, json={})).status_code == 404


async def test_an_item_of_a_loop_sees_itself_and_what_was_around_it(ada: Person, dsn: str) -> None:
    """The second item of a loop inside the first item of another one."""
    echo = {"kind": "action", "type": "test.echo", "config": {"text": "x"}}
    inner = {"id": "inner", "kind": "for_each", "items": "{{ item.parts }}", "steps": [{"id": "send", **echo}]}
    outer = {"id": "outer", "kind": "for_each", "items": "{{ trigger.body.orders }}", "steps": [inner]}
    steps = [{"id": "first", **echo}, outer, {"id": "back", "kind": "wait_for"}]
    zap = (await ada("POST", "/zaps", json={"name": "z", "trigger": {"type": "webhook.catch"}, "steps": steps})).json()
    await ada("POST", f"/zaps/{zap['id']}/publish")
    orders: JsonObject = {"orders": [{"id": 7, "parts": ["wheel", "saddle"]}]}
    root = UUID((await ada.api.post(zap["hook_url"], json=orders)).json()["run_id"])
    item = ChildIds(root, "outer").of(0)
    part = ChildIds(item, "inner").of(1)

    def of(step_id: str, count: int) -> LoopStarted:
        return LoopStarted(
            step_id=step_id, count=count, items_sha256="", at=now(), version=2 if step_id == "outer" else 1
        )

    def requested(above: UUID, loop: LoopStarted, index: int, value: Json) -> RunRequested:
        parent = Parent(
            run_id=above, step_id=loop.step_id, waits=True, index=index, count=loop.count, version=loop.version
        )
        return RunRequested(
            zap_id=UUID(zap["id"]), zap_version=1, source="item", request=Request(), parent=parent, item=value
        )

    first = StepSucceeded(step_id="first", attempt=1, started_at=now(), duration_ms=1.0, output={"n": 1})
    async with patient_store(dsn) as store:
        for run_id, events in (
            (root, (first, of("outer", 1))),
            (item, (requested(root, of("outer", 1), 0, orders["orders"][0]), of("inner", 2))),  # type: ignore[index]
            (part, (requested(item, of("inner", 2), 1, "saddle"),)),
        ):
            await append(store, run_id, *events, tenant_id=UUID(ada.id), key=root)
    template = (
        "{{ item }} {{ loop.index }}/{{ loop.count }} of {{ loop.parent.item.id }} ({{ loop.parent.index }}): "
        "{{ steps.first.output.n }} {{ trigger.body.orders[0].id }}"
    )
    answer = await ada("POST", URL, json={"template": template, "sample": {"run_id": str(part)}})
    assert answer.json()["value"] == "saddle 1/2 of 7 (0): 1 7"
    assert {"item", "loop.index", "loop.parent.item.id", "steps.first.output.n"} <= set(answer.json()["paths"])
    assert not any(path.startswith("callback") for path in answer.json()["paths"])
