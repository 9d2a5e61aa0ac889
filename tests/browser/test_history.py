"""History in a real browser: searching runs, statistics, the audit, and how things were."""

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, expect

from domain.hook.request import json_request
from domain.run import events as run_events
from sql.process.clock import new_id
from tests.browser.conftest import Signed
from tests.browser.examined import examined, keep
from tests.browser.test_editor import new_zap, setting
from tests.browser.test_ui import HOSTILE, failed_run, failing_zap
from tests.support.axe import violations
from tests.support.eventually import eventually
from tests.support.projected import append
from tests.support.stores import patient_store
from tests.support.system import System

CHECKER = Path(__file__).parents[2] / "app/http/docs/verify_proof.py"
pytestmark = [pytest.mark.slow]


async def orders(system: System, name: str, numbers: list[int]) -> tuple[dict[str, Any], list[str]]:
    """A zap with a run for each order."""
    zap = await new_zap(system, name, [setting("note", "sent to {{ trigger.body.customer }}")])
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    runs = [
        await system.post_hook(
            zap["hook_url"], {"order": {"id": n, "total": n / 2}, "customer": f"Mary Allen {n}"}, key=f"{name} {n}"
        )
        for n in numbers
    ]
    await system.settled(runs)
    return zap, [str(run) for run in runs]


async def changed(system: System, zap: dict[str, Any], name: str, value: str) -> None:
    """Give a zap with one step another name, and the step another value."""
    draft = {**zap["draft"], "steps": [setting("one", value)]}
    await system.call("PUT", f"/api/v1/zaps/{zap['id']}", {"name": name, "draft": draft}, **{"If-Match": "*"})


async def indexed(system: System, number: int) -> None:
    """Wait until the index of searches has a run."""

    async def found() -> bool:
        counted = await system.call("GET", f"/api/v1/runs/count?where=trigger.body.order.id={number}")
        return bool(counted["count"])

    await eventually(found)


async def test_a_run_is_found_by_a_value_that_is_suggested_and_the_address_says_how(
    system: System, signed: Signed
) -> None:
    _, runs = await orders(system, "Orders", [7411, 7412])
    await indexed(system, 7412)
    page = signed.page
    await page.goto("/runs")
    box = page.get_by_test_id("search")
    await box.press_sequentially("body.order.i")
    await expect(page.get_by_role("listbox").get_by_role("option")).to_contain_text("trigger.body.order.id")
    await box.press("ArrowDown")
    await box.press("Enter")
    await expect(page.get_by_role("listbox").get_by_role("option").first).to_contain_text("trigger.body.order.id =")
    await box.press("ArrowDown")
    await box.press("Enter")
    await box.press_sequentially("7411")
    await box.press("Enter")
    row = page.get_by_test_id("run-row")
    await expect(row).to_have_count(1)
    await expect(row.get_by_role("link")).to_have_attribute("href", f"/runs/{runs[0]}")
    await expect(row.get_by_test_id("match")).to_have_text("trigger.body.order.id 7411")
    await expect(page.get_by_test_id("count")).to_have_text("1 run matches")
    await page.get_by_test_id("filter-status").select_option("completed")
    await page.reload()
    await expect(page.get_by_test_id("chip")).to_have_count(2)
    await expect(row).to_have_count(1)
    await page.get_by_role("button", name="Without: trigger.body.order.id = 7411").click()
    await expect(page).to_have_url(f"{system.base}/runs?status=completed")


