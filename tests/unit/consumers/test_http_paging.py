"""Pages, redirects and what counts as a success, over the real client and a real server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from consumers.connectors.http import check, request
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.values.json import Json
from tests.support.clock import FixedClock

ITEMS = [{"id": number} for number in range(7)]
PER_PAGE = 3


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(**config: Any) -> Outcome:
    async with Outbound(parse_networks("127.0.0.0/8")) as http:
        context = ActionContext(http, "run.step", UUID(int=1), FixedClock(), "hop")
        return await request({"method": "GET", **config}, context)


def slice_of(request: web.Request, begin: int) -> dict[str, Any]:
    end = begin + PER_PAGE
    url = f"{request.scheme}://{request.host}{request.path}?begin={end}"
    return {"items": ITEMS[begin:end], "next": str(end) if end < len(ITEMS) else None, "url": url * (end < len(ITEMS))}


async def listing(request: web.Request) -> web.Response:
    query = request.query
    begin = int(query.get("cursor") or query.get("offset") or query.get("begin") or 0)
    if "p" in query:
        begin = (int(query["p"]) - 1) * PER_PAGE
    page = slice_of(request, begin)
    link = f'<{page["url"]}>; rel="next", <{page["url"]}>; rel="last"' if page["url"] else ""
    return web.json_response(page, headers={"Link": link} if link else {})


@pytest.mark.parametrize(
    ("paging", "pages"),
    [
        ({"kind": "cursor", "cursor": "body.next"}, 3),
        ({"kind": "page", "param": "p"}, 4),
        ({"kind": "offset"}, 4),
        ({"kind": "link"}, 3),
        ({"kind": "next_url", "cursor": "body.url"}, 3),
    ],
)
async def test_all_pages_are_one_list(paging: dict[str, Any], pages: int) -> None:
    start = "?p=1&keep=a%2Fb" if paging["kind"] == "page" else "?keep=a%2Fb"
    async with serving(listing) as url:
        outcome = await ask(url=f"{url}/x{start}", paging=paging | {"items": "body.items"})
    assert isinstance(outcome, Succeeded), outcome
    assert isinstance(outcome.output, dict)
    assert outcome.output["body"] == ITEMS
    assert outcome.output["pages"] == pages
    assert "stopped_at" not in outcome.output


async def test_a_cap_is_seen() -> None:
    async with serving(listing) as url:
        paging = {"kind": "cursor", "cursor": "body.next", "items": "body.items", "max_pages": 2}
        outcome = await ask(url=f"{url}/x", paging=paging)
        missing = await ask(url=f"{url}/x", paging={"kind": "offset", "items": "body.things"})
    assert isinstance(outcome, Succeeded)
    assert isinstance(outcome.output, dict)
    assert (outcome.output["pages"], outcome.output["stopped_at"], outcome.output["body"]) == (2, 2, ITEMS[:6])
    assert isinstance(missing, Failed)
    assert missing.code == "no_items"


async def test_a_page_that_fails_fails_the_step() -> None:
    async def failing(request: web.Request) -> web.Response:
        return await listing(request) if "cursor" not in request.query else web.Response(status=503)

    async with serving(failing) as url:
        paging = {"kind": "cursor", "cursor": "body.next", "items": "body.items"}
        outcome = await ask(url=f"{url}/x", paging=paging)
    assert isinstance(outcome, Retry)
    assert outcome.code == "http_503"


async def test_redirects_are_followed_by_choice_and_tell_other_hosts_nothing() -> None:
    seen: list[web.Request] = []

    async def target(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"method": request.method})

    async with serving(target) as other:

        async def away(request: web.Request) -> web.Response:
            code = int(request.path.strip("/"))
            location = "/302" if code == 301 else f"{other}/there"
            return web.Response(status=code, headers={"Location": location})

        async with serving(away) as url:
            headers = {"Authorization": "Bearer canary", "X-Key": "canary"}
            stays = await ask(url=f"{url}/302", headers=headers)
            assert isinstance(stays, Failed)
            assert (stays.code, seen) == ("http_302", [])
            for path, method, got in (("301", "GET", "GET"), ("302", "POST", "GET"), ("307", "POST", "POST")):
                outcome = await ask(method=method, url=f"{url}/{path}", headers=headers, body={"a": 1}, redirects=2)
                assert isinstance(outcome, Succeeded), outcome
                assert seen[-1].method == got
                assert "canary" not in str(seen[-1].headers)
                assert seen[-1].headers["Idempotency-Key"] == "run.step"
                assert seen[-1].headers["TriggerHub-Depth"] == "hop"
            too_many = await ask(url=f"{url}/301", redirects=1)
            assert isinstance(too_many, Failed)
            assert too_many.code == "bad_redirect"


async def test_each_hop_goes_through_the_guard() -> None:
    async def away(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest"})

    async with serving(away) as url:
        outcome = await ask(url=f"{url}/x", redirects=5)
    assert isinstance(outcome, Failed)
    assert outcome.code == "address_refused"


async def test_a_condition_decides_what_a_success_is() -> None:
    async def slack(request: web.Request) -> web.Response:
        return web.json_response({"ok": request.path == "/ok"}, status=404 if request.path == "/gone" else 200)

    is_ok = {"field": "body.ok", "operator": "equals", "value": True}
    gone = {"any": [is_ok, {"field": "status", "operator": "equals", "value": 404}]}
    async with serving(slack) as url:
        tries = (("/ok", is_ok), ("/no", is_ok), ("/gone", gone), ("/gone", is_ok))
        outcomes = [await ask(url=url + path, success=wanted) for path, wanted in tries]
    assert [type(one) for one in outcomes] == [Succeeded, Failed, Succeeded, Failed]
    assert isinstance(outcomes[1], Failed)
    assert outcomes[1].code == "not_successful"
    assert isinstance(outcomes[3], Failed)
    assert outcomes[3].code == "http_404"


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"success": {"field": "answer.ok", "operator": "equals", "value": 1}}, "success.field"),
        ({"success": {"field": "body.ok", "operator": "is like"}}, "success.operator"),
        ({"success": {"field": "status", "operator": "equals", "value": "200"}}, "success.value"),
        (
            {"success": {"all": [{"not": {"field": "body.ok", "operator": "is_true"}}]}, "method": "HEAD"},
            "success.all[0].not.field",
        ),
        ({"success": {"field": "body.ok", "operator": "equals", "value": 1}, "response": "text"}, "success.field"),
        ({"paging": {"kind": "cursor"}}, "paging.cursor"),
        ({"paging": {"kind": "offset", "items": "a..b"}}, "paging.items"),
        ({"paging": {"kind": "scroll"}}, "paging.kind"),
        ({"paging": {"kind": "page"}, "method": "HEAD"}, "paging"),
        ({"paging": {"kind": "page"}, "response": "binary"}, "paging"),
        ({"success": {"field": "body.ok", "operator": "exists"}, "response": ["text"]}, "response"),
        ({"redirects": 11}, "redirects"),
    ],
)
def test_mistakes_are_told_when_it_is_saved(config: dict[str, Any], path: str) -> None:
    assert list(check({"url": "https://example.com/", **config})) == [path]


def test_a_success_that_may_be_is_let_through() -> None:
    rules: list[Json] = [
        {"field": "status", "operator": "equals", "value": 200},
        {"field": "status", "operator": "between", "value": ["200", "299"]},
        {"field": "status", "operator": "equals", "value": "{{ trigger.body.status }}"},
        {"field": "body", "operator": "contains", "value": "ok"},
    ]
    assert check({"url": "https://example.com/", "response": "text", "success": {"any": rules}}) == {}
