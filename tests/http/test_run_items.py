"""The items of loops over HTTP: listed by their run, and by nobody else."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.hook.request import Request
from domain.log.event import Event, StreamKind
from domain.run.children import ChildIds, LoopStarted, Parent
from domain.run.events import RunCompleted, RunFailed, RunFiltered, RunRequested, Source
from sql.process.clock import new_id, now
from tests.support.api import Person, sign_up
from tests.support.world import World

ENDS: tuple[Event | None, ...] = (
    RunCompleted(result={"n": 0}),
    RunFailed(step_id="send", code="http_404", message="no such thing"),
    RunFiltered(step_id="odd", reason="2 is even"),
    RunCompleted(result={"n": 3}),
    RunFailed(step_id="send", code="http_503", message="no answer"),
    None,
)
"""Of six items of a loop; the last is under way."""


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


@pytest.fixture
def api(world: World) -> httpx.AsyncClient:
    return world.api


async def looped(world: World, person: Person, *steps: str) -> UUID:
    """A run of somebody's with loops, each over six items."""
    zap_id, run_id = new_id(), new_id()

    def requested(parent: Parent | None = None) -> RunRequested:
        source: Source = "item" if parent else "webhook"
        return RunRequested(zap_id=zap_id, zap_version=1, source=source, request=Request(body="{}"), parent=parent)

    async def happens(stream_id: UUID, *events: Event) -> None:
        await world.record(person, stream_id, str(run_id), *events, kind=StreamKind.RUN)

    await happens(run_id, requested())
    for step in steps:
        await happens(run_id, LoopStarted(step_id=step, count=len(ENDS), items_sha256="", at=now(), version=1))
        for index, end in enumerate(ENDS):
            above = Parent(run_id=run_id, step_id=step, waits=True, index=index, count=len(ENDS), version=1)
            await happens(ChildIds(run_id, step).of(index), requested(above), *([end] if end else []))
    return run_id


async def listed(person: Person, run: UUID, **query: Any) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await person("GET", f"/runs/{run}/items", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if not page["next_cursor"]:
            return found
        query["cursor"] = page["next_cursor"]


def indexes(items: list[dict[str, Any]]) -> list[int]:
    return [item["index"] for item in items]


async def test_failures_come_first_and_each_item_says_what_became_of_it(world: World, ada: Person) -> None:
    run = await looped(world, ada, "each")
    items = await listed(ada, run)
    assert indexes(items) == [1, 4, 0, 2, 3, 5]
    assert [item["status"] for item in items] == ["failed", "failed", "completed", "filtered", "completed", "queued"]
    assert [item["id"] for item in items] == [str(ChildIds(run, "each").of(index)) for index in indexes(items)]
    assert items[0]["error"] == {"code": "http_404", "message": "no such thing", "step_id": "send"}
    assert [item.get("result") for item in items] == [None, None, {"n": 0}, None, {"n": 3}, None]


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 7])
@pytest.mark.parametrize("order", ["failures", "index"])
async def test_pages_of_any_size_are_the_whole_once(world: World, ada: Person, order: str, limit: int) -> None:
    run = await looped(world, ada, "each")
    assert indexes(await listed(ada, run, order=order, limit=limit)) == (
        [0, 1, 2, 3, 4, 5] if order == "index" else [1, 4, 0, 2, 3, 5]
    )


async def test_items_of_one_step_or_of_one_status(world: World, ada: Person) -> None:
    run = await looped(world, ada, "each", "other")
    assert len(await listed(ada, run, limit=5)) == 12
    found = await listed(ada, run, step="other", status="failed", limit=1)
    assert [(item["step_id"], item["index"]) for item in found] == [("other", 1), ("other", 4)]
    assert await listed(ada, run, step="no_such_step") == []
    refused = await ada("GET", f"/runs/{run}/items", params={"status": "lost"})
    assert refused.status_code == 400


async def test_a_stranger_sees_neither_the_items_nor_their_runs(world: World, ada: Person) -> None:
    run, bob = await looped(world, ada, "each"), await sign_up(world.api, name="Bob")
    foreign, unknown = [await bob("GET", f"/runs/{one}/items") for one in (run, new_id())]
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert foreign.json()["detail"] == unknown.json()["detail"]
    assert (await bob("GET", "/runs", params={"parent": str(run)})).json()["items"] == []
    theirs = await looped(world, bob, "each")
    behind = (await ada("GET", f"/runs/{run}/items", params={"limit": 2})).json()["next_cursor"]
    assert (await bob("GET", f"/runs/{theirs}/items", params={"cursor": behind})).status_code == 400


async def test_the_run_list_has_items_only_where_their_run_is_asked_for(world: World, ada: Person) -> None:
    run = await looped(world, ada, "each")
    assert [item["id"] for item in (await ada("GET", "/runs")).json()["items"]] == [str(run)]
    assert (await ada("GET", "/runs", params={"status": "failed"})).json()["items"] == []
    page = (await ada("GET", "/runs", params={"parent": str(run), "limit": 4})).json()
    rest = (await ada("GET", "/runs", params={"parent": str(run), "limit": 4, "cursor": page["next_cursor"]})).json()
    ids = ChildIds(run, "each")
    assert [one["id"] for one in page["items"] + rest["items"]] == [str(ids.of(index)) for index in range(5, -1, -1)]
    assert {one["source"] for one in page["items"]} == {"item"}
    failed = (await ada("GET", "/runs", params={"parent": str(run), "status": "failed"})).json()["items"]
    assert [one["id"] for one in failed] == [str(ids.of(4)), str(ids.of(1))]
    assert (await ada("GET", "/runs", params={"parent": str(ids.of(1))})).json()["items"] == []


async def test_items_that_failed_are_neither_in_the_inbox_nor_counted(world: World, ada: Person) -> None:
    await looped(world, ada, "each")
    assert (await ada("GET", "/dead-letters")).json()["items"] == []
