"""The editor of a draft in a real browser: from the keyboard, with others at work, and what it keeps."""

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import Signed
from tests.browser.examined import examined
from tests.support.eventually import eventually
from tests.support.system import System

pytestmark = [pytest.mark.slow]


async def new_zap(system: System, name: str, steps: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    trigger = {"type": "webhook.catch", "config": {}}
    zap: dict[str, Any] = await system.call(
        "POST", "/api/v1/zaps", {"name": name, "trigger": trigger, "steps": steps or []}
    )
    return zap


def setting(name: str, value: str = "{{ trigger.body }}") -> dict[str, Any]:
    return {"id": name, "kind": "set", "values": {"value": value}}


async def opened(page: Page, zap: dict[str, Any]) -> None:
    await page.goto(f"/zaps/{zap['id']}?tab=draft")
    await expect(page.get_by_test_id("step-trigger")).to_be_visible()


async def saved(page: Page) -> None:
    await expect(page.get_by_test_id("saving")).to_have_attribute("data-state", "saved")


async def stored_ids(system: System, zap: dict[str, Any]) -> list[str]:
    found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    return [step["id"] for step in found["draft"]["steps"]]


async def test_a_zap_is_built_from_nothing_by_keyboard_published_and_run(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "By keyboard")
    page = signed.page
    keys = page.keyboard
    await opened(page, zap)
    await page.get_by_test_id("step-trigger").focus()
    await keys.press("a")
    await expect(page.get_by_test_id("picker")).to_be_focused()
    await keys.type("filter")
    await keys.press("Enter")
    await expect(page.get_by_test_id("step-filter")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_label("Field", exact=True)).to_be_focused()
    await keys.press("Escape")
    await expect(page.get_by_test_id("step-filter")).to_be_focused()
    await keys.press("a")
    await keys.type("http")
    await keys.press("Enter")
    await expect(page.get_by_test_id("step-request")).to_have_attribute("aria-pressed", "true")
    await page.get_by_label("Method", exact=True).select_option("GET")
    await page.get_by_label("URL", exact=True).focus()
    await keys.type(f"{system.base}/healthz")
    await keys.press("Escape")
    await saved(page)
    assert await stored_ids(system, zap) == ["filter", "request"]
    await page.get_by_test_id("publish").focus()
    await keys.press("Enter")
    await expect(page.get_by_test_id("publish-note")).to_be_focused()
    await keys.press("Tab")
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(page.get_by_test_id("zap-status")).to_have_text("On")
    await expect(page.get_by_test_id("publish")).to_be_disabled()
    run_id = await system.post_hook(zap["hook_url"], {"total": 1}, key="editor")
    await system.settled([run_id])
    run = await system.call("GET", f"/api/v1/runs/{run_id}")
    assert run["status"] == "completed"
    assert [step["status"] for step in run["steps"]] == ["succeeded", "succeeded"]


async def test_a_step_that_is_chosen_before_the_catalog_has_come_is_added_once_it_has(
    system: System, signed: Signed
) -> None:
    zap = await new_zap(system, "Fast typist")
    page = signed.page
    held: list[Route] = []
    await page.route("**/api/v1/actions/available", lambda route: held.append(route))  # noqa: PLW0108 - a built-in method cannot be inspected
    await opened(page, zap)
    await page.get_by_test_id("step-trigger").focus()
    await page.keyboard.press("a")
    await page.keyboard.type("http request")
    await expect(page.get_by_role("dialog").get_by_text("Loading")).to_be_visible()
    await page.keyboard.press("Enter")
    for route in held:
        await route.continue_()
    await expect(page.get_by_test_id("step-request")).to_have_attribute("aria-pressed", "true")


async def test_steps_are_walked_moved_doubled_copied_deleted_and_all_of_it_is_undone(
    system: System, signed: Signed
) -> None:
    zap = await new_zap(system, "Moves", [setting("one"), setting("two", "{{ steps.one.output.value }}")])
    page = signed.page
    keys = page.keyboard
    await opened(page, zap)
    await page.get_by_test_id("step-trigger").focus()
    for _ in ("settings", "one", "two"):
        await keys.press("ArrowDown")
    await expect(page.get_by_test_id("step-two")).to_be_focused()
    await keys.press("ArrowUp")
    await keys.press("d")
    await expect(page.get_by_test_id("step-one_2")).to_be_focused()
    await keys.press("Alt+ArrowDown")
    await expect(page.get_by_test_id("step-one_2")).to_be_focused()
    await saved(page)
    assert await stored_ids(system, zap) == ["one", "two", "one_2"]
    await keys.press("Control+x")
    await expect(page.get_by_test_id("step-one_2")).to_have_count(0)
    await keys.press("Control+v")
    await saved(page)
    assert await stored_ids(system, zap) == ["one", "two", "one_2"]
    await keys.press("Delete")
    await keys.press("Delete")
    await saved(page)
    assert await stored_ids(system, zap) == ["one"]
    for _ in range(2):
        await keys.press("Control+z")
    await keys.press("Control+Shift+z")
    await saved(page)
    assert await stored_ids(system, zap) == ["one", "two"]


async def test_a_step_by_another_name_keeps_what_names_it(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "Names", [setting("one"), setting("two", "{{ steps.one.output.value }}")])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("step-one").click()
    await page.get_by_test_id("step-id").fill("first")
    await page.get_by_test_id("step-id").press("Enter")
    await expect(page.get_by_test_id("step-first")).to_be_visible()
    await saved(page)
    found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    assert found["draft"]["steps"][1]["values"] == {"value": "{{ steps.first.output.value }}"}


async def test_a_problem_leads_to_its_field_and_what_is_not_saved_survives_a_reload(
    system: System, signed: Signed
) -> None:
    zap = await new_zap(system, "Wrong", [{"id": "wait", "kind": "delay", "for_s": 5}])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("step-wait").click()
    await page.get_by_label("Wait so many seconds").fill("-5")
    await expect(page.get_by_test_id("saving")).to_have_attribute("data-state", "wrong")
    await page.get_by_test_id("step-trigger").click()
    await page.get_by_test_id("problems").get_by_role("button").first.click()
    await expect(page.get_by_label("Wait so many seconds")).to_be_focused()
    await page.reload()
    await page.get_by_test_id("step-wait").click()
    await expect(page.get_by_label("Wait so many seconds")).to_have_value("-5")
    await page.get_by_label("Wait so many seconds").fill("7")
    await saved(page)
    found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    assert found["draft"]["steps"][0]["for_s"] == 7


async def test_what_is_refused_late_does_not_keep_what_was_changed_meanwhile_from_being_saved(
    system: System, signed: Signed
) -> None:
    zap = await new_zap(system, "Late", [{"id": "wait", "kind": "delay", "for_s": 5}])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("step-wait").click()
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if route.request.method == "PUT" and not held:
            held.append(route)
        else:
            await route.continue_()

    await page.route(f"**/api/v1/zaps/{zap['id']}", hold)
    field = page.get_by_label("Wait so many seconds")
    await field.fill("-5")
    await eventually(lambda: held)
    await field.fill("7")
    await held[0].continue_()
    await saved(page)
    found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    assert found["draft"]["steps"][0]["for_s"] == 7


async def test_nobody_is_overwritten_until_one_says_so(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "Two write this", [setting("one")])
    page = signed.page

    async def theirs(name: str) -> None:
        found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
        body = {"name": name, "draft": found["draft"]}
        await system.call("PUT", f"/api/v1/zaps/{zap['id']}", body, **{"If-Match": "*"})

    async def name() -> str:
        return str((await system.call("GET", f"/api/v1/zaps/{zap['id']}"))["name"])

    await opened(page, zap)
    await theirs("Theirs")
    await page.get_by_test_id("zap-name").fill("Mine")
    await expect(page.get_by_test_id("conflict")).to_contain_text("Theirs")
    assert await name() == "Theirs"
    await page.get_by_test_id("take-theirs").click()
    await expect(page.get_by_test_id("zap-name")).to_have_value("Theirs")
    await theirs("Theirs again")
    await page.get_by_test_id("zap-name").fill("Mine again")
    await page.get_by_test_id("keep-mine").click()
    await saved(page)
    assert await name() == "Mine again"


async def test_json_is_the_same_draft_and_a_mistake_in_it_leads_to_its_place(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "As JSON", [setting("one")])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("view-json").click()
    text = page.get_by_test_id("draft-json")
    right = json.loads(await text.input_value())
    wrong = {**right, "steps": [setting("one"), {"id": "end", "kind": "stop", "as": "compleeted"}]}
    await text.fill(json.dumps(wrong, indent=2))
    await page.get_by_role("button", name="steps.1.as").click()
    selected = "() => { const e = document.activeElement; return e.value.slice(e.selectionStart, e.selectionEnd) }"
    assert await page.evaluate(selected) == '"compleeted"'
    await text.fill("{")
    await expect(page.get_by_test_id("saving")).to_contain_text("not valid JSON")
    await text.fill(json.dumps({**right, "steps": [setting("one"), setting("two")]}))
    await saved(page)
    await page.get_by_test_id("view-tree").click()
    await expect(page.get_by_test_id("step-two")).to_be_visible()


async def test_values_of_a_past_run_are_inserted_and_a_test_shows_each_step(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "Tested", [setting("one"), {"id": "end", "kind": "stop", "as": "failed"}])
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    run_id = await system.post_hook(zap["hook_url"], {"customer": {"email": "ada@example.com"}}, key="sample")
    await system.settled([run_id])
    page = signed.page
    await opened(page, zap)
    await expect(page.get_by_label("Sample")).to_have_value(str(run_id))
    await page.get_by_test_id("step-one").click()
    field = page.get_by_label("Values: Value")
    await field.fill("")
    await field.press_sequentially("{{")
    await page.get_by_test_id("paths").fill("customer.email")
    await page.get_by_test_id("paths").press("Enter")
    await expect(field).to_have_value("{{ trigger.body.customer.email }}")
    await expect(page.get_by_test_id("gives")).to_contain_text("ada@example.com")
    await page.get_by_test_id("test").click()
    await page.get_by_test_id("run-test").click()
    await expect(page.get_by_test_id("test-outcome")).to_contain_text("Failed")
    await expect(page.get_by_test_id("tested-one")).to_have_text("succeeded")
    await expect(page.get_by_test_id("tested")).to_contain_text("ada@example.com")


async def test_the_editor_and_its_dialogs_are_accessible(system: System, browser: Browser, welcomed: str) -> None:
    rule = {"field": "trigger.body.total", "operator": "greater_than", "value": 100}
    inner = [setting("each_one")]
    call = {"id": "call", "kind": "action", "type": "http.request", "config": {"url": f"{system.base}/healthz"}}
    steps: list[dict[str, Any]] = [
        {"id": "only", "kind": "filter", "condition": {"all": [rule, rule]}},
        {"id": "choose", "kind": "paths", "paths": [{"id": "large", "name": "Large orders", "condition": rule,
         "steps": [call]}],
         "otherwise": {"steps": []}},
        {"id": "loop", "kind": "for_each", "items": "{{ trigger.body.items }}", "steps": inner},
        {"id": "ask", "kind": "approval", "title": "Refund?", "to": [{"role": "owner"}], "rejected": {"steps": []}},
    ]  # fmt: skip
    zap = await new_zap(system, "Accessible", steps)
    async with examined(browser, system) as (page, look):
        await opened(page, zap)
        for name in ("trigger", "only", "choose", "call", "loop", "ask"):
            await page.get_by_test_id(f"step-{name}").click()
            await look(name, "step-form")
        await page.get_by_test_id("step-only").focus()
        await page.keyboard.press("a")
        await look("picker", "picker")
        await page.keyboard.press("Escape")
        await page.get_by_test_id("test").click()
        await look("test", "run-test")
        await page.keyboard.press("Escape")
        await system.call(
            "PUT", f"/api/v1/zaps/{zap['id']}", {"name": "Theirs", "draft": zap["draft"]}, **{"If-Match": "*"}
        )
        await page.get_by_test_id("zap-name").fill("Mine")
        await look("conflict", "conflict")


async def test_a_hook_and_the_zap_have_forms_for_what_they_can_be_set_to(system: System, signed: Signed) -> None:
    call = {"id": "call", "kind": "action", "type": "http.request", "config": {"url": f"{system.base}/healthz"}}
    zap = await new_zap(system, "Forms", [call])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("kind-config-verification").select_option(label="An HMAC in a header")
    await page.get_by_label("Header", exact=True).fill("X-Signature")
    await page.get_by_test_id("kind-config-reply").select_option(label="A text of its own")
    await page.get_by_label("Status", exact=True).fill("202")
    await page.get_by_test_id("step-settings").click()
    await page.get_by_test_id("kind-concurrency").select_option(label="One run at a time")
    await page.get_by_label("One at a time for each").fill("{{ trigger.body.customer }}")
    await page.get_by_label("Time limit of a run").fill("60")
    await page.get_by_test_id("step-form").get_by_text("More settings").locator("visible=true").last.click()
    await page.get_by_label("E-mail").fill("ada@example.com\ngrace@example.com")
    await page.get_by_test_id("step-call").click()
    await page.get_by_text("More settings").locator("visible=true").last.click()
    await page.get_by_test_id("kind-retry").select_option(label="Again after set delays")
    await page.get_by_label("Delays").fill("1\n30")
    await page.get_by_label("Requests a minute").fill("60")
    await saved(page)
    draft = (await system.call("GET", f"/api/v1/zaps/{zap['id']}"))["draft"]
    config = draft["trigger"]["config"]
    assert config["verification"] == {"preset": "hmac", "header": "X-Signature"}
    assert config["reply"] == {"mode": "custom", "status": 202}
    assert draft["settings"] == {
        "concurrency": {"mode": "serial", "key": "{{ trigger.body.customer }}"},
        "deadline_s": 60,
        "on_failure": {"email": ["ada@example.com", "grace@example.com"]},
    }
    step = draft["steps"][0]
    assert (step["retry"], step["rate_limit"]) == ({"kind": "fixed", "delays_s": [1, 30]}, {"per_minute": 60})
    await page.get_by_test_id("step-settings").click()
    await page.get_by_label("Time limit of a run").fill("0")
    await page.get_by_test_id("step-trigger").click()
    await page.get_by_test_id("problems").get_by_role("button", name="settings.deadline_s").click()
    await expect(page.get_by_label("Time limit of a run")).to_be_focused()


async def test_a_test_listens_for_its_sample_does_one_step_and_takes_answers_that_were_kept(
    system: System, signed: Signed
) -> None:
    fails = {"id": "ask", "kind": "action", "type": "http.request", "config": {"url": f"{system.base}/nowhere"}}
    zap = await new_zap(system, "Listens", [setting("one"), fails | {"on_error": "continue"}, setting("last")])
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("test").click()
    await page.get_by_test_id("test-sample").select_option("listen")
    await expect(page.get_by_test_id("listening")).to_contain_text(zap["hook_url"])
    run_id = await system.post_hook(zap["hook_url"], {"order": "heard just now"}, key="listened")
    await expect(page.get_by_test_id("test-sample")).to_have_value(f"run_id:{run_id}")
    await page.get_by_test_id("test-steps").select_option("ask")
    await page.get_by_test_id("test-effects").select_option("real")
    await page.get_by_test_id("run-test").click()
    await expect(page.get_by_test_id("tested-ask")).to_have_text("failed")
    await expect(page.get_by_test_id("tested-last")).not_to_have_text("succeeded")
    await page.get_by_test_id("step-ask").click()
    await page.get_by_test_id("use-as-stub").click()
    await page.get_by_test_id("test").click()
    await expect(page.get_by_test_id("stubs")).to_contain_text("ask")
    await page.get_by_test_id("run-test").click()
    await expect(page.get_by_test_id("tested-last")).to_have_text("succeeded")
    await expect(page.get_by_test_id("tested-ask")).to_have_text("failed")
    await page.get_by_test_id("step-one").click()
    await expect(page.get_by_test_id("tested")).to_contain_text("heard just now")


async def test_what_only_one_side_has_changed_is_merged_and_the_rest_is_chosen(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "Merged", [setting("one", "1"), setting("two", "2"), setting("both", "0")])
    page = signed.page
    await opened(page, zap)
    theirs = [setting("one", "theirs"), setting("two", "2"), setting("new", "theirs"), setting("both", "theirs")]
    draft = {**zap["draft"], "steps": theirs}
    await page.route(
        "**/api/v1/zaps/*", lambda route: route.abort() if route.request.method == "PUT" else route.continue_()
    )
    await page.get_by_test_id("step-two").click()
    await page.get_by_label("Values: Value").fill("mine")
    await page.get_by_test_id("step-both").click()
    await page.get_by_label("Values: Value").fill("mine")
    await page.get_by_test_id("zap-name").fill("Mine")
    await expect(page.get_by_test_id("saving")).to_have_attribute("data-state", "unreachable")
    await system.call("PUT", f"/api/v1/zaps/{zap['id']}", {"name": "Merged", "draft": draft}, **{"If-Match": "*"})
    # The tab crashes with the network away: what was written is still there, and so is what it began with.
    await page.reload()
    await page.unroute("**/api/v1/zaps/*")
    await expect(page.get_by_test_id("conflict")).to_be_visible()
    differs = page.get_by_test_id("differs")
    await expect(differs.filter(has_text="steps.one")).to_contain_text("only they changed it")
    await expect(differs.filter(has_text="steps.two")).to_contain_text("only you changed it")
    await differs.filter(has_text="steps.both").get_by_role("button", name="Theirs").click()
    await page.get_by_test_id("merge").click()
    await saved(page)
    found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    values = {step["id"]: step["values"]["value"] for step in found["draft"]["steps"]}
    assert list(values) == ["one", "two", "new", "both"]
    assert values == {"one": "theirs", "two": "mine", "new": "theirs", "both": "theirs"}
    assert found["name"] == "Mine"
    await page.get_by_test_id("undo").click()
    await expect(page.get_by_test_id("step-new")).to_have_count(0)