async def test_search_keys_are_columns_that_sort_the_runs_and_jobs_take_what_a_search_shows(
    system: System, signed: Signed
) -> None:
    zap, _runs = await orders(system, "Columns", [6131, 6133, 6132])
    keys = [{"name": "number", "path": "trigger.body.order.id", "type": "number"}]
    draft = {**zap["draft"], "settings": {"search_keys": keys}}
    await system.call("PUT", f"/api/v1/zaps/{zap['id']}", {"name": "Columns", "draft": draft}, **{"If-Match": "*"})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})

    async def read() -> bool:
        listed = await system.call("GET", f"/api/v1/runs?zap_id={zap['id']}&sort=keys.number")
        return len(listed["items"]) == 3

    await eventually(read)
    await indexed(system, 6132)
    page = signed.page
    await page.goto(f"/runs?zap_id={zap['id']}")
    await page.get_by_test_id("columns").click()
    await page.get_by_test_id("column").filter(has_text="number").click()
    cells = page.get_by_test_id("key")
    await expect(cells).to_have_count(3)
    header = page.get_by_test_id("sort-by").filter(has_text="number")
    await header.click()
    await expect(cells).to_have_text(["6133", "6132", "6131"])
    await header.click()
    await expect(cells).to_have_text(["6131", "6132", "6133"])
    await expect(page).to_have_url(f"{system.base}/runs?zap_id={zap['id']}&columns=number&sort=keys.number&order=asc")
    await page.reload()
    await expect(cells).to_have_text(["6131", "6132", "6133"])
    await expect(page.locator("th[aria-sort=ascending]")).to_have_text("number")
    await page.goto(f"/runs?zap_id={zap['id']}&where=trigger.body.order.id%3E6131")
    await expect(page.get_by_test_id("run-row")).to_have_count(2)
    await page.get_by_test_id("bulk-replay").click()
    await expect(page.get_by_test_id("bulk-count")).to_have_text("2 runs")
    assert signed.wrong == []


async def test_a_failed_run_is_found_from_the_start_page_by_a_number_or_its_id(system: System, signed: Signed) -> None:
    _, run_id = await failed_run(system, "Customer 77123")
    page = signed.page
    await page.goto("/zaps")
    await page.get_by_test_id("user-menu").wait_for()
    await page.keyboard.press("Control+k")
    await page.get_by_test_id("palette").press_sequentially("nothing is called so")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{system.base}/runs?q=nothing+is+called+so")
    await expect(page.get_by_text("No run matches")).to_be_visible()
    await page.get_by_test_id("search").fill(run_id)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("run-id")).to_have_text(run_id)


async def test_words_are_searched_as_they_are_typed_and_a_view_keeps_them(system: System, signed: Signed) -> None:
    await orders(system, "Views", [5811])
    await indexed(system, 5811)
    page = signed.page
    await page.goto("/runs")
    await page.get_by_test_id("search").press_sequentially("allen 5811")
    await expect(page.get_by_test_id("run-row")).to_have_count(1)
    await expect(page.get_by_test_id("match").first).to_contain_text("5811")
    await page.get_by_test_id("views").click()
    await page.get_by_test_id("view-edit").click()
    await page.get_by_test_id("view-name").fill("Of Allen")
    await page.get_by_test_id("view-save").click()
    await page.get_by_test_id("clear").click()
    await expect(page).to_have_url(f"{system.base}/runs")
    await page.get_by_test_id("views").click()
    await page.get_by_test_id("view").filter(has_text="Of Allen").click()
    await expect(page).to_have_url(f"{system.base}/runs?q=allen+5811")
    await page.get_by_test_id("search").fill("nobody 5811")
    await expect(page.get_by_text("No run matches")).to_be_visible()
    await page.get_by_test_id("search").fill('"open')
    await expect(page.get_by_role("alert")).to_contain_text("a phrase that begins with")


