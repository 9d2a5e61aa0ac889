"""Files in the run viewer: what they are, looked at where that is harmless, downloaded; and in the form of a step."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.examined import examined
from tests.support.system import System

STEP = {
    "id": "send",
    "kind": "action",
    "type": "http.request",
    "config": {
        "url": "http://127.0.0.1:9/nowhere",
        "body_type": "multipart",
        "body": [{"name": "title", "value": "x"}, {"name": "photo", "file": "{{ trigger.body.photo }}"}],
    },
}
PAGE = "<script>document.title = 'taken'</script>"


def picture(width: int) -> bytes:
    """A PNG of noise, so that it is large."""
    rows = b"".join(b"\0" + os.urandom(3 * width) for _ in range(width))
    head = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


async def zap_with_files(system: System) -> tuple[dict[str, Any], UUID]:
    """A zap that was sent a picture, a text and a page of HTML; and its run."""
    trigger = {"type": "webhook.catch", "config": {}}
    kept = {"id": "kept", "kind": "set", "values": {"photo": "{{ trigger.body.photo }}"}}
    body = {"name": "Files", "trigger": trigger, "steps": [kept, STEP]}
    zap: dict[str, Any] = await system.call("POST", "/api/v1/zaps", body)
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    form = aiohttp.FormData()
    form.add_field("photo", picture(320), filename="Beach.png", content_type="image/png")
    form.add_field("notes", b"Bring the nets.\n", filename="notes.txt", content_type="text/plain")
    form.add_field("page", PAGE.encode(), filename="page.html", content_type="text/html")
    async with system.http.post(zap["hook_url"], data=form) as answer:
        return zap, UUID((await answer.json())["run_id"])


@pytest.mark.usefixtures("welcomed")
async def test_files_are_shown_looked_at_and_downloaded(system: System, browser: Browser) -> None:
    zap, run_id = await zap_with_files(system)
    async with examined(browser, system) as (page, look):
        await page.goto(f"/runs/{run_id}?step=trigger")
        files = page.get_by_test_id("trigger-detail").get_by_test_id("file")
        await expect(files).to_have_count(3)
        photo, notes, html = (files.filter(has_text=name) for name in ("Beach.png", "notes.txt", "page.html"))
        await expect(photo).to_contain_text("image/png")
        await expect(html.get_by_test_id("file-look")).to_have_count(0)
        await notes.get_by_test_id("file-look").click()
        await expect(notes.get_by_test_id("file-preview")).to_contain_text("Bring the nets.")
        await photo.get_by_test_id("file-look").click()
        shown = photo.get_by_test_id("file-preview")
        await expect(shown).to_be_visible()
        assert await shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
        await look("files", "file-preview")
        await page.evaluate("() => { delete window.showSaveFilePicker }")
        async with page.expect_download() as saving:
            await html.get_by_test_id("file-download").click()
        saved = await saving.value
        assert (saved.suggested_filename, Path(await saved.path()).read_text("utf-8")) == ("page.html", PAGE)
        await page.goto(f"/runs/{run_id}?step=kept")
        await expect(page.get_by_test_id("step-detail").get_by_test_id("file").first).to_contain_text("Beach.png")
        await page.goto(f"/zaps/{zap['id']}?tab=draft")
        await page.get_by_test_id("step-send").click()
        parts = page.get_by_test_id("parts")
        await expect(parts.get_by_test_id("part-kind")).to_have_count(2)
        await expect(parts.get_by_test_id("part-kind").nth(1)).to_have_value("file")
        await parts.scroll_into_view_if_needed()
        await look("parts", "parts")
