"""What somebody sees who is new here, fills in forms wrongly, has long names, and a server that is away at times."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import Signed
from tests.browser.examined import NARROW, nothing_sideways
from tests.support.eventually import eventually
from tests.support.system import System

pytestmark = [pytest.mark.slow]
LONG = "VeryLongNameWithoutAnyBlanks" * 7


async def zap_of(system: System, name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A published zap that a webhook starts."""
    trigger = {"type": "webhook.catch", "config": {}}
    zap: dict[str, Any] = await system.call("POST", "/api/v1/zaps", {"name": name, "trigger": trigger, "steps": steps})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def test_who_signs_up_is_told_what_is_wrong_in_words(system: System, browser: Browser, welcomed: str) -> None:
    context = await browser.new_context(base_url=system.base)
    page = await context.new_page()
    await page.goto("/login")
    await page.get_by_test_id("switch").click()
    await page.get_by_label("E-mail").fill("grace")
    await page.get_by_label("Password").fill("short")
    await page.get_by_test_id("sign-up").click()
    await expect(page.get_by_text("This is not an e-mail address.")).to_be_visible()
    await expect(page.get_by_text("Give at least 8 characters.")).to_be_visible()
    await expect(page.get_by_text("Fill this in.")).to_be_visible()
    await expect(page.get_by_label("E-mail")).to_have_value("grace")
    await expect(page.get_by_text("str")).to_have_count(0)
    await context.close()


async def test_a_wrong_password_is_told_at_its_field(signed: Signed) -> None:
    page = signed.page
    await page.goto("/settings")
    await page.get_by_test_id("current-password").fill("not the password")
    await page.get_by_test_id("new-password").fill("another long phrase")
    await page.get_by_test_id("change-password").click()
    await expect(page.get_by_test_id("current-password")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_text("this is not your password")).to_be_visible()
    await expect(page.get_by_text("current_password")).to_have_count(0)


async def test_a_long_name_of_a_zap_stays_inside_of_the_job_that_names_it(system: System, signed: Signed) -> None:
    zap = await zap_of(system, LONG, [{"id": "note", "kind": "set", "values": {"text": "hello"}}])
    run_id = await system.post_hook(zap["hook_url"], {"n": 1}, key="long name")
    await system.settled([run_id])
    await system.call("POST", "/api/v1/runs/replay", {"filter": {"zap_id": zap["id"], "status": "completed"}})
    page = signed.page
    size = page.viewport_size
    assert size is not None
    await page.goto("/jobs")
    await expect(page.get_by_test_id("job").first).to_contain_text(LONG)
    await nothing_sideways(page, "jobs")
    await page.set_viewport_size(NARROW)
    await nothing_sideways(page, "jobs, narrow")
    await page.set_viewport_size(size)


async def test_a_zap_whose_template_cannot_be_published_is_made_once(system: System, signed: Signed) -> None:
    page = signed.page
    await page.goto("/zaps")
    await page.get_by_test_id("new-zap").click()
    await page.get_by_test_id("zap-name").fill("Calls a variable")
    await page.get_by_test_id("zap-url").fill("{{ vars.NOT_THERE_YET }}")
    await page.get_by_test_id("create-zap").click()
    await page.wait_for_url("**/zaps/*?tab=draft")
    await expect(page.get_by_test_id("tab-draft")).to_be_visible()
    await expect(page.get_by_text("NOT_THERE_YET").first).to_be_visible()
    await expect(page.get_by_test_id("zap-status")).to_have_text("Draft")
    made = page.url.partition("/zaps/")[2].partition("?")[0]

    async def of_this_name() -> list[str]:
        zaps = (await system.call("GET", "/api/v1/zaps?limit=100"))["items"]
        return [zap["id"] for zap in zaps if zap["name"] == "Calls a variable"]

    assert await eventually(of_this_name) == [made]


async def test_requests_of_one_reason_that_there_are_none_of_are_not_called_all(system: System, signed: Signed) -> None:
    zap = await zap_of(system, "Takes everything", [])
    page = signed.page
    await page.goto(f"/requests?zap_id={zap['id']}")
    await expect(page.get_by_text("Every request to this zap has started a run")).to_be_visible()
    await page.get_by_label("Reason").select_option("malformed")
    await expect(page.get_by_text("This zap has no such requests")).to_be_visible()


async def test_who_is_asked_reads_until_when_and_nothing_of_going_on(system: System, signed: Signed) -> None:
    ask = {"id": "ok", "kind": "approval", "title": "Ship it?", "to": [{"role": "editor"}], "deadline_s": 3_600}
    zap = await zap_of(system, "Asks", [ask])
    run_id = await system.post_hook(zap["hook_url"], {"n": 1}, key="asks")
    page = signed.page
    await page.goto(f"/runs/{run_id}?step=ok")
    detail = page.get_by_test_id("step-detail")
    await expect(detail).to_contain_text("It waits for an answer until")
    await expect(detail).not_to_contain_text("It goes on at")


async def test_a_page_that_is_opened_while_the_server_is_away_comes_as_soon_as_it_is_back(signed: Signed) -> None:
    page = signed.page
    await page.goto("/zaps")
    await expect(page.get_by_role("heading", name="Zaps", exact=True)).to_be_visible()
    away = re.compile("/(healthz|assets/Jobs-[^/]*)$")
    asked = 0

    async def refuse(route: Route) -> None:
        nonlocal asked
        asked += route.request.url.endswith("/healthz")
        await route.abort("connectionrefused")

    await page.route(away, refuse)
    await mark(page)
    await page.get_by_role("link", name="Jobs").first.click()
    await eventually(lambda: asked > 1)
    await page.unroute(away)
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    assert await page.evaluate("() => window.stayed === true"), "the page was loaded anew"


async def mark(page: Page) -> None:
    """What is gone once the page is loaded anew."""
    await page.evaluate("() => { window.stayed = true; }")


async def test_a_host_that_is_none_is_told_by_an_example_and_not_by_a_pattern(signed: Signed) -> None:
    page = signed.page
    await page.goto("/connections")
    await page.get_by_role("button", name="New connection").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("My shop")
    await dialog.get_by_label("Token").fill("a-token")
    await dialog.get_by_label("Hosts").fill("not a host!")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_text("This is not a host such as api.example.com").first).to_be_visible()
    await expect(dialog.get_by_text("Expected")).to_have_count(0)
    await expect(dialog.get_by_label("Hosts")).to_have_value("not a host!")