async def test_statistics_are_drawn_and_stand_in_a_table(system: System, signed: Signed) -> None:
    zap, _ = await orders(system, "Counted", [1, 2, 3])
    page = signed.page
    await page.goto(f"/stats?zap_id={zap['id']}")
    await expect(page.get_by_test_id("totals")).to_contain_text("Accepted3", timeout=25_000)
    await expect(page.get_by_test_id("totals")).to_contain_text("Runs that ended3", timeout=25_000)
    chart = page.get_by_role("img", name="Runs by outcome.").locator("xpath=..")
    await expect(chart.locator("path.bar.good")).to_have_count(1)
    await chart.get_by_text("As a table").click()
    await expect(chart.get_by_role("row").last.get_by_role("cell")).to_have_text("3")
    await expect(page.get_by_test_id("step-stats")).to_contain_text("note")
    await page.get_by_test_id("range").select_option("week")
    await page.get_by_test_id("bucket").select_option("day")
    await expect(page).to_have_url(f"{system.base}/stats?zap_id={zap['id']}&range=week&bucket=day")
    await expect(page.get_by_test_id("totals")).to_contain_text("Accepted3")


async def test_the_audit_says_who_changed_what_and_gives_proofs_away(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "Audited", [setting("one", "first")])
    await changed(system, zap, "Audited anew", "second")
    page = signed.page
    await page.goto(f"/audit?entity={zap['id']}&type=zap.draft_changed")
    row = page.get_by_test_id("audit-row")
    await expect(row).to_have_count(1, timeout=25_000)
    await expect(row).to_contain_text("Grace Hopper")
    await expect(row).to_contain_text("127.0.0.1")
    await row.get_by_role("button").click()
    details = page.get_by_test_id("audit-details")
    await expect(details.locator("del").first).to_contain_text("Audited")
    await expect(details.locator("ins").first).to_contain_text("Audited anew")
    await page.get_by_test_id("search").fill("nothing like it")
    await expect(page.get_by_text("No entry matches")).to_be_visible()
    await page.get_by_test_id("tab-proof").click()
    await page.get_by_test_id("verify").click()
    await expect(page.get_by_test_id("verified")).to_contain_text("holds", timeout=30_000)


async def test_a_checkpoint_and_the_proof_of_an_event_are_saved_and_the_checker_takes_them(
    system: System, signed: Signed, tmp_path: Path
) -> None:
    async def is_signed() -> bool:
        return bool((await system.call("GET", "/api/v1/audit/checkpoints"))["items"])

    await eventually(is_signed, 90)
    page = signed.page
    await page.goto("/audit?tab=proof")
    note = await saved(page, "checkpoint-save")
    assert note.count("\n\n") == 1
    await page.goto("/audit?type=user.signed_up")
    await page.get_by_test_id("audit-row").get_by_role("button").click()
    (tmp_path / "proof.json").write_text(await saved(page, "prove"), "utf-8")
    checked = await asyncio.create_subprocess_exec(sys.executable, CHECKER, tmp_path / "proof.json")
    assert await checked.wait() == 0


async def saved(page: Page, button: str) -> str:
    """What a click saves as a file."""
    async with page.expect_download() as saving:
        await page.get_by_test_id(button).first.click()
    return Path(await (await saving.value).path()).read_text("utf-8")


async def test_the_audit_is_saved_as_a_file(system: System, signed: Signed) -> None:
    await new_zap(system, "Saved elsewhere")
    page = signed.page
    await page.add_init_script("delete window.showSaveFilePicker")  # its dialog is the browser's own
    await page.goto("/audit")
    await page.get_by_test_id("export").click()
    async with page.expect_download() as saving:
        await page.get_by_test_id("export-csv").click()
    saved = await saving.value
    assert saved.suggested_filename == "audit.csv"
    written = Path(await saved.path()).read_text("utf-8")
    assert written.startswith("position,")
    assert "Saved elsewhere" in written


