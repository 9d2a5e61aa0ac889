"""Cursors of lists: each goes with what was sent for its page, and is refused elsewhere in words that help."""

import base64
import re
from uuid import UUID

from projections.audit import AUDIT
from projections.engine.rebuild import rebuild
from tests.support.api import Person

NO_ID = "0199c0de-1234-7abc-8def-0123456789ab"


async def test_each_list_refuses_the_cursor_of_another_and_says_what_to_send(ada: Person) -> None:
    document = (await ada.api.get("/schema/openapi.json")).json()
    lists = [
        path.removeprefix("/api/v1")
        for path, item in document["paths"].items()
        for parameter in item.get("get", {}).get("parameters", ())
        if parameter["name"] == "cursor"
    ]
    assert {"/runs", "/zaps", "/audit", "/zaps/{zap_id}/versions"} < set(lists)
    strange = base64.urlsafe_b64encode(UUID(NO_ID).bytes + b"others").decode().rstrip("=")
    for path in lists:
        where = re.sub(r"\{\w+\}", NO_ID, path)
        for query in ("", *(("&sort=finished_at", "&order=asc") if path == "/runs" else ())):
            answer = await ada("GET", f"{where}?cursor={strange}{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), (path, answer.text)
            assert "begin again without a cursor" in answer.json()["detail"], path


async def test_a_cursor_goes_with_what_was_sent_for_its_page(ada: Person, dsn: str) -> None:
    for name in ("one", "two", "three"):
        await ada.create_zap(name)
    await rebuild(dsn, AUDIT, 1)
    queries = ("", "&type=zap.created", "&from=2020-01-01", "&type=zap.created&from=2020-01-01")
    for query in queries:
        page = (await ada("GET", f"/audit?limit=1{query}")).json()
        for asked in queries:
            answer = await ada("GET", f"/audit?limit=2{asked}&min_position=0&cursor={page['next_cursor']}")
            assert (answer.status_code == 200) == (asked == query), (asked, query, answer.text)
            assert answer.status_code != 200 or len(answer.json()["items"]) == 2


async def test_cursors_of_earlier_releases_which_do_not_say_of_which_list_they_are_go_on(ada: Person, dsn: str) -> None:
    await ada.create_zap("one")
    await rebuild(dsn, AUDIT, 1)
    cursor = (await ada("GET", "/audit?limit=1")).json()["next_cursor"]
    before = base64.urlsafe_b64encode(base64.urlsafe_b64decode(cursor + "==")[:16]).decode().rstrip("=")
    now, then = [(await ada("GET", f"/audit?cursor={one}")).json()["items"] for one in (cursor, before)]
    assert len(now) == 1
    assert then == now
