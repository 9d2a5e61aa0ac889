"""The catalog in the browser: what there is, and connectors that are uploaded and imported."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Signed
from tests.browser.examined import examined
from tests.support.system import System

pytestmark = [pytest.mark.slow]
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> {{ 7 }}"
FILE = """
connector: {name}
version: {version}
name: Shop {name}
description: "{about}"
base_url: https://shop.example.com
connection: {{kind: bearer, help: "Ask the {about}"}}
actions:
  add_line:
    name: Add a line
    description: "{about}"
    input: {{sku: {{type: string, required: true, title: "{about}"}}}}
    request: {{method: POST, path: /lines, json: {{sku: "{{{{ input.sku }}}}"}}}}
    output: {{sample: {{id: 1}}}}
"""


def document(count: int = 30, **changes: Any) -> dict[str, Any]:
    """A description of an API with three operations of each of so many things."""
    paths: dict[str, Any] = {}
    for number in range(count):
        tag = ["Orders", "Customers", HOSTILE][number % 3]
        paths[f"/things{number}/{{id}}"] = {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": f"getThing{number}", "summary": f"Get thing {number}", "tags": [tag],
                    "responses": {"200": {"description": "it"}}},
        }  # fmt: skip
    return {"openapi": "3.1.0", "info": {"title": "Warehouse"}, "paths": paths | changes}


async def upload(page: Page, text: str) -> None:
    await page.goto("/catalog")
    await page.get_by_test_id("upload").click()
    await page.get_by_test_id("upload-text").fill(text)
    await page.get_by_test_id("upload-send").click()


async def test_everything_there_is_can_be_searched_and_read(signed: Signed) -> None:
    page = signed.page
    await page.goto("/catalog")
    await expect(page.get_by_test_id("connector").filter(has_text="Slack")).to_be_visible()
    await page.get_by_test_id("search").fill("slack message")
    await expect(page.get_by_test_id("catalog-row").filter(has_text="slack.post_message")).to_be_visible()
    assert page.url.endswith("?q=slack+message")
    await page.get_by_test_id("catalog-row").filter(has_text="slack.post_message").get_by_role("link").click()
    action = page.get_by_test_id("action-slack.post_message")
    await expect(action.get_by_test_id("fields")).to_contain_text("channel")
    await expect(page.get_by_text("Bearer token, OAuth 2")).to_be_visible()
    await page.get_by_test_id("connect").click()
    await expect(page.get_by_test_id("part-hosts")).to_have_value("slack.com")
    await page.goto("/catalog?q=cron")
    await expect(page.get_by_test_id("catalog-row")).to_contain_text(["schedule.cron"])
    await page.goto("/catalog?q=no+such+thing")
    await expect(page.get_by_text("Nothing has these words")).to_be_visible()


async def test_a_file_is_uploaded_and_all_its_mistakes_are_said_at_once(signed: Signed, tmp_path: Path) -> None:
    page = signed.page
    await upload(page, "connector: Shop\nversoin: 1.0.0\nactions: {a: {}}")
    mistakes = page.get_by_test_id("mistakes")
    for pointer in ("/connector", "/versoin", "/version", "/name", "/base_url", "/actions/a/name"):
        await expect(mistakes.get_by_text(pointer, exact=True)).to_be_visible()
    file = tmp_path / "mine.yaml"
    file.write_text(FILE.format(name="mine", version="1.0.0", about="Mine"))
    await page.get_by_test_id("upload-file").set_input_files(file)
    await expect(page.get_by_test_id("upload-text")).to_have_value(file.read_text())
    await page.get_by_test_id("upload-send").click()
    await page.wait_for_url("**/catalog/mine")
    await upload(page, FILE.format(name="mine", version="1.1.0", about="Mine"))
    await expect(page.get_by_test_id("versions").locator("option")).to_have_text(["1.1.0 (newest)", "1.0.0"])
    await page.get_by_test_id("versions").select_option("1.0.0")
    await page.wait_for_url("**/catalog/mine?version=1.0.0")
    await expect(page.get_by_test_id("versions")).to_have_value("1.0.0")


async def read(page: Page, file: Path) -> None:
    await page.get_by_test_id("import-file").set_input_files(file)
    await page.get_by_test_id("import-base").fill("https://things.example.com")
    await page.get_by_test_id("import-next").click()
    await page.get_by_test_id("operations").wait_for()


async def test_an_api_is_imported_and_imported_again(system: System, signed: Signed, tmp_path: Path) -> None:
    page, file = signed.page, tmp_path / "openapi.json"
    file.write_text(json.dumps(document()))
    await page.goto("/catalog")
    await page.get_by_test_id("import").click()
    await page.get_by_test_id("import-name").fill("warehouse")
    await read(page, file)
    await expect(page.get_by_test_id("chosen")).to_have_text("0 of 30 operations chosen")
    await page.get_by_test_id("operation-search").fill("customers")
    await page.get_by_test_id("take-all").click()
    await expect(page.get_by_test_id("chosen")).to_have_text("10 of 30 operations chosen")
    await page.get_by_test_id("operation-search").fill("thing 4")
    await page.get_by_test_id("operation-getThing4").uncheck()
    await page.get_by_test_id("import-next").click()
    await expect(page.get_by_test_id("changes-added")).to_contain_text("getThing1")
    await page.get_by_test_id("import-next").click()
    await page.wait_for_url("**/catalog/warehouse")
    step = {"id": "look", "kind": "action", "type": "warehouse.getThing7", "config": {"path": {"id": "1"}}}
    body = {"name": "Looks things up", "trigger": {"type": "webhook.catch"}, "steps": [step]}
    await system.call("POST", "/api/v1/zaps", body)

    changed = document()
    del changed["paths"]["/things7/{id}"]
    changed["paths"]["/things1/{id}"]["get"]["summary"] = "Get the first thing"
    file.write_text(json.dumps(changed))
    await page.get_by_test_id("import-again").click()
    await read(page, file)
    await expect(page.get_by_test_id("chosen")).to_have_text("8 of 29 operations chosen")
    await page.get_by_test_id("operation-search").fill("thing 0")
    await page.get_by_test_id("operation-getThing0").check()
    await page.get_by_test_id("import-next").click()
    for change, operation in (("added", "getThing0"), ("changed", "getThing1"), ("removed", "getThing7")):
        await expect(page.get_by_test_id(f"changes-{change}").locator("code")).to_have_text([operation])
    await expect(page.get_by_test_id("affected")).to_contain_text("Looks things up at look: getThing7")
    await page.get_by_test_id("import-next").click()
    await expect(page.get_by_test_id("versions").locator("option")).to_have_text(["1.1.0 (newest)", "1.0.0"])


@pytest.mark.usefixtures("welcomed")
async def test_its_screens_and_dialogs_are_accessible_and_show_hostile_values_as_text(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    name, file = "hostile", tmp_path / "openapi.json"
    await system.call("POST", "/api/v1/connectors", {"file": FILE.format(name=name, version="1.0.0", about=HOSTILE)})
    file.write_text(json.dumps(document(6)))
    async with examined(browser, system) as (page, look):
        await page.goto("/catalog")
        await look("catalog", "connector")
        await page.goto("/catalog?q=line")
        await look("found", "catalog-row")
        await page.goto(f"/catalog/{name}?action={name}.add_line")
        await look("connector", "fields")
        await page.goto("/catalog/stripe")
        await page.get_by_test_id("preset").first.click()
        await look("preset", "preset")
        await upload(page, HOSTILE)
        await look("upload", "mistakes")
        await page.goto("/catalog")
        await page.get_by_test_id("import").click()
        await look("import-read", "import-read")
        await page.get_by_test_id("import-name").fill(f"{name}_api")
        await read(page, file)
        await look("import-choose", "operations")
        await page.get_by_test_id("take-all").click()
        await page.get_by_test_id("import-next").click()
        await look("import-review", "import-review")
