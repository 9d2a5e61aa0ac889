"""What users of other products complain of, each as a test that those products would fail.

Work that is lost, lists that lie, rows that move away, streams that break, samples that mix. Other tests hold the
rest: conflicts and restored drafts in test_editor.py, large values and frames in test_load.py, searches and shared
addresses in test_history.py, polling in test_ui.py.
"""

import asyncio
import json
import os
import shlex
import signal
from typing import Any

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.browser.conftest import Signed
from tests.browser.test_editor import new_zap, opened, saved, setting, stored_ids
from tests.support.eventually import eventually
from tests.support.system import System

pytestmark = [pytest.mark.slow]


async def published(system: System, name: str, *steps: dict[str, Any]) -> dict[str, Any]:
    zap = await new_zap(system, name, list(steps) or [setting("one")])
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def state(page: Page, expected: str) -> None:
    await expect(page.get_by_test_id("saving")).to_have_attribute("data-state", expected, timeout=20_000)


async def named(page: Page, name: str) -> None:
    await page.get_by_test_id("zap-name").fill(name)


async def stored_name(system: System, zap: dict[str, Any]) -> str:
    return str((await system.call("GET", f"/api/v1/zaps/{zap['id']}"))["name"])


async def test_no_work_is_lost_without_network_with_a_dead_server_or_a_closed_tab(
    system: System, signed: Signed
) -> None:
    zap = await new_zap(system, "Kept", [setting("one")])
    page = signed.page
    await opened(page, zap)
    await page.context.set_offline(True)
    await named(page, "Written offline")
    await state(page, "unreachable")
    await expect(page.get_by_test_id("saving")).to_contain_text("kept in this browser")
    await page.close()
    await page.context.set_offline(False)
    assert await stored_name(system, zap) == "Kept"
    page = await page.context.new_page()
    await opened(page, zap)
    await expect(page.get_by_test_id("zap-name")).to_have_value("Written offline")
    await saved(page)
    os.kill(system.pids()["api"], signal.SIGKILL)
    await named(page, "Written while the server was dead")
    await state(page, "saved")
    position = (await eventually(lambda: system.call("GET", f"/api/v1/zaps/{zap['id']}")))["position"]
    await expect(page.get_by_test_id("saving")).to_have_text(f"Saved as draft, position {position}")
    assert await stored_name(system, zap) == "Written while the server was dead"


async def test_a_lost_stream_blocks_no_saving_and_publishing_is_a_choice_that_can_be_taken_back(
    system: System, signed: Signed
) -> None:
    zap = await published(system, "Without a stream")
    page = signed.page
    await page.route("**/api/v1/live*", lambda route: route.abort())
    await opened(page, zap)
    await named(page, "Saved without a stream")
    await saved(page)
    assert await stored_name(system, zap) == "Saved without a stream"
    live = await system.call("GET", f"/api/v1/zaps/{zap['id']}/versions/1")
    assert live["name"] == "Without a stream"
    await page.get_by_test_id("back-to-live").click()
    await expect(page.get_by_test_id("zap-name")).to_have_value("Without a stream")
    await saved(page)
    await page.get_by_test_id("undo").click()
    await expect(page.get_by_test_id("zap-name")).to_have_value("Saved without a stream")
    await saved(page)


async def test_whole_branches_are_moved_doubled_and_deleted_with_the_mouse_alone(
    system: System, signed: Signed
) -> None:
    tried = {"id": "tried", "kind": "try", "steps": [setting("inner")]}
    zap = await new_zap(system, "By mouse", [setting("one"), tried])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("step-tried").click()
    await page.get_by_role("button", name="Move up").click()
    await page.get_by_role("button", name="Duplicate", exact=True).click()
    await saved(page)
    found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    assert [(step["id"], step.get("kind")) for step in found["draft"]["steps"]] == [
        ("tried", "try"), ("tried_2", "try"), ("one", "set"),
    ]  # fmt: skip
    assert [step["id"] for step in found["draft"]["steps"][1]["steps"]] == ["inner_2"]
    await page.get_by_test_id("step-tried_2").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await saved(page)
    assert await stored_ids(system, zap) == ["tried", "one"]


def asked(page: Page, part: str) -> list[Request]:
    """The requests whose address has this in it, as they are made."""
    found: list[Request] = []
    page.on("request", lambda request: found.append(request) if part in request.url else None)
    return found


async def test_typing_asks_once_and_an_older_answer_never_replaces_a_newer_one(system: System, signed: Signed) -> None:
    zap = await published(system, "Typed", setting("one"))
    await system.post_hook(zap["hook_url"], {"word": "marmalade"}, key="typed")

    async def found() -> bool:
        return bool((await system.call("GET", "/api/v1/runs/count?q=marmalade"))["count"])

    await eventually(found)
    page = signed.page
    held: list[Route] = []
    await page.route("**/api/v1/runs?*q=honeycomb*", lambda route: held.append(route))  # noqa: PLW0108 - a built-in method cannot be inspected
    await page.goto("/runs")
    searches = asked(page, "/api/v1/runs?")
    search = page.get_by_test_id("search")
    await search.press_sequentially("honeycomb", delay=20)
    await eventually(lambda: len(held) > 0)
    async with page.expect_event("requestfailed", lambda request: "q=honeycomb" in request.url):
        await search.fill("marmalade")
    await expect(page.get_by_test_id("run-row")).to_have_count(1)
    for route in held:
        await route.continue_()
    await expect(page.get_by_test_id("count")).to_have_text("1 run matches")
    await expect(page.get_by_test_id("run-row")).to_have_count(1)
    words = {request.url.partition("q=")[2].split("&")[0] for request in searches if "q=" in request.url}
    assert words == {"honeycomb", "marmalade"}


