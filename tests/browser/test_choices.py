"""Fields whose values a service knows, and the pages of a list, in the forms of the editor."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Signed
from tests.browser.examined import examined
from tests.support.eventually import eventually
from tests.support.system import System

pytestmark = [pytest.mark.slow]
HOSTILE = "<img src=x onerror=alert(1)>"
PER_PAGE = 20
FILE = """
connector: stocks
version: 1.0.0
name: Stocks
base_url: {url}
connection: {{kind: bearer, required: false}}
actions:
  take:
    name: Take something
    input:
      house: {{type: string, required: true, title: House, choices: houses}}
      shelf: {{type: integer, required: true, title: Shelf, choices: shelves, depends_on: [house]}}
    request: {{method: POST, path: "/{{house}}", json: {{shelf: "{{{{ input.shelf }}}}"}}}}
    output: {{sample: {{id: 1}}}}
choices:
  houses: {{request: {{path: /houses}}, items: items, value: id, label: name}}
  shelves:
    request: {{path: "/{{house}}/shelves", query: {{after: "{{{{ cursor }}}}", q: "{{{{ search }}}}"}}}}
    depends_on: [house]
    items: items
    value: id
    label: name
    page: {{next: next}}
"""


class Stocks:
    """A service with two houses, and a hundred shelves in each."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens: set[str] = set()

    async def houses(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers.get("Authorization", ""))
        names = {"north": "House in the north", "south": HOSTILE}
        return web.json_response({"items": [{"id": one, "name": name} for one, name in names.items()]})

    async def shelves(self, request: web.Request) -> web.Response:
        house, words = request.match_info["house"], request.query.get("q", "")
        found = [{"id": number, "name": f"Shelf {number} {house}"} for number in range(100)]
        found = [one for one in found if words in str(one["name"])]
        begin = int(request.query.get("after", "0"))
        end = begin + PER_PAGE
        return web.json_response({"items": found[begin:end], "next": str(end) if end < len(found) else None})


@asynccontextmanager
async def running_stocks() -> AsyncIterator[Stocks]:
    stocks, app = Stocks(), web.Application()
    app.router.add_get("/houses", stocks.houses)
    app.router.add_get("/{house}/shelves", stocks.shelves)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stocks.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stocks
    finally:
        await runner.cleanup()


async def saved(system: System, zap_id: str, config: dict[str, Any]) -> None:
    """The draft's only step gets this config within moments."""

    async def is_saved() -> bool:
        zap = await system.call("GET", f"/api/v1/zaps/{zap_id}")
        return bool(zap["draft"]["steps"][0]["config"] == config)

    await eventually(is_saved)


async def open_step(page: Page, zap_id: str, step: str) -> None:
    await page.goto(f"/zaps/{zap_id}?tab=draft")
    await page.get_by_test_id(f"step-{step}").click()
    await page.get_by_test_id("step-form").wait_for()


async def test_values_are_chosen_from_the_service_page_by_page(system: System, signed: Signed) -> None:
    page = signed.page
    async with running_stocks() as stocks:
        await system.call("POST", "/api/v1/connectors", {"file": FILE.format(url=stocks.url)})
        secret = {"name": "Stocks", "kind": "bearer", "secrets": {"token": "t-0815-xyz"},
                  "config": {"hosts": [stocks.url.removeprefix("http://")]}}  # fmt: skip
        connection = await system.call("POST", "/api/v1/connections", secret)
        step = {"id": "take", "kind": "action", "type": "stocks.take", "connection": connection["id"],
                "config": {"house": "{{ trigger.body.house }}", "shelf": 1}}  # fmt: skip
        body = {"name": "Takes", "trigger": {"type": "webhook.catch"}, "steps": [step]}
        zap = await system.call("POST", "/api/v1/zaps", body)
        await open_step(page, zap["id"], "take")
        houses, shelves = page.get_by_test_id("choices-houses"), page.get_by_test_id("choices-shelves")
        await houses.get_by_test_id("choose").click()
        await expect(houses.get_by_test_id("choice")).to_have_text(["House in the north", HOSTILE])
        assert stocks.tokens == {"Bearer t-0815-xyz"}
        await page.get_by_test_id("choice-search").press("Enter")
        await expect(page.get_by_label("House", exact=True)).to_have_value("north")
        await expect(houses).to_contain_text("House in the north")
        await expect(page.get_by_label("Shelf", exact=True)).to_have_value("")  # it was one of another house

        await shelves.get_by_test_id("choose").click()
        await expect(shelves.get_by_test_id("choice")).to_have_count(PER_PAGE)
        await shelves.get_by_test_id("more-choices").click()
        await expect(shelves.get_by_test_id("choice")).to_have_count(2 * PER_PAGE)
        await page.get_by_test_id("choice-search").fill("Shelf 77")
        await expect(shelves.get_by_test_id("choice")).to_have_text(["Shelf 77 north"])
        await shelves.get_by_test_id("choice").click()
        await saved(system, zap["id"], {"house": "north", "shelf": 77})
        await page.get_by_label("Shelf", exact=True).fill("{{ trigger.body.shelf }}")
        await saved(system, zap["id"], {"house": "north", "shelf": "{{ trigger.body.shelf }}"})
        assert await page.locator("img[src=x]").count() == 0


