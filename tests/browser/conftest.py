"""A whole TriggerHub and a browser; both are started once for all tests of the UI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.support.system import PASSWORD, System, running_system

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
EMAIL = "grace@example.com"
ANOTHER_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""What another browser calls itself."""
PATIENCE_MS = 30_000
"""Some lists are asked for again every 5 s only, and the machine may be busy."""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
async def system() -> AsyncIterator[System]:
    """Without any account: the first test of a person makes the first one."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not on this machine: on Debian, apt-get install chromium")
    async with running_system(TRIGGERHUB_CHECKPOINT_MINUTES="1") as running:
        yield running


@pytest.fixture(scope="session")
async def browser(system: System) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def welcomed(system: System, browser: Browser) -> str:
    """The first account, made in the browser; its access token is the system's from now on. Gives the first address."""
    context = await browser.new_context(base_url=system.base)
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_label("Name").fill("Grace Hopper")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_test_id("sign-up").click()
    await page.wait_for_url("**/zaps")
    address = page.url
    await context.close()
    signed_in = await system.call("POST", "/api/v1/auth/signin", {"email": EMAIL, "password": PASSWORD})
    system.token = signed_in["access_token"]
    return address


class Signed:
    """A signed-in person's page, and what went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(f"a script opened a dialog: {dialog.message}"))
        page.on("console", lambda message: self._heard(message.type, message.text))

    def _heard(self, kind: str, text: str) -> None:
        # The browser reports each 4xx as well; which of them are expected, tests say by what they look for.
        if kind == "error" and "Failed to load resource" not in text:
            self.wrong.append(text)


async def fill_in(page: Page, email: str, password: str) -> None:
    """Send the form of the sign-in page."""
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_test_id("sign-in").click()


async def sign_in(context: BrowserContext) -> Signed:
    """An empty page of the person of the tests, who signs in by the call that the form makes: it is tested once."""
    answer = await context.request.post("/api/v1/auth/session", data={"email": EMAIL, "password": PASSWORD})
    assert answer.status == 200, await answer.text()
    page = context.pages[0] if context.pages else await context.new_page()
    return Signed(page)


@asynccontextmanager
async def browsing(browser: Browser, system: System, **options: Any) -> AsyncIterator[Signed]:
    """The same in a window of their own, with its options."""
    context = await browser.new_context(base_url=system.base, **options)
    context.set_default_timeout(PATIENCE_MS)
    signed = await sign_in(context)
    yield signed
    await context.close()
    assert signed.wrong == []


@pytest.fixture(scope="session")
async def window(system: System, browser: Browser, welcomed: str) -> AsyncIterator[BrowserContext]:
    """One for all who look at a page: to open another takes three times as long as to go somewhere in it."""
    context = await browser.new_context(base_url=system.base)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest.fixture
async def signed(window: BrowserContext) -> AsyncIterator[Signed]:
    """Somebody who has just signed in, on a page that knows nothing of others; nothing may have gone wrong on it."""
    signed = await sign_in(window)
    yield signed
    (page,) = window.pages
    await window.set_offline(False)
    await window.clear_permissions()
    await page.unroute_all(behavior="ignoreErrors")
    await page.mouse.move(0, 0)
    await page.goto("/healthz")
    await page.evaluate("() => localStorage.clear()")
    assert signed.wrong == []
