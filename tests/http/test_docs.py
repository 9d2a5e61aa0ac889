"""The documentation as a browser gets it: whole, from this host alone, without scripts but the viewer's."""

import re

import httpx
import pytest

from app.http.docs.guides import ORDER
from app.http.docs.reference import REFERENCES

PAGES = [
    *(f"/docs/guide/{name}" for name in ORDER),
    *(f"/docs/reference/{name}" for name in REFERENCES),
    "/docs/reference",
    "/docs/problems",
]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_script_and_no_other_host(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    assert "script" not in policy
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert re.findall(r'(?:src|<link[^>]* href)="(?!/|data:,)[^"]*"', answer.text) == []
    assert 'aria-current="page">' in answer.text


async def test_the_viewer_loads_only_files_of_this_host_and_the_document(api: httpx.AsyncClient) -> None:
    page = await api.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "connect-src 'self';" in policy
    assert re.findall(r"<script(?![^>]* src=)", page.text) == []
    sources = re.findall(r'(?:src|<link rel="stylesheet" href)="([^"]+)"', page.text)
    assert len(sources) == 4
    for source in sources:
        file = await api.get(source)
        assert file.status_code == 200
        assert re.fullmatch(r"text/(css|javascript); charset=utf-8", file.headers["content-type"])
    start = (await api.get("/docs/assets/start.js")).text
    address = re.findall(r'url: "([^"]+)"', start)
    assert address == ["/schema/openapi.json"]
    document = await api.get(address[0])
    assert document.json()["openapi"].startswith("3.1")
    assert "/hooks/catch/{user_id}/{zap_id}" in document.json()["paths"]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_packed_file_is_sent_in_a_way_that_the_client_understands(
    api: httpx.AsyncClient, encoding: str
) -> None:
    answer = await api.get("/docs/assets/swagger-ui-bundle.js", headers={"accept-encoding": encoding})
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert "SwaggerUIBundle" in answer.text


@pytest.mark.parametrize("path", ["/docs/guide/nothing", "/docs/reference/nothing", "/docs/assets/pages.py"])
async def test_an_unknown_page_says_where_to_start(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 404
    assert "/docs" in answer.json()["detail"]


async def test_the_type_of_a_problem_leads_to_its_meaning(api: httpx.AsyncClient) -> None:
    problem = (await api.get("/api/v1/me")).json()
    page, _, anchor = problem["type"].partition("#")
    assert f'id="{anchor}"' in (await api.get(page)).text


async def test_the_guide_starts_at_its_first_page(api: httpx.AsyncClient) -> None:
    answer = await api.get("/docs/guide")
    assert answer.status_code == 302
    assert answer.headers["location"] == f"/docs/guide/{ORDER[0]}"
