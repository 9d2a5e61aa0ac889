"""Connections in a real browser: made, used by a step, tried, and taken away; their secrets are never on a page."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Signed
from tests.browser.test_editor import new_zap, opened, saved
from tests.support.sink import running_sink
from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
TOKEN = "a-token-that-nobody-may-see"


async def test_a_connection_is_made_in_the_editor_tried_and_deleted_with_a_warning(
    system: System, signed: Signed
) -> None:
    page = signed.page
    async with running_sink() as sink:
        call = {"id": "call", "kind": "action", "type": "http.request", "config": {"url": sink.url}}
        zap = await new_zap(system, "With a token", [call])
        await opened(page, zap)
        await page.get_by_test_id("step-call").click()
        await page.get_by_role("button", name="New connection").click()
        await page.get_by_test_id("connection-kind").select_option("bearer")
        await page.get_by_test_id("connection-name").fill("The shop")
        await page.get_by_label("Token", exact=True).fill(TOKEN)
        await page.get_by_test_id("save-connection").click()
        await expect(page.get_by_test_id("connection")).not_to_have_value("")
        await saved(page)
        found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
        connection = found["draft"]["steps"][0]["connection"]

        await page.goto("/connections")
        row = page.get_by_test_id("connection-row").filter(has_text="The shop")
        await expect(row).to_contain_text("Not used yet")
        await row.get_by_role("button", name="Actions: The shop").click()
        await page.get_by_test_id("test-connection").click()
        await page.get_by_label("Address to call").fill(sink.url)
        await page.get_by_test_id("run-trial").click()
        await expect(page.get_by_test_id("trial").or_(page.get_by_role("alert"))).to_be_visible()
        await page.keyboard.press("Escape")
        assert TOKEN not in await page.content()

        await row.get_by_role("button", name="Actions: The shop").click()
        await page.get_by_test_id("delete-connection").click()
        await expect(page.get_by_role("dialog")).to_contain_text("With a token")
        await page.get_by_test_id("confirm").click()
        await expect(row).to_have_count(0)
        listed = await system.call("GET", "/api/v1/connections")
        assert connection not in [one["id"] for one in listed["items"]]