async def test_a_list_is_whole_counts_truly_hides_no_past_and_is_sorted_as_one_asks(
    system: System, signed: Signed
) -> None:
    zap, other = await published(system, "Thirty"), await published(system, "Meanwhile")
    sent = [system.post_hook(zap["hook_url"], {"n": number}, key=f"thirty {number}") for number in range(30)]
    await system.settled(await asyncio.gather(*sent))
    page = signed.page
    lists = asked(page, "/api/v1/runs?")
    await page.goto("/runs")
    await expect(page.get_by_test_id("run-row").first).to_be_visible()
    assert all("from=" not in request.url for request in lists)
    await page.goto(f"/runs?zap_id={zap['id']}")
    rows = page.get_by_test_id("run-row")
    await expect(page.get_by_test_id("count")).to_have_text("30 runs match")
    await expect(rows).to_have_count(25)
    held: list[Route] = []
    await page.route("**/api/v1/runs?*cursor=*", lambda route: held.append(route))  # noqa: PLW0108 - a built-in method cannot be inspected
    await page.get_by_test_id("more").click()
    await eventually(lambda: held)
    async with page.expect_request("**/api/v1/runs/count*"):  # a run that begins meanwhile is told
        await system.post_hook(other["hook_url"], {"n": 0}, key="meanwhile")
    await held[0].continue_()
    await expect(rows).to_have_count(30)
    await expect(page.get_by_test_id("more")).to_have_count(0)
    await page.get_by_test_id("sort").select_option("duration_ms")
    await page.wait_for_url("**sort=duration_ms*")
    await page.get_by_role("button", name="More filters").click()
    await page.get_by_label("Ended from", exact=True).fill("2099-01-01T00:00")
    await expect(page.get_by_test_id("run-row")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_test_id("chip")).to_have_count(2)
    await expect(page.get_by_test_id("sort")).to_have_value("duration_ms")


async def test_no_row_moves_under_the_pointer_or_while_the_list_is_paused(system: System, signed: Signed) -> None:
    zap = await published(system, "Live")
    page = signed.page
    rows = page.get_by_test_id("run-row")

    async def another(key: str) -> None:
        run_id = await system.post_hook(zap["hook_url"], {}, key=f"live {key}")
        await system.settled([run_id])

    await another("first")
    await page.goto(f"/runs?zap_id={zap['id']}")
    await expect(rows).to_have_count(1)
    await rows.first.hover()
    await another("under the pointer")
    await expect(page.get_by_test_id("fresh")).to_contain_text("1 new run")
    await expect(rows).to_have_count(1)
    await page.mouse.move(0, 0)
    await expect(rows).to_have_count(2)
    await page.get_by_test_id("pause-list").focus()
    await page.keyboard.press("Enter")
    await another("while paused")
    await expect(page.get_by_test_id("fresh")).to_contain_text("1 new run")
    await expect(rows).to_have_count(2)
    await page.get_by_test_id("fresh").press("Enter")
    await expect(rows).to_have_count(3)
    await another("still paused")
    await expect(page.get_by_test_id("fresh")).to_contain_text("1 new run")
    await page.get_by_test_id("pause-list").press("Enter")
    await expect(rows).to_have_count(4)


async def test_a_test_uses_the_sample_that_was_chosen_whatever_comes_meanwhile(system: System, signed: Signed) -> None:
    zap = await published(system, "Sampled")
    runs = [await system.post_hook(zap["hook_url"], {"n": number}, key=f"sample {number}") for number in (1, 2, 3)]
    await system.settled(runs)
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("test").click()
    await page.get_by_test_id("test-sample").select_option(f"run_id:{runs[0]}", timeout=20_000)
    newer = await system.post_hook(zap["hook_url"], {"n": 4}, key="sample 4")
    await expect(page.get_by_test_id("test-sample").locator(f"option[value='run_id:{newer}']")).to_be_attached()
    async with page.expect_response("**/test") as answered:
        await page.get_by_test_id("run-test").click()
    assert (await (await answered.value).json())["steps"][0]["output"]["value"] == {"n": 1}


async def test_a_run_is_copied_as_json_as_curl_and_value_by_value_and_outlives_its_zap(
    system: System, signed: Signed
) -> None:
    zap = await published(system, "Copied")
    run_id = await system.post_hook(zap["hook_url"], {"order": {"id": 4711}}, key="copied")
    await system.settled([run_id])
    page = signed.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    async def copied() -> str:
        return str(await page.evaluate("() => navigator.clipboard.readText()"))

    async def from_menu(name: str) -> str:
        await page.get_by_role("button", name="More", exact=True).click()
        await page.get_by_role("menuitem", name=name).click()
        return await copied()

    await page.goto(f"/runs/{run_id}?step=trigger")
    await page.get_by_role("button", name="Copy the path trigger.body.order.id").click()
    assert await copied() == "{{ trigger.body.order.id }}"
    assert json.loads(await from_menu("Copy as JSON"))["id"] == str(run_id)
    words = shlex.split(await from_menu("Copy request as curl"))
    assert words[0] == "curl"
    assert zap["hook_url"] in words
    assert {"order": {"id": 4711}} in [json.loads(word) for word in words if word.startswith("{")]
    await system.call("DELETE", f"/api/v1/zaps/{zap['id']}")
    await page.goto("/zaps")
    await expect(page.get_by_test_id("zap-row").first).to_be_visible()
    await expect(page.get_by_test_id("zap-row").filter(has_text="Copied")).to_have_count(0)
    await page.goto(f"/runs?zap_id={zap['id']}")
    await expect(page.get_by_test_id("run-row").filter(has_text="A deleted zap")).to_have_count(1)
