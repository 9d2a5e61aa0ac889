"""The web UI as a browser gets it: its page, its files, and what stays the API's."""

import re
from gzip import compress
from pathlib import Path

import httpx
import pytest

from app.http.ui.files import DIST, SECTIONS
from projections.audit import AUDIT
from tests.support.api import running_api

PAGES = [
    "/",
    "/zaps",
    "/zaps/0199c0de-1234-7abc-8def-0123456789ab",
    "/runs?status=failed",
    "/settings",
    "/login?next=/runs",
]


def files_of(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="\./(assets/[^"]+)"', html)


@pytest.mark.parametrize("path", PAGES)
async def test_every_address_of_the_ui_is_the_same_page(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.text == (await api.get("/")).text


async def test_the_page_takes_nothing_from_elsewhere_and_nothing_inline(api: httpx.AsyncClient) -> None:
    answer = await api.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in answer.text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|javascript:", answer.text)


async def test_a_browser_that_has_the_page_is_told_so(api: httpx.AsyncClient) -> None:
    etag = (await api.get("/zaps")).headers["etag"]
    again = await api.get("/runs", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert (await api.get("/runs", headers={"if-none-match": '"another"'})).status_code == 200


async def test_files_never_change_and_come_compressed(api: httpx.AsyncClient) -> None:
    names = files_of((await api.get("/")).text)
    assert len(names) >= 3
    for name in names:
        answer = await api.get(f"/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == (DIST / name).read_bytes()
        plain = await api.get(f"/{name}", headers={"accept-encoding": "identity"})
        assert ("content-encoding" in plain.headers, plain.content) == (False, answer.content)


@pytest.mark.parametrize(
    "path", ["/assets/index.js", "/assets/..%2findex.html", "/assets/%2e%2e/index.html", "/assets/"]
)
async def test_there_are_no_other_files(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_person_who_is_lost_gets_a_page_and_a_program_gets_a_problem(api: httpx.AsyncClient) -> None:
    lost = await api.get("/zap", headers={"accept": "text/html,*/*"})
    assert (lost.status_code, lost.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path in ("/zap", "/api/v1/zap", "/hooks/nowhere", "/docs/nowhere", "/schema/nowhere", "/metrics"):
        answer = await api.get(path, headers={"accept": "*/*" if path == "/zap" else "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path


@pytest.mark.parametrize("path", ["/", "/zaps", "/assets/{asset}", "/licenses.txt"])
async def test_pages_and_files_are_only_read(api: httpx.AsyncClient, path: str) -> None:
    path = path.format(asset=files_of((await api.get("/")).text)[0].removeprefix("assets/"))
    head, options = await api.head(path), await api.options(path)
    assert (head.status_code, head.content) == (200, b"")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (await api.post(path)).status_code == 405


async def test_below_the_path_of_a_proxy_the_page_finds_its_files(dsn: str) -> None:
    async with running_api(dsn, public_url="https://example.org/hub") as api:
        assert '<base href="/hub/"' in (await api.get("/zaps")).text


async def test_the_licences_of_what_it_is_made_of_are_there(api: httpx.AsyncClient) -> None:
    text = (await api.get("/licenses.txt")).text
    for name in ("react", "@tanstack/react-query", "lucide-react"):
        assert f"{name} " in text
    assert "Permission is hereby granted" in text


def test_the_router_and_the_server_know_the_same_addresses() -> None:
    router = (DIST.parent / "src" / "router.tsx").read_text("utf-8")
    assert {path.split("/")[1] for path in re.findall(r'path: "(/\w[^"]*)"', router)} == set(SECTIONS)


def test_the_audit_is_filtered_by_each_type_of_event_that_it_has() -> None:
    page = (DIST.parent / "src" / "pages" / "Audit.tsx").read_text("utf-8")
    offered = page[page.index("const TYPES = [") : page.index("];")]
    assert set(re.findall(r'"([a-z_.]+)"', offered)) == AUDIT.handles


def test_all_texts_are_in_one_file() -> None:
    """A text between two tags, or in an attribute that people read, that is no expression."""
    stray = re.compile(r">\s*[A-Za-z][a-z]+ [A-Za-z ]+\s*<|(?:placeholder|title|label)=\"[A-Z][a-z]+ ?[a-z ]*\"")
    sources = list((DIST.parent / "src").rglob("*.tsx"))
    assert len(sources) > 15
    found = {path.name: stray.findall(path.read_text("utf-8")) for path in sources}
    assert {name: texts for name, texts in found.items() if texts} == {}


BUDGET_FIRST_PAGE, BUDGET_EDITOR, BUDGET_ALL = 180_000, 220_000, 600_000


def gzipped(paths: list[Path]) -> int:
    return sum(len(compress(path.read_bytes())) for path in paths)


def test_the_ui_keeps_to_its_budgets() -> None:
    """Bytes as they are sent: scripts of the first page, and everything."""
    first = [DIST / name for name in files_of((DIST / "index.html").read_text("utf-8")) if name.endswith(".js")]
    assert 50_000 < gzipped(first) <= BUDGET_FIRST_PAGE
    assert gzipped(list((DIST / "assets").glob("Editor-*.js"))) <= BUDGET_EDITOR
    assert gzipped([path for path in DIST.rglob("*") if path.is_file()]) <= BUDGET_ALL