async def test_a_service_that_refuses_leaves_the_field_to_be_written(system: System, signed: Signed) -> None:
    page = signed.page
    file = FILE.format(url="http://127.0.0.1:1").replace("stocks", "gone")
    await system.call("POST", "/api/v1/connectors", {"file": file})
    step = {"id": "take", "kind": "action", "type": "gone.take", "config": {"house": "a", "shelf": 1}}
    body = {"name": "Gone", "trigger": {"type": "webhook.catch"}, "steps": [step]}
    zap = await system.call("POST", "/api/v1/zaps", body)
    await open_step(page, zap["id"], "take")
    await page.get_by_test_id("choices-houses").get_by_test_id("choose").click()
    await expect(page.get_by_test_id("choices-houses").get_by_role("alert")).to_contain_text("gives no choices")
    await page.get_by_test_id("choice-search").press("Escape")
    await page.get_by_label("House", exact=True).fill("b")
    await page.get_by_label("Shelf", exact=True).fill("2")
    await saved(system, zap["id"], {"house": "b", "shelf": 2})


async def test_the_pages_of_a_list_are_set_in_the_form(system: System, signed: Signed) -> None:
    page = signed.page
    config = {"method": "GET", "url": "https://api.example.com/orders"}
    step = {"id": "list", "kind": "action", "type": "http.request", "config": config}
    body = {"name": "Lists", "trigger": {"type": "webhook.catch"}, "steps": [step]}
    zap = await system.call("POST", "/api/v1/zaps", body)
    await open_step(page, zap["id"], "list")
    await page.get_by_test_id("step-form").get_by_text("More settings").first.click()
    await page.get_by_label("How pages follow").select_option("cursor")
    await page.get_by_label("Where the items are").fill("body.data")
    await page.get_by_label("Where the next cursor or URL is").fill("body.next")
    await page.get_by_label("Pages at most").fill("5")
    paging = {"kind": "cursor", "items": "body.data", "cursor": "body.next", "max_pages": 5}
    await saved(system, zap["id"], {**config, "paging": paging})


@pytest.mark.usefixtures("welcomed")
async def test_the_list_of_choices_is_accessible(system: System, browser: Browser) -> None:
    async with running_stocks() as stocks:
        file = FILE.format(url=stocks.url).replace("connector: stocks", "connector: stocks_seen")
        await system.call("POST", "/api/v1/connectors", {"file": file})
        step = {"id": "take", "kind": "action", "type": "stocks_seen.take", "config": {"house": "a", "shelf": 1}}
        body = {"name": "Takes", "trigger": {"type": "webhook.catch"}, "steps": [step]}
        zap = await system.call("POST", "/api/v1/zaps", body)
        async with examined(browser, system) as (page, look):
            await open_step(page, zap["id"], "take")
            await page.get_by_test_id("choices-shelves").get_by_test_id("choose").click()
            await look("choices", "choice")
