"""The steps that the contract names, in a whole system over HTTP: the shape of each output, as a client sees it."""

from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.sink import running_sink
from tests.support.system import System

ALWAYS = {"field": "trigger.body.n", "operator": "exists"}
NEVER = {"field": "trigger.body.nope", "operator": "exists"}


async def published(system: System, *steps: dict[str, Any], **trigger: Any) -> dict[str, Any]:
    body = {"name": "Flow", "trigger": trigger or {"type": "webhook.catch", "config": {}}, "steps": steps}
    zap: dict[str, Any] = await system.call("POST", "/api/v1/zaps", body)
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish")
    return zap


async def status_of(system: System, method: str, url: str, body: object, **how: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {system.token}"} if how.pop("authorized", False) else {}
    async with system.http.request(method, url, json=body, headers=headers, allow_redirects=False) as answer:
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status, await answer.json(content_type=None) if is_json else await answer.text()


async def run_of(system: System, run_id: str, *statuses: str) -> dict[str, Any]:
    async def found() -> Any:
        run = await system.call("GET", f"/api/v1/runs/{run_id}")
        return run if run["status"] in (statuses or ("completed", "filtered", "failed", "cancelled")) else None

    run: dict[str, Any] = await eventually(found)
    return run


def set_(step_id: str, **values: Any) -> dict[str, Any]:
    return {"id": step_id, "kind": "set", "values": values}


@pytest.mark.slow
async def test_each_step_has_the_output_of_the_contract(shared_system: System) -> None:  # noqa: PLR0915 - one journey
    system = shared_system
    async with running_sink() as sink:
        await system.sign_up()
        callee = await published(
            system, {"id": "answer", "kind": "return", "value": {"double": "{{ trigger.body.n | times: 2 }}"}},
            type="zap.called", config={"input_schema": {"type": "object", "required": ["n"]}},
        )  # fmt: skip
        post = {"id": "send", "type": "http.request", "config": {"url": sink.url, "body": "{{ callback.back.url }}"}}
        part = {
            "id": "part", "kind": "for_each", "items": "{{ item }}",
            "steps": [set_("at", p="{{ loop.parent }}", i="{{ item }}", n="{{ loop.index }}", of="{{ loop.count }}")],
        }  # fmt: skip
        odd = {"id": "odd", "kind": "filter", "condition": {"field": "item", "operator": "not_equals", "value": 2}}
        zap = await published(
            system,
            set_("values", kept="{{ trigger.body.list }}", missing="{{ trigger.body.nope | default: 7 }}"),
            {"id": "route", "kind": "paths", "paths": [
                {"id": "no", "condition": NEVER, "steps": [set_("a", x=1)]},
                {"id": "yes", "name": "Yes", "condition": ALWAYS, "steps": [set_("b", x=2)]},
            ]},
            {"id": "neither", "kind": "paths", "mode": "all", "paths": [{"id": "no", "condition": NEVER}],
             "otherwise": {"steps": [set_("c", x=3)]}},
            {"id": "careful", "kind": "try", "steps": [set_("broken", x="{{ trigger.body.gone }}"), set_("never", x=1)],
             "on_error": {"steps": [set_("mended", x="{{ steps.broken.error.code }}")]}},
            {"id": "each", "kind": "for_each", "items": "{{ trigger.body.list }}", "on_item_error": "continue",
             "order": "parallel", "limit": 3, "result": "{{ item }}",
             "steps": [odd, set_("risky", x="{{ trigger.body[item] }}")]},
            {"id": "outer", "kind": "for_each", "items": [["x"], ["y", "z"]], "steps": [part]},
            {"id": "called", "kind": "zap", "zap_id": callee["id"], "input": {"n": "{{ trigger.body.n }}"}},
            {"id": "told", "kind": "zap", "zap_id": callee["id"], "input": {"n": 1}, "wait": False},
            post,
            {"id": "ok", "kind": "approval", "title": "Refund {{ trigger.body.n }}?", "message": "m",
             "to": [{"role": "editor"}], "form": {"type": "object", "properties": {"why": {"type": "string"}}},
             "deadline_s": 3600},
            {"id": "back", "kind": "wait_for", "deadline_s": 3600},
            {"id": "late", "kind": "wait_for", "deadline_s": 1, "on_deadline": "continue"},
            {"id": "end", "kind": "return", "value": {"n": "{{ steps.called.output.value.double }}"}},
        )  # fmt: skip
        body = {"n": 21, "list": [1, 2, 3], "1": "one"}
        run_id = str(await system.post_hook(zap["hook_url"], body, "k"))

        async def asked() -> Any:
            return (await system.call("GET", "/api/v1/approvals?state=open"))["items"]

        (approval,) = await eventually(asked)
        wanted = {"id", "run_id", "step_id", "title", "message", "form", "deadline", "url"}
        assert wanted <= approval.keys()
        assert (approval["run_id"], approval["step_id"], approval["title"]) == (run_id, "ok", "Refund 21?")
        (callback,) = [bodies[0].decode() for bodies in sink.deliveries.values()]
        callback = callback.strip('"')
        assert (await status_of(system, "POST", f"{callback}?q=1", {"early": True}))[0] in range(200, 300)
        again = await status_of(system, "POST", callback, {"early": False})
        assert (again[0], again[1]["status"]) == (200, "duplicate")
        path = f"{system.base}/api/v1/runs/{run_id}/approvals/ok"
        answer = {"decision": "approve", "comment": "fine", "data": {"why": "late"}}
        assert (await status_of(system, "POST", path, answer, authorized=True))[0] == 200
        second = await status_of(system, "POST", path, answer | {"decision": "reject"}, authorized=True)
        assert second[0] == 409
        assert "approved by Ada at " in second[1]["detail"]

        run = await run_of(system, run_id)
        assert run["status"] == "completed", run
        assert (run["source"], run["depth"], run["answer"]) == ("webhook", 0, {"n": "42"})
        steps = {step["id"]: step for step in run["steps"]}
        output = {step_id: step.get("output") for step_id, step in steps.items()}
        assert output["values"] == {"kept": [1, 2, 3], "missing": 7}
        assert output["route"] == {"taken": ["yes"], "result": {"x": 2}}
        assert (steps["a"]["status"], "no of route was not taken" in steps["a"]["why"]) == ("skipped", True)
        assert output["neither"] == {"taken": ["otherwise"], "result": {"x": 3}}
        assert output["careful"] == {"failed": True, "result": {"x": "template"}}
        counts = {name: output["each"][name] for name in ("count", "succeeded", "failed", "filtered", "cancelled")}
        assert counts == {"count": 3, "succeeded": 1, "failed": 1, "filtered": 1, "cancelled": 0}
        first, sieved, broken = output["each"]["items"]
        assert first == {"index": 0, "status": "completed", "result": 1}
        assert sieved == {"index": 1, "status": "filtered"}
        assert (broken["index"], broken["status"], broken["error"]["code"]) == (2, "failed", "template")
        assert output["outer"]["items"][1]["result"]["succeeded"] == 2
        inner = output["outer"]["items"][1]["result"]["items"][1]["result"]
        assert inner == {"p": {"index": 1, "count": 2, "item": ["y", "z"]}, "i": "z", "n": 1, "of": 2}
        assert output["called"].keys() == {"run_id", "status", "value"}
        assert (output["called"]["status"], output["called"]["value"]) == ("completed", {"double": "42"})
        assert output["told"].keys() == {"run_id"}
        assert output["ok"].keys() == {"decision", "by", "comment", "form", "at"}
        assert (output["ok"]["decision"], output["ok"]["comment"]) == ("approve", "fine")
        assert (output["ok"]["by"], output["ok"]["form"]) == ("Ada", {"why": "late"})
        assert output["back"].keys() == {"body", "headers", "query", "at"}
        assert (output["back"]["body"], output["back"]["query"]) == ({"early": True}, {"q": "1"})
        assert output["late"] == {"timed_out": True}
        sub = await run_of(system, output["called"]["run_id"])
        assert (sub["source"], sub["trigger"]["body"], sub["depth"]) == ("zap", {"n": 21}, 1)
        late = await status_of(system, "POST", callback, {"early": None})
        assert (late[0], late[1]["status"]) == (200, "duplicate")
        items = (await system.call("GET", f"/api/v1/runs/{run_id}/items?step=each&status=failed"))["items"]
        assert [item["index"] for item in items] == [2]
        listed = (await system.call("GET", f"/api/v1/runs?parent={run_id}"))["items"]
        assert {item["source"] for item in listed} == {"item", "zap"}
        assert {item["id"] for item in (await system.call("GET", "/api/v1/runs"))["items"]}.isdisjoint(
            item["id"] for item in listed if item["source"] == "item"
        )