async def test_a_zap_is_seen_after_each_of_its_changes_and_two_of_them_are_compared(
    system: System, signed: Signed
) -> None:
    zap = await new_zap(system, "Back then", [setting("one", "first")])
    await changed(system, zap, "Back then", "second")
    await changed(system, zap, "Back now", "third")
    page = signed.page
    await page.goto(f"/zaps/{zap['id']}?tab=history")
    then = page.get_by_test_id("then")
    await expect(then).to_contain_text("Nothing differs")
    await page.get_by_test_id("then-slider").press("Home")
    await expect(then.locator("ins").first).to_contain_text("Back now")
    await expect(then.locator("del").last).to_contain_text("first")
    await expect(then.locator("ins").last).to_contain_text("third")
    await page.get_by_test_id("then-against").select_option(index=1)
    await expect(then.locator("ins")).to_have_count(1)
    await expect(then.locator("ins")).to_have_text("After: second")


async def test_a_run_is_compared_with_itself_at_another_moment(system: System, signed: Signed) -> None:
    _, (run,) = await orders(system, "Twice", [9])
    page = signed.page
    await page.goto(f"/runs/{run}?tab=past")
    await page.get_by_test_id("past-against").select_option(index=1)
    await expect(page.get_by_test_id("diff")).to_contain_text("steps")


async def test_a_failed_run_is_found_by_a_customers_number_within_ten_seconds_from_the_start_page(
    system: System, signed: Signed
) -> None:
    zap = await failing_zap(system, "Charges")
    runs = [await system.post_hook(zap["hook_url"], {"customer": f"C-{n}"}, key=str(n)) for n in (90_210, 90_211)]
    await system.settled(runs)

    async def found() -> bool:
        return bool((await system.call("GET", "/api/v1/runs/count?q=90211"))["count"])

    await eventually(found)
    page = signed.page
    await page.goto("/")
    await page.get_by_test_id("user-menu").wait_for()
    await page.keyboard.press("Control+k")
    await page.get_by_test_id("palette").fill("C-90211")
    await page.keyboard.press("Enter")
    rows = page.get_by_test_id("run-row")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Failed")
    await rows.get_by_role("link").first.click()
    await page.wait_for_url(f"**/runs/{runs[1]}*")


async def test_a_person_is_forgotten_after_a_look_and_the_record_holds(system: System, signed: Signed) -> None:
    """From the page on which a zap's plan of what goes stands, too."""
    zap = await new_zap(system, "Persons", [setting("note", "for {{ trigger.body.mail }}")])
    settings = {"subject": "trigger.body.mail", "retention": {"completed_days": 30, "payload_days": 7}}
    draft = {**zap["draft"], "settings": settings}
    await system.call("PUT", f"/api/v1/zaps/{zap['id']}", {"name": "Persons", "draft": draft}, **{"If-Match": "*"})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    people = ("grace@example.org", "Grace@example.org", "alan@example.org")
    runs = [await system.post_hook(zap["hook_url"], {"mail": mail}, key=mail) for mail in people]
    await system.settled(runs)

    async def known() -> bool:
        seen = await system.call("POST", "/api/v1/erasures", {"subject": people[0], "preview": True})
        plan = await system.call("GET", "/api/v1/retention")
        return bool(seen["runs"] == 2 and sum(one["zap_id"] == zap["id"] for one in plan["items"]) == 2)

    await eventually(known)
    page = signed.page
    await page.goto("/history")
    await expect(page.get_by_test_id("going").filter(has_text="Persons")).to_have_count(2)
    await page.get_by_test_id("subject").fill(people[0])
    await page.get_by_test_id("look").click()
    await expect(page.get_by_test_id("would-erase")).to_contain_text("2 runs would be forgotten")
    erase = page.get_by_test_id("erase")
    await expect(erase).to_be_disabled()
    await page.get_by_test_id("confirm").fill(people[0])
    await keep(page, "erasure")
    assert await violations(page, "erasure") == []
    await erase.click()
    done = page.get_by_test_id("erasure")
    await expect(done).to_contain_text("2 runs are forgotten", timeout=20_000)
    await done.get_by_test_id("verify").click()
    await expect(done.get_by_test_id("verified")).to_be_visible(timeout=20_000)
    texts = [str(await system.call("GET", f"/api/v1/runs/{run}")) for run in runs]
    assert ["example.org" in text for text in texts] == [False, False, True]
    assert signed.wrong == []


