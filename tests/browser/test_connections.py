"""Connections and variables in the browser: stored, tried, consented to, used, taken away, and never shown."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Signed, browsing
from tests.browser.examined import MAGNIFIED, examined
from tests.support.echo_target import EchoTarget, echo_target
from tests.support.eventually import eventually
from tests.support.oauth_server import CLIENT, SECRET, OAuthServer, oauth_server
from tests.support.system import System

pytestmark = [pytest.mark.slow]
CANARY = "canary-8f3a-token"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> {{ 7 }}"


@pytest.fixture
async def target() -> AsyncIterator[EchoTarget]:
    async with echo_target() as target:
        yield target


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with oauth_server() as server:
        yield server


async def fill(page: Page, **parts: str) -> None:
    for name, value in parts.items():
        field = page.get_by_test_id("connection-name" if name == "name" else f"part-{name}")
        if await field.evaluate("one => one.tagName") == "SELECT":
            await field.select_option(value)
        else:
            await field.fill(value)


async def open_form(page: Page, kind: str) -> None:
    await page.goto("/connections")
    await page.get_by_test_id("new-connection").click()
    await page.get_by_test_id("connection-kind").select_option(kind)


def row_of(page: Page, name: str) -> Any:
    return page.get_by_test_id("connection-row").filter(has_text=name)


async def wish(page: Page, name: str, verb: str) -> None:
    await row_of(page, name).get_by_role("button", name="Actions").click()
    await page.get_by_test_id(verb).click()


async def uses(system: System, connection: str, name: str, url: str) -> dict[str, Any]:
    """A zap that names the connection."""
    step = {"id": "send", "kind": "action", "type": "http.request", "connection": connection,
            "config": {"method": "GET", "url": url}}  # fmt: skip
    body = {"name": name, "trigger": {"type": "webhook.catch"}, "steps": [step]}
    zap: dict[str, Any] = await system.call("POST", "/api/v1/zaps", body)
    return zap


async def test_a_credential_is_stored_tried_renamed_and_taken_away(
    system: System, signed: Signed, target: EchoTarget
) -> None:
    page = signed.page
    await open_form(page, "bearer")
    await fill(page, name="The shop", token=CANARY, hosts=target.url.removeprefix("http://"))
    await page.get_by_test_id("save-connection").click()
    row = row_of(page, "The shop")
    await expect(row.get_by_test_id("connection-status")).to_have_text("Not used yet")
    for status, words in ((200, "It was let in."), (401, "It was not let in.")):
        target.status = status
        await wish(page, "The shop", "test-connection")
        await page.get_by_test_id("trial-url").fill(f"{target.url}/me")
        await page.get_by_test_id("run-trial").click()
        await expect(page.get_by_test_id("trial")).to_contain_text(words)
        assert target.last.headers["Authorization"] == f"Bearer {CANARY}"
        await page.keyboard.press("Escape")
    await expect(row.get_by_test_id("connection-status")).to_have_text("Refused")
    await wish(page, "The shop", "change-connection")
    await expect(page.get_by_test_id("part-token")).to_have_value("")
    await fill(page, name="Another shop")
    await page.get_by_test_id("save-connection").click()
    await expect(row_of(page, "Another shop")).to_contain_text(target.url.removeprefix("http://"))
    made = (await system.call("GET", "/api/v1/connections"))["items"][0]
    await uses(system, made["id"], "Needs the shop", f"{target.url}/x")
    await wish(page, "Another shop", "delete-connection")
    await page.get_by_test_id("confirm").click()
    await expect(page.get_by_test_id("uses")).to_contain_text("Needs the shop in the draft: send")
    await expect(page.get_by_test_id("confirm")).to_have_text("Delete it anyway")
    assert CANARY not in await page.content()
    await page.get_by_test_id("confirm").click()
    await expect(row_of(page, "Another shop")).to_have_count(0)


async def test_what_is_wrong_is_said_at_the_field(signed: Signed) -> None:
    page = signed.page
    await open_form(page, "oauth2")
    await fill(page, name="Wrong", authorize_url="nowhere", token_url="http://x y", client_id="c", hosts="not/a/host")
    await page.get_by_test_id("save-connection").click()
    for part in ("authorize_url", "token_url", "hosts"):
        await expect(page.get_by_test_id(f"part-{part}")).to_have_attribute("aria-invalid", "true")
    await fill(page, grant="jwt_bearer")
    await expect(page.get_by_test_id("part-authorize_url")).to_have_count(0)
    await expect(page.get_by_test_id("part-private_key")).to_be_visible()


@pytest.mark.usefixtures("welcomed")
async def test_a_long_form_can_be_filled_in_at_twice_the_size(system: System, browser: Browser) -> None:
    async with browsing(browser, system, viewport=MAGNIFIED, device_scale_factor=2) as signed:
        await open_form(signed.page, "oauth2")
        for part in ("part-client_secret", "save-connection"):
            await signed.page.get_by_test_id(part).scroll_into_view_if_needed()
            await expect(signed.page.get_by_test_id(part)).to_be_in_viewport(ratio=1)


async def consent(page: Page) -> None:
    """Go to the service in another tab, come back, and find that it is connected."""
    async with page.context.expect_page() as opened:
        await page.get_by_test_id("to-consent").click()
    tab = await opened.value
    await expect(tab.get_by_text("You can close this page")).to_be_visible()
    await tab.close()
    await expect(page.get_by_test_id("consented")).to_be_visible()
    await page.get_by_role("button", name="Done").click()


async def test_somebody_consents_and_again_once_that_was_taken_back(signed: Signed, server: OAuthServer) -> None:
    page = signed.page
    server.lasts_s = 1
    await open_form(page, "oauth2")
    await fill(page, name="Calendar", grant="authorization_code", authorize_url=f"{server.url}/authorize",
               token_url=f"{server.url}/token", client_id=CLIENT, client_secret=SECRET, scopes="a\nb",
               hosts=server.url.removeprefix("http://"))  # fmt: skip
    await page.get_by_test_id("save-connection").click()
    await expect(page.get_by_test_id("consent")).to_contain_text("/oauth/callback")
    await consent(page)
    status = row_of(page, "Calendar").get_by_test_id("connection-status")
    await expect(status).to_have_text("Works")
    server.take_back()
    await wish(page, "Calendar", "test-connection")
    await page.get_by_test_id("trial-url").fill(f"{server.url}/api/me")
    await page.get_by_test_id("run-trial").click()
    await expect(page.get_by_test_id("trial")).to_contain_text("It was not let in.")
    await page.keyboard.press("Escape")
    await expect(status).to_have_text("Needs consent")
    server.lasts_s = 3_600
    await row_of(page, "Calendar").get_by_test_id("reconnect").click()
    await consent(page)
    await expect(status).to_have_text("Works")


async def test_a_step_gets_a_connection_that_is_made_on_the_spot(system: System, signed: Signed) -> None:
    secret = {"name": "The old one", "kind": "bearer", "secrets": {"token": CANARY}}
    old = await system.call("POST", "/api/v1/connections", secret)
    say = {"id": "say", "kind": "action", "type": "slack.post_message", "connection": old["id"],
           "config": {"channel": "c", "text": "x"}}  # fmt: skip
    body = {"name": "On the spot", "trigger": {"type": "webhook.catch"}, "steps": [say]}
    zap = await system.call("POST", "/api/v1/zaps", body)
    page = signed.page
    await page.goto(f"/zaps/{zap['id']}?tab=draft")
    await page.get_by_test_id("step-say").click()
    await page.get_by_test_id("step-form").get_by_test_id("new-connection").click()
    await expect(page.get_by_test_id("connection-name")).to_have_value("Slack")
    await expect(page.get_by_test_id("part-hosts")).to_have_value("slack.com")
    await fill(page, name="Our Slack", token=CANARY)
    await page.get_by_test_id("save-connection").click()
    await expect(page.get_by_test_id("connection").locator("option:checked")).to_have_text("Our Slack")
    names = {one["id"]: one["name"] for one in (await system.call("GET", "/api/v1/connections"))["items"]}

    async def is_saved() -> bool:
        found = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
        return bool(names[found["draft"]["steps"][0]["connection"]] == "Our Slack")

    await eventually(is_saved)


async def test_variables_are_set_replaced_and_taken_away(system: System, signed: Signed) -> None:
    page = signed.page
    await page.goto("/variables")
    for name, secret, value in (("BASE", False, "https://api.example.com"), ("TOKEN", True, CANARY)):
        await page.get_by_test_id("new-variable").click()
        await page.get_by_test_id("variable-name").fill(name)
        await page.get_by_test_id("variable-secret").set_checked(secret)
        await page.get_by_test_id("variable-value").fill(value)
        await page.get_by_test_id("save-variable").click()
        await expect(page.get_by_test_id("variable-row").filter(has_text=name)).to_have_count(1)
    plain_row, secret_row = (page.get_by_test_id("variable-row").filter(has_text=name) for name in ("BASE", "TOKEN"))
    await expect(plain_row).to_contain_text("https://api.example.com")
    await expect(secret_row).to_contain_text("never shown")
    assert CANARY not in await page.content()
    await plain_row.get_by_role("button", name="Actions").click()
    await page.get_by_test_id("change-variable").click()
    await page.get_by_label("Type").select_option("number")
    await page.get_by_test_id("variable-value").fill("7")
    await page.get_by_test_id("save-variable").click()
    await expect(plain_row).to_contain_text("7")
    assert (await system.call("GET", "/api/v1/variables/BASE"))["value"] == 7

    async def is_recorded() -> bool:
        return len((await system.call("GET", '/api/v1/audit?q="variable BASE"'))["items"]) >= 2

    await eventually(is_recorded)
    await plain_row.get_by_role("button", name="Actions").click()
    await page.get_by_test_id("variable-history").click()
    await expect(page.get_by_test_id("history").get_by_role("listitem")).to_contain_text(["set variable BASE"] * 2)
    await page.keyboard.press("Escape")
    step = {
        "id": "send",
        "kind": "action",
        "type": "http.request",
        "config": {"method": "GET", "url": "{{ vars.BASE }}"},
    }
    body = {"name": "Names it", "trigger": {"type": "webhook.catch"}, "steps": [step]}
    await system.call("POST", "/api/v1/zaps", body)

    async def is_named() -> bool:
        return bool((await system.call("GET", "/api/v1/variables/BASE/used-by"))["items"])

    await eventually(is_named)
    await plain_row.get_by_role("button", name="Actions").click()
    await page.get_by_test_id("delete-variable").click()
    await expect(page.get_by_test_id("uses")).to_contain_text("Names it in the draft: send")
    await page.keyboard.press("Escape")
    await secret_row.get_by_role("button", name="Actions").click()
    await page.get_by_test_id("variable-uses").click()
    await expect(page.get_by_text("No zap names it.")).to_be_visible()
    await page.keyboard.press("Escape")
    await secret_row.get_by_role("button", name="Actions").click()
    await page.get_by_test_id("delete-variable").click()
    await page.get_by_test_id("confirm").click()
    await expect(secret_row).to_have_count(0)


async def registers(system: System, name: str) -> str:
    """A zap whose hook a service would be told of, if that were there."""
    made = await system.call(
        "POST", "/api/v1/connections", {"name": f"Git {name}", "kind": "bearer", "secrets": {"token": CANARY}}
    )
    wish = {"at": "github.webhook", "input": {"owner": "octocat", "repo": "hello"}}
    config = {"verification": {"preset": "github"}, "register": wish}
    trigger = {"type": "webhook.catch", "connection": made["id"], "config": config}
    step = {"id": "stop", "kind": "stop", "as": "completed"}
    zap = await system.call("POST", "/api/v1/zaps", {"name": f"Pushes {name}", "trigger": trigger, "steps": [step]})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return str(zap["id"])


@pytest.mark.usefixtures("welcomed")
async def test_a_zap_says_how_its_hook_stands_with_the_service(system: System, browser: Browser) -> None:
    zap_id = await registers(system, "alone")
    async with examined(browser, system) as (page, look):
        await page.goto(f"/zaps/{zap_id}")
        await expect(page.get_by_test_id("registration")).to_contain_text("Failed")
        await look("registration", "register-again")


@pytest.mark.usefixtures("welcomed")
async def test_their_screens_and_dialogs_are_accessible_and_show_hostile_values_as_text(
    system: System, browser: Browser
) -> None:
    body = {"name": f"Bearer {HOSTILE}", "kind": "bearer", "secrets": {"token": CANARY},
            "config": {"hosts": ["shop.example.com"]}}  # fmt: skip
    made = await system.call("POST", "/api/v1/connections", body)
    await uses(system, made["id"], HOSTILE, "https://shop.example.com/x?v={{ vars.HOSTILE }}")
    await system.call("PUT", "/api/v1/variables/HOSTILE", {"value": HOSTILE})
    asked = {"name": f"Consent {HOSTILE}", "kind": "oauth2", "config": {
        "grant": "authorization_code", "client_id": "c", "authorize_url": "https://id.example.com/authorize",
        "token_url": "https://id.example.com/token",
    }}  # fmt: skip
    await system.call("POST", "/api/v1/connections", asked)
    async with examined(browser, system) as (page, look):
        await page.goto("/connections")
        await look("connections", "connection-row")
        for kind in ("bearer", "oauth2", "postgres"):
            await open_form(page, kind)
            await look(f"connection-{kind}", "connection-form")
        await page.goto("/connections")
        await wish(page, "Bearer <img", "test-connection")
        await look("trial", "run-trial")
        await page.goto("/connections")
        await wish(page, "Consent <img", "consent-again")
        await look("consent", "consent")
        await page.goto("/connections")
        await wish(page, "Bearer <img", "delete-connection")
        await page.get_by_test_id("confirm").click()
        await look("removal", "uses")
        await page.goto("/variables")
        await look("variables", "variable-row")
        await page.get_by_test_id("new-variable").click()
        await look("variable", "variable-form")
        await page.goto("/variables")
        await (
            page.get_by_test_id("variable-row").filter(has_text="HOSTILE").get_by_role("button", name="Actions").click()
        )
        await page.get_by_test_id("variable-history").click()
        await look("history", "history")
        await page.goto("/variables")
        await (
            page.get_by_test_id("variable-row").filter(has_text="HOSTILE").get_by_role("button", name="Actions").click()
        )
        await page.get_by_test_id("delete-variable").click()
        await look("variable-removal", "uses")
