"""The zaps that one can begin with: each runs as it is, and is made in a few clicks."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Signed
from tests.support.eventually import eventually
from tests.support.sink import running_sink
from tests.support.system import System

pytestmark = [pytest.mark.slow]
TEMPLATES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "app/ui/src/zap/templates.json").read_text("utf-8")
)


def filled(value: Any, url: str) -> Any:
    """The template with an address to call, as the page fills it in."""
    if isinstance(value, dict):
        return {name: filled(one, url) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, url) for one in value]
    return {"$URL": url, "$ZONE": "Europe/Berlin"}.get(value, value) if isinstance(value, str) else value


async def ended(system: System, run_id: str, statuses: set[str]) -> dict[str, Any]:
    async def found() -> bool:
        run = await system.call("GET", f"/api/v1/runs/{run_id}")
        return run["status"] in statuses

    await eventually(found)
    run: dict[str, Any] = await system.call("GET", f"/api/v1/runs/{run_id}")
    return run


async def test_each_of_ten_templates_runs_to_its_end(system: System, welcomed: str) -> None:
    assert len(TEMPLATES) == 10
    async with running_sink() as sink:
        for template in TEMPLATES:
            body = {"name": template["name"], **filled(template["zap"], sink.url)}
            checked = await system.call("POST", "/api/v1/zaps/check", body)
            assert checked == {"warnings": []}, template["id"]
            zap = await system.call("POST", "/api/v1/zaps", body)
            await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
            before = sink.count
            payload = {"payload": template.get("sample")}
            started = await system.call("POST", f"/api/v1/zaps/{zap['id']}/run", payload)
            rests = template.get("ends", "completed")
            run = await ended(system, started["run_id"], {rests, "failed"})
            assert run["status"] == rests, (template["id"], run["error"])
            if template["id"] == "approval":
                await system.call("POST", f"/api/v1/runs/{run['id']}/approvals/ask", {"decision": "approve"})
            if template["id"] == "callback":
                sent = json.loads(next(reversed(sink.deliveries.values()))[-1])
                await system.call("POST", sent["tell_me_at"].removeprefix(system.base), {"done": True})
            run = await ended(system, started["run_id"], {"completed", "failed"})
            assert run["status"] == "completed", (template["id"], run["error"])
            assert sink.count > before or template["id"] == "answer", template["id"]
            await system.call("DELETE", f"/api/v1/zaps/{zap['id']}")


async def test_a_template_is_chosen_by_keyboard_and_a_definition_is_checked_before_it_is_imported(
    system: System, signed: Signed
) -> None:
    page = signed.page
    await page.goto("/zaps")
    await page.get_by_test_id("new-zap").click()
    chosen = page.get_by_test_id("template-hook").get_by_role("radio")
    await expect(chosen).to_be_focused()
    for _ in range(5):
        await page.keyboard.press("ArrowDown")
    await expect(page.get_by_test_id("template-answer").get_by_role("radio")).to_be_checked()
    await expect(page.get_by_test_id("zap-url")).to_have_count(0)
    await page.keyboard.press("Tab")
    await page.keyboard.type("Tax")
    await page.keyboard.press("Enter")
    url = await page.get_by_test_id("hook-url").inner_text()
    async with system.http.post(url, json={"net": 200, "rate": 19}) as answer:
        assert (answer.status, await answer.json()) == (200, {"net": 200, "tax": "38.0"})

    await page.goto("/zaps")
    await page.get_by_test_id("new-zap").click()
    await page.get_by_test_id("template-json").click()
    trigger = {"type": "webhook.catch", "config": {}}
    wrong = {"name": "Imported", "trigger": trigger, "steps": [{"id": "end", "kind": "stop", "as": "compleeted"}]}
    await page.get_by_test_id("import-json").fill(json.dumps(wrong))
    await page.get_by_test_id("check").click()
    await expect(page.get_by_role("alert")).to_contain_text("steps.0.as")
    await page.get_by_test_id("import-json").fill(json.dumps({**wrong, "steps": []}))
    await page.get_by_test_id("check").click()
    await expect(page.get_by_role("dialog")).to_contain_text("It can be saved as it is")
    await page.get_by_test_id("create-zap").click()
    await expect(page.get_by_test_id("zap-name")).to_have_value("Imported")