async def test_what_is_due_goes_at_once_and_the_page_says_so(system: System, signed: Signed) -> None:
    """Of a month long ago; the dialog outlives the plan that is empty by it, and what went is listed below."""
    zap = await new_zap(system, "Old orders", [setting("note", "x")])
    draft = {**zap["draft"], "settings": {"retention": {"completed_days": 30}}}
    await system.call("PUT", f"/api/v1/zaps/{zap['id']}", {"name": "Old", "draft": draft}, **{"If-Match": "*"})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    long_ago = int(datetime.fromisoformat("2025-03-09T00:00Z").timestamp() * 1e3)
    run_id = UUID(int=long_ago << 80 | new_id().int % 2**80)
    started = run_events.RunRequested(
        zap_id=UUID(zap["id"]), zap_version=1, source="webhook", request=json_request({"n": 1})
    )
    me = await system.call("GET", "/api/v1/me")
    async with patient_store(system.dsn) as store:
        await store.pool.execute("select es.make_run_month('2025-03-01')")
        await append(store, run_id, started, run_events.RunCompleted(), tenant_id=UUID(me["id"]), key=run_id)

    async def due() -> bool:
        plan = await system.call("GET", "/api/v1/retention")
        return any(one["is_due"] for one in plan["items"])

    await eventually(due)
    page = signed.page
    await page.goto("/history")
    before = await page.get_by_test_id("archive").count()
    await page.get_by_test_id("retain").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("gone for good")
    await keep(page, "drop now")
    assert await violations(page, "drop now") == []
    await page.get_by_test_id("retain-now").click()
    await expect(dialog.get_by_test_id("job-progress")).to_have_text("2 of 2", timeout=60_000)
    await expect(page.get_by_test_id("retain")).to_have_count(0, timeout=30_000)
    await expect(page.get_by_test_id("archive")).to_have_count(before + 1)
    await expect(dialog.get_by_test_id("job-progress")).to_have_text("2 of 2")
    await expect(page.get_by_test_id("retain-now")).to_have_count(0)
    await keep(page, "dropped now")
    await dialog.get_by_role("button", name="Close").last.click()
    await expect(dialog).to_have_count(0)
    assert signed.wrong == []


@pytest.mark.usefixtures("welcomed")
async def test_each_page_of_history_is_accessible_and_shows_hostile_values_as_text(
    system: System, browser: Browser
) -> None:
    zap, run = await failed_run(system, f"{HOSTILE} then")
    await changed(system, zap, f"{HOSTILE} now", HOSTILE)
    screens = {
        "/runs?q=img&where=trigger.body%3F&status=failed": ("chip", "[data-testid=views]"),
        f"/stats?zap_id={zap['id']}": ("totals", "text=As a table"),
        f"/audit?entity={zap['id']}": ("audit-row", "[data-testid=audit-row] button"),
        "/audit?tab=proof": ("verify", ""),
        f"/zaps/{zap['id']}?tab=history": ("then", ""),
        f"/runs/{run}?tab=past": ("past", ""),
        "/history": ("look", ""),
        "/system": ("sizes", ""),
    }
    async with examined(browser, system) as (page, look):
        for path, (shown, opens) in screens.items():
            await page.goto(path)
            await page.get_by_test_id(shown).first.wait_for()
            if opens:
                await page.locator(opens).first.click()
            await look(path.partition("?")[0] + f" {shown}", shown)
        await page.goto("/audit")
        await page.get_by_test_id("export").click()
        await look("export", "export-csv")
        await page.goto("/runs")
        await page.get_by_test_id("search").press_sequentially("trigger.body.")
        await page.get_by_role("listbox").wait_for()
        await look("suggestions", "search")
        await page.get_by_test_id("views").click()
        await page.get_by_test_id("view-edit").click()
        await look("views", "view-name")
