"""The web UI in a real browser, against a whole TriggerHub."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import EMAIL, Signed, browsing
from tests.browser.examined import NARROW, examined
from tests.support.eventually import eventually
from tests.support.system import PASSWORD, System

pytestmark = [pytest.mark.slow]
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> {{ 7 }}"
ANSI = "\x1b[31mred\x1b[0m"


async def failing_zap(system: System, name: str) -> dict[str, Any]:
    """A published zap whose target does not exist; the names of what it sends are hostile."""
    config = {"method": "POST", "url": f"{system.base}/nowhere", "body": {"sent": "{{ trigger.body }}"}}
    steps = [{"id": "send", "kind": "action", "type": "http.request", "config": config}]
    trigger = {"type": "webhook.catch", "config": {}}
    zap: dict[str, Any] = await system.call("POST", "/api/v1/zaps", {"name": name, "trigger": trigger, "steps": steps})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def failed_run(system: System, name: str) -> tuple[dict[str, Any], str]:
    zap = await failing_zap(system, name)
    run_id = await system.post_hook(zap["hook_url"], {HOSTILE: HOSTILE, "ansi": ANSI}, key=name)
    await system.settled([run_id])
    return zap, str(run_id)


async def test_from_the_first_account_to_a_run_that_appears_by_itself(
    system: System, welcomed: str, signed: Signed
) -> None:
    assert welcomed == f"{system.base}/zaps"
    page = signed.page
    await page.goto("/zaps")
    await page.get_by_test_id("new-zap").click()
    await page.get_by_test_id("zap-name").fill("My very first zap")
    await page.get_by_test_id("create-zap").click()
    hook_url = await page.get_by_test_id("hook-url").inner_text()
    await expect(page.get_by_test_id("zap-status")).to_have_text("On")
    await expect(page.get_by_test_id("first-run")).to_contain_text(hook_url)
    await system.post_hook(hook_url, {"total": 42.5}, key="first")
    row = page.get_by_test_id("run-row")
    await expect(row.get_by_test_id("run-status")).to_have_text("Completed")
    await row.get_by_role("link").click()
    await expect(page.get_by_test_id("trigger-detail")).to_contain_text("42.5")
    await page.get_by_test_id("step-call").click()
    await expect(page.get_by_test_id("step-detail")).to_contain_text("200")


async def test_a_failed_run_is_found_understood_and_replayed(system: System, signed: Signed) -> None:
    _, run_id = await failed_run(system, "Finds nobody")
    page = signed.page
    await page.goto("/inbox")
    group = page.get_by_test_id("dead-letter").filter(has_text="Finds nobody")
    await expect(group.get_by_test_id("cause")).to_contain_text("404")
    await group.get_by_text("Last run").click()
    await expect(page.get_by_test_id("run-id")).to_have_text(run_id)
    await expect(page.get_by_test_id("step-detail")).to_contain_text("the target answered 404")
    await expect(page.get_by_test_id("attempt").first).to_contain_text("not_found")
    await page.get_by_test_id("replay").click()
    await page.get_by_test_id("replay-confirm").click()
    await expect(page.get_by_test_id("run-id")).not_to_have_text(run_id)
    await expect(page.get_by_test_id("run-status")).to_have_text("Failed")
    await expect(page.get_by_text("Replay of")).to_be_visible()


async def test_a_run_is_seen_as_it_was_after_each_of_its_events(system: System, signed: Signed) -> None:
    _, run_id = await failed_run(system, "Once upon a time")
    page = signed.page
    await page.goto(f"/runs/{run_id}?tab=past")
    past = page.get_by_test_id("past")
    await expect(past.get_by_test_id("run-status")).to_have_text("Queued")
    await expect(past.get_by_test_id("step-send")).to_have_attribute("data-status", "pending")
    await page.get_by_test_id("past-slider").press("End")
    await expect(past.get_by_test_id("run-status")).to_have_text("Failed")
    await expect(past.get_by_test_id("step-send")).to_have_attribute("data-status", "failed")


async def test_many_runs_are_counted_and_replayed_as_a_job(system: System, signed: Signed) -> None:
    zap, _ = await failed_run(system, "Again and again")
    page = signed.page
    await page.goto(f"/runs?zap_id={zap['id']}&status=failed")
    await expect(page.get_by_test_id("run-row")).to_have_count(1)
    await page.get_by_test_id("bulk-replay").click()
    await expect(page.get_by_test_id("bulk-count")).to_have_text("1 run")
    await page.get_by_test_id("bulk-start").click()
    await expect(page.get_by_test_id("job-status")).to_have_text("Done")
    await expect(page.get_by_test_id("job-progress")).to_have_text("1 of 1")


async def asked(system: System, title: str) -> str:
    """A run that waits for an approval with a form."""
    form = {"type": "object", "properties": {"amount": {"type": "number", "title": "Amount"}}, "required": ["amount"]}
    step = {"id": "ask", "kind": "approval", "title": title, "to": [{"role": "owner"}], "form": form}
    trigger = {"type": "webhook.catch", "config": {}}
    zap = await system.call("POST", "/api/v1/zaps", {"name": title, "trigger": trigger, "steps": [step]})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return str(await system.post_hook(zap["hook_url"], {}, key="ask"))


async def test_an_approval_is_decided_in_place(system: System, signed: Signed) -> None:
    run_id = await asked(system, "Refund 20?")
    page = signed.page
    await page.goto("/approvals")
    approval = page.get_by_test_id("approval").filter(has_text="Refund 20?")
    await approval.get_by_label("Amount").fill("much")
    await approval.get_by_test_id("approve").click()
    await expect(approval.get_by_role("alert")).to_be_visible()
    await approval.get_by_label("Amount").fill("20")
    await approval.get_by_label("Comment").fill("within the budget")
    await approval.get_by_test_id("approve").click()
    await expect(approval).to_have_count(0)
    await page.goto(f"/runs/{run_id}?step=ask")
    await expect(page.get_by_test_id("run-status")).to_have_text("Completed")
    await expect(page.get_by_test_id("asked")).to_contain_text("within the budget")


async def test_the_items_of_a_loop_are_a_table(system: System, signed: Signed) -> None:
    inner = {"id": "stopped", "kind": "set", "values": {"value": "{{ item }}"}}
    loop = {"id": "each", "kind": "for_each", "items": "{{ trigger.body }}", "steps": [inner]}
    trigger = {"type": "webhook.catch", "config": {}}
    zap = await system.call("POST", "/api/v1/zaps", {"name": "Items", "trigger": trigger, "steps": [loop]})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    run_id = await system.post_hook(zap["hook_url"], ["a", "b", "c"], key="items")

    async def are_listed() -> bool:
        return len((await system.call("GET", f"/api/v1/runs?parent={run_id}"))["items"]) == 3

    await eventually(are_listed)
    page = signed.page
    await page.goto(f"/runs/{run_id}?step=each")
    await expect(page.get_by_test_id("item-row")).to_have_count(3)
    await expect(page.get_by_test_id("items")).to_contain_text("3 items: 3 completed")


async def slow_run(system: System, name: str) -> str:
    """A run that waits for some seconds, then ends."""
    trigger = {"type": "webhook.catch", "config": {}}
    steps = [{"id": "wait", "kind": "delay", "for_s": 7}]
    zap = await system.call("POST", "/api/v1/zaps", {"name": name, "trigger": trigger, "steps": steps})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return str(await system.post_hook(zap["hook_url"], {}, key=name))


async def test_a_run_is_followed_by_the_stream_and_not_by_polling(system: System, signed: Signed) -> None:
    page = signed.page
    async with page.expect_response("**/api/v1/live*"):
        await page.goto("/zaps")
    run_id = await slow_run(system, "Followed")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"/runs/{run_id}")
    await expect(page.get_by_test_id("run-status")).to_have_text("Waiting")
    await expect(page.get_by_test_id("run-status")).to_have_text("Completed", timeout=20_000)
    assert len([url for url in asked if url.endswith(run_id)]) <= 6  # the page itself is one; polling would be ten


async def test_a_list_that_is_read_because_a_run_has_ended_waits_for_that_end(system: System, signed: Signed) -> None:
    page = signed.page
    zap = await failing_zap(system, "Ends")
    async with page.expect_response("**/api/v1/live*"):
        await page.goto(f"/zaps/{zap['id']}")
    await expect(page.get_by_test_id("first-run")).to_be_visible()
    asked: list[int] = []
    page.on("request", lambda request: asked.append(int(request.url.partition("min_position=")[2].split("&")[0] or 0)))
    run_id = await system.post_hook(zap["hook_url"], {}, key="ends")
    await system.settled([run_id])
    await expect(page.get_by_test_id("run-row").get_by_test_id("run-status")).to_have_text("Failed")
    events = await system.call("GET", f"/api/v1/runs/{run_id}/events?limit=100")
    end = max(event["position"] for event in events["items"])
    await eventually(lambda: max(asked) >= end)  # the row may have been right before the stream told of the end


async def test_without_a_stream_the_page_asks_again_and_again(system: System, signed: Signed) -> None:
    page = signed.page
    await page.route("**/api/v1/live*", lambda route: route.abort())
    await page.goto(f"/runs/{await slow_run(system, 'Asked')}")
    await expect(page.get_by_test_id("run-status")).to_have_text("Completed", timeout=20_000)


async def test_an_address_survives_the_sign_in_and_a_signed_out_browser_knows_nothing(
    system: System, signed: Signed
) -> None:
    page = signed.page
    await page.goto("/runs?status=failed")
    await expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    await page.get_by_test_id("user-menu").click()
    await page.get_by_test_id("sign-out").click()
    await page.wait_for_url("**/login*")
    await page.goto("/runs?status=failed")
    await page.wait_for_url("**/login?next=*")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_test_id("sign-in").click()
    await page.wait_for_url("**/runs?status=failed")
    kept = await page.evaluate("() => document.cookie + JSON.stringify(sessionStorage) + JSON.stringify(localStorage)")
    assert "eyJ" not in kept
    assert "thr_" not in kept


async def test_everything_can_be_reached_by_keyboard(signed: Signed) -> None:
    page = signed.page
    await page.goto("/zaps")
    await page.get_by_test_id("user-menu").wait_for()
    await page.keyboard.press("Control+k")
    await page.get_by_test_id("palette").type("jobs")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/jobs")
    await page.keyboard.press("Control+k")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("palette")).to_have_count(0)


async def test_each_screen_is_accessible_and_shows_hostile_values_as_text(
    system: System, browser: Browser, welcomed: str
) -> None:
    zap, run_id = await failed_run(system, HOSTILE)
    await asked(system, "May this go on?")
    screens = {
        "/zaps": "zap-row", f"/zaps/{zap['id']}": "run-row", f"/zaps/{zap['id']}?tab=draft": "step-trigger",
        f"/zaps/{zap['id']}?tab=versions": "version", "/runs": "run-row", f"/runs/{run_id}": "attempt",
        f"/runs/{run_id}?step=trigger": "trigger-detail", "/inbox": "dead-letter",
        "/approvals": "approval", "/requests": "", "/jobs": "",
        f"/zaps/{zap['id']}?tab=backtest": "backtest-start",
        "/settings": "new-key", "/nowhere": "",
    }  # fmt: skip
    async with examined(browser, system) as (page, look):
        for path, awaited in screens.items():
            await page.goto(path)
            await look(path, awaited)


async def test_each_row_says_on_a_phone_which_zap_it_is_of(system: System, browser: Browser, welcomed: str) -> None:
    await failed_run(system, "On a phone")
    async with browsing(browser, system, viewport=NARROW) as signed:
        await signed.page.goto("/runs")
        link = signed.page.get_by_test_id("run-row").first.get_by_role("link")
        await expect(link).to_be_visible()
        assert (await link.bounding_box() or {"width": 0})["width"] > 40
