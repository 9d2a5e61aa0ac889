"""Run history: lists from the read model, details from the log."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.log.event import Append, Metadata, NewEvent, StreamKind
from domain.run.events import Failure as StepFailure
from domain.run.events import RunFailed, StepFailed, StepSucceeded
from projections.engine.rebuild import rebuild
from projections.engine.registry import BY_THEMSELVES
from sql.process.clock import new_id, now
from tests.support.api import Person
from tests.support.eventually import eventually
from tests.support.stores import patient_store
from tests.support.world import World

Project = Callable[[], Awaitable[None]]


@pytest.fixture
def project(shared_world: World) -> Project:
    """Brings the read models up to the head of the log."""
    return shared_world.project


async def hook(person: Person, zap: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Start a run; the answer's body."""
    answer = await person.api.post(zap["hook_url"], **options)
    assert answer.status_code == 200, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


async def fail_run(dsn: str, person: Person, run_id: str) -> None:
    """Record a first step that went well and a second that did not."""
    attempt: dict[str, Any] = {"attempt": 1, "started_at": now(), "duration_ms": 1.5, "input": {"text": "hello"}}
    events = (
        StepSucceeded(step_id="echo", output={"text": "hello"}, **attempt),
        StepFailed(step_id="next", failure=StepFailure(code="http_status", message="500"), **attempt),
        RunFailed(step_id="next", code="http_status", message="500"),
    )
    async with patient_store(dsn) as store:
        await store.append(
            Append(
                kind=StreamKind.RUN,
                stream_id=UUID(run_id),
                expected=1,
                tenant_id=UUID(person.id),
                ordering_key=UUID(run_id),
                events=tuple(NewEvent(new_id(), event) for event in events),
                metadata=Metadata(actor="runner"),
            )
        )


async def test_zaps_are_listed_newest_first_page_by_page(ada: Person, project: Project) -> None:
    for name in ("one", "two", "three"):
        await ada.create_zap(name)
    await project()
    first = (await ada("GET", "/zaps?limit=2")).json()
    second = (await ada("GET", f"/zaps?limit=2&cursor={first['next_cursor']}")).json()
    assert [zap["name"] for zap in first["items"] + second["items"]] == ["three", "two", "one"]
    assert second["next_cursor"] is None


async def test_runs_are_listed_newest_first_page_by_page(ada: Person, project: Project) -> None:
    zap = await ada.live_zap()
    started = [(await hook(ada, zap, json={"n": n}))["run_id"] for n in range(5)]
    await project()
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await ada("GET", f"/runs?limit=2{cursor}")).json()
        seen += [run["id"] for run in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == started[::-1]


async def test_runs_are_filtered(ada: Person, bob: Person, shared_dsn: str, project: Project) -> None:
    zap, other = await ada.live_zap(), await ada.live_zap()
    await hook(bob, await bob.live_zap())
    failed, queued, third = [(await hook(ada, one))["run_id"] for one in (zap, zap, other)]
    await fail_run(shared_dsn, ada, failed)
    await project()
    all_runs = (await ada("GET", "/runs")).json()["items"]
    middle = next(run["started_at"] for run in all_runs if run["id"] == queued)
    for query, expected in (
        ("", [third, queued, failed]), (f"zap_id={zap['id']}", [queued, failed]), ("status=failed", [failed]),
        ("status=completed", []), ("source=webhook", [third, queued, failed]), ("source=replay", []),
        (f"from={middle}", [third, queued]), (f"to={middle}", [failed]), (f"zap_id={bob.id}", []),
        ("step_id=next", [failed]), ("step_id=echo", []), ("error_code=http_status", [failed]), ("error_code=x", []),
        (f"step_id=next&error_code=http_status&status=failed&zap_id={zap['id']}", [failed]),
        ("step_id=next&error_code=x", []), ("error_code=http_status&source=replay", []),
    ):  # fmt: skip
        answer = await ada("GET", f"/runs?{query}")
        assert [run["id"] for run in answer.json()["items"]] == expected, query
    run = next(run for run in all_runs if run["id"] == failed)
    assert (run["zap_version"], run["error"]) == (1, {"code": "http_status", "message": "500", "step_id": "next"})
    assert run["duration_ms"] >= 0


async def test_a_list_waits_for_what_its_reader_has_written_or_says_that_it_is_stale(
    ada: Person, project: Project
) -> None:
    zap = await ada.live_zap()
    before = await hook(ada, zap)
    await project()
    after = await hook(ada, zap)
    fresh = await ada("GET", f"/runs?min_position={before['position']}")
    assert (fresh.status_code, "stale" in fresh.headers, len(fresh.json()["items"])) == (200, False, 1)
    stale = await ada("GET", f"/runs?min_position={after['position']}")
    assert (stale.status_code, stale.headers["stale"], len(stale.json()["items"])) == (200, "true", 1)
    beyond = await ada("GET", f"/runs?min_position={2**62}")
    assert beyond.headers["stale"] == "true"


async def test_a_read_model_that_is_not_built_yet_is_unavailable_for_now(ada: Person, dsn: str) -> None:
    for path in ("/zaps", "/runs"):
        answer = await ada("GET", path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_run_shows_its_trigger_and_what_each_step_did(ada: Person, shared_dsn: str) -> None:
    zap = await ada.live_zap()
    run_id = (await hook(ada, zap, json={"who": "Ada"}))["run_id"]
    queued = (await ada("GET", f"/runs/{run_id}")).json()
    assert (queued["status"], queued["trigger"]["body"]) == ("queued", {"who": "Ada"})
    assert [(step["id"], step["status"], step["replayable"]) for step in queued["steps"]] == [("echo", "pending", True)]
    await fail_run(shared_dsn, ada, run_id)
    run = (await ada("GET", f"/runs/{run_id}")).json()
    assert (run["id"], run["status"], run["error"]["code"]) == (run_id, "failed", "http_status")
    first, second = run["steps"]
    assert (first["id"], first["status"], first["output"], first["input"]) == (
        "echo", "succeeded", {"text": "hello"}, {"text": "hello"},
    )  # fmt: skip
    assert (second["status"], second["attempts"][0]["duration_ms"]) == ("failed", 1.5)


async def test_one_value_of_a_run_is_read_by_its_path(ada: Person, bob: Person, shared_dsn: str) -> None:
    run_id = (await hook(ada, await ada.live_zap(), json={"who": "Ada", "none": None}))["run_id"]
    await fail_run(shared_dsn, ada, run_id)
    for path, value in (
        ("trigger.body", {"who": "Ada", "none": None}), ("trigger.body.who", "Ada"), ("trigger.body.none", None),
        ("steps.echo.output.text", "hello"), ('steps["echo"].input', {"text": "hello"}),
    ):  # fmt: skip
        answer = await ada("GET", f"/runs/{run_id}/value", params={"path": path})
        assert (answer.status_code, answer.json()) == (200, value)
    for person, path, status in (
        (ada, "steps.nope.output", 404), (ada, "steps..x", 422), (ada, "", 422), (bob, "trigger.body", 404),
    ):  # fmt: skip
        assert (await person("GET", f"/runs/{run_id}/value", params={"path": path})).status_code == status


async def test_an_account_that_reads_large_runs_all_at_once_waits_for_itself(ada: Person, bob: Person) -> None:
    large = (await hook(ada, await ada.live_zap(), json={"text": "x" * 90_000}))["run_id"]
    small = (await hook(bob, await bob.live_zap(), json={}))["run_id"]
    value = f"/runs/{large}/value?path=trigger.body.text"
    tasks = [asyncio.create_task(ada("GET", value)) for _ in range(70)]
    await eventually(lambda: any(task.done() for task in tasks))
    assert (await bob("GET", f"/runs/{small}")).status_code == 200
    assert sum(task.done() and task.result().status_code == 200 for task in tasks) < 20
    answers = await asyncio.gather(*tasks)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(a.status_code, a.json()["code"], a.headers["retry-after"]) for a in refused} == {(503, "busy", "1")}
    assert len(refused) < 35


async def test_a_run_shows_its_events_in_order(api: httpx.AsyncClient, ada: Person, shared_dsn: str) -> None:
    zap = await ada.live_zap()
    run_id = (await hook(ada, zap))["run_id"]
    await fail_run(shared_dsn, ada, run_id)
    events = (await ada("GET", f"/runs/{run_id}/events")).json()["items"]
    assert [(event["version"], event["type"]) for event in events] == [
        (1, "zap.run.requested"), (2, "zap.run.step_succeeded"), (3, "zap.run.step_failed"), (4, "zap.run.failed"),
    ]  # fmt: skip
    assert [event["position"] for event in events] == sorted(event["position"] for event in events)
    first = (await ada("GET", f"/runs/{run_id}/events", params={"limit": 3})).json()
    then = {"limit": 3, "cursor": first["next_cursor"]}
    last = (await ada("GET", f"/runs/{run_id}/events", params=then)).json()
    assert (first["items"] + last["items"], last["next_cursor"]) == (events, None)
    strange = {"limit": 3, "cursor": "_" * 22}
    assert (await ada("GET", f"/runs/{run_id}/events", params=strange)).status_code == 400


async def test_a_run_knows_its_replays_as_soon_as_the_list_does(ada: Person, shared_dsn: str, project: Project) -> None:
    run_id = (await hook(ada, await ada.live_zap()))["run_id"]
    replays = [(await ada("POST", f"/runs/{run_id}/replay")).json()["id"] for _ in range(2)]
    assert (await ada("GET", f"/runs/{run_id}")).json()["replays"] == []
    await project()
    assert (await ada("GET", f"/runs/{run_id}")).json()["replays"] == replays[::-1]
    assert (await ada("GET", f"/runs/{replays[0]}")).json()["replays"] == []
    listed = {run["id"]: run["replay_of"] for run in (await ada("GET", "/runs")).json()["items"]}
    assert listed == {run_id: None, replays[0]: run_id, replays[1]: run_id}


async def test_runs_are_sorted_and_paged_by_when_they_ended_and_how_long_they_took_and_are_counted(
    ada: Person, shared_dsn: str, project: Project
) -> None:
    zap = await ada.live_zap()
    started = [(await hook(ada, zap, json={}))["run_id"] for _ in range(5)]
    for run_id in (started[2], started[0], started[4]):
        await fail_run(shared_dsn, ada, run_id)
    await project()
    for sort, expected in (
        ("sort=finished_at", [started[4], started[0], started[2]]),
        ("sort=finished_at&order=asc", [started[2], started[0], started[4]]),
        ("sort=duration_ms&order=desc", None),
        ("order=asc", started),
    ):
        first = (await ada("GET", f"/runs?limit=2&{sort}")).json()
        rest = (await ada("GET", f"/runs?limit=3&{sort}&cursor={first['next_cursor']}")).json()
        found = first["items"] + rest["items"]
        ids = [run["id"] for run in found]
        if expected is None:
            assert set(ids) == {started[0], started[2], started[4]}
            durations = [run["duration_ms"] for run in found]
            assert durations == sorted(durations, reverse=True)
        else:
            assert ids == expected
    ended = (await ada("GET", "/runs?sort=finished_at")).json()["items"]
    moment = ended[1]["finished_at"].replace("+", "%2B")
    for query, count in (
        ("", 5), ("status=failed", 3), ("status=failed&status=queued", 5), ("status=completed", 0),
        (f"finished_from={moment}", 2), (f"finished_to={moment}", 1), ("min_duration_ms=0", 3),
        ("max_duration_ms=0", 0), ("zap_version=1", 5), ("zap_version=2", 0), ("status=failed&recovered=true", 0),
    ):  # fmt: skip
        answer = await ada("GET", f"/runs/count?{query}")
        assert answer.json() == {"count": count, "exact": True}, query
        assert len((await ada("GET", f"/runs?{query}")).json()["items"]) == count, query


async def test_a_cursor_of_another_order_is_refused(ada: Person, shared_dsn: str, project: Project) -> None:
    zap = await ada.live_zap()
    for _ in range(2):
        await fail_run(shared_dsn, ada, (await hook(ada, zap))["run_id"])
    await project()
    cursors = {
        sort: (await ada("GET", f"/runs?limit=1&sort={sort}")).json()["next_cursor"]
        for sort in ("started_at", "finished_at", "duration_ms")
    }
    for sort in cursors:
        for of, cursor in cursors.items():
            answer = await ada("GET", f"/runs?sort={sort}&cursor={cursor}")
            assert (answer.status_code == 200) == (sort == of), (sort, of, answer.text)
    for query in ("sort=name", "order=up", "status=ended", "min_duration_ms=-1", "zap_version=x", "finished_to=soon"):
        assert (await ada("GET", f"/runs?{query}")).status_code in (400, 422), query


async def test_runs_are_searched_by_words_and_values(
    ada: Person, bob: Person, shared_dsn: str, project: Project
) -> None:
    zap = await ada.live_zap()
    first, second = [
        (await hook(ada, zap, json={"order": {"id": n, "total": n + 0.5}, "note": f"for Grace {n}"}))["run_id"]
        for n in (4711, 4712)
    ]
    await fail_run(shared_dsn, ada, second)
    await project()
    for projection in BY_THEMSELVES:
        await rebuild(shared_dsn, projection, 1)
    for query, expected in (
        ("q=4711", [first]), ("q=grace", [second, first]), ("q=grace&status=failed", [second]),
        ('q="for grace 4711"', [first]), ("q=gra*&limit=1", [second]), ("q=grace hopper", []),
        ("where=trigger.body.order.id=4711", [first]), ("where=trigger.body.order.total>4711.5", [second]),
        ("where=trigger.body.order.id>4000&where=trigger.body.order.id<4712", [first]),
        ("where=steps.echo.output.text=hello", [second]), ("where=error.code=http_status", [second]),
        ("where=steps.echo.output?&order=asc&sort=finished_at", [second]), ("q=", [second, first]),
    ):  # fmt: skip
        answer = await ada("GET", f"/runs?{query}")
        assert answer.status_code == 200, answer.text
        assert [run["id"] for run in answer.json()["items"]] == expected, query
        assert (await bob("GET", f"/runs?{query}")).json() == {"items": [], "next_cursor": None}
        same = query.replace("&limit=1", "").replace("&order=asc&sort=finished_at", "")
        count = (await ada("GET", f"/runs/count?{same}")).json()
        assert count == {"count": 2 if "limit" in query else len(expected), "exact": True}
    for query, run_id, matches in (
        ("q=grace 4711", first, [
            {"path": "trigger.body.order.id", "text": "4711"}, {"path": "trigger.body.note", "text": "for Grace 4711"},
        ]),
        ("q=HEL*&where=error.code=http_status", second, [
            {"path": "steps.echo.output.text", "text": "hello"}, {"path": "error.code", "text": "http_status"},
        ]),
    ):  # fmt: skip
        (item,) = (await ada("GET", f"/runs?{query}&matches=true")).json()["items"]
        assert (item["id"], item["matches"]) == (run_id, matches)
        assert "matches" not in (await ada("GET", f"/runs?{query}")).json()["items"][0]
    assert "matches" not in (await ada("GET", "/runs?matches=true")).json()["items"][0]
    known = {path["path"]: path["types"] for path in (await ada("GET", "/runs/paths")).json()["items"]}
    assert known["trigger.body.order.id"] == ["number"]
    assert known["steps.echo.output.text"] == known["error.code"] == ["text"]
    below = (await ada("GET", "/runs/paths?under=trigger.body.order")).json()["items"]
    assert [path["path"] for path in below] == ["trigger.body.order.id", "trigger.body.order.total"]
    assert (await bob("GET", "/runs/paths")).json() == {"items": []}
    for under in ("body", "a b", "trigger.body."):
        answer = await ada("GET", f"/runs/paths?under={under}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "under"), under
    refused = await ada("GET", '/runs?q="open&where=trigr.body=1&where=trigger.body=')
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    errors = refused.json()["errors"]
    assert [(error["path"], error["pointer"]) for error in errors] == [
        ("q", "/q"), ("where.0", "/where/0"), ("where.1", "/where/1"),
    ]  # fmt: skip
    assert errors[1]["did_you_mean"] == "trigger"


async def test_statistics_tell_what_became_of_requests(
    ada: Person, bob: Person, shared_dsn: str, project: Project
) -> None:
    zap = await ada.live_zap()
    failed, _queued = [(await hook(ada, zap))["run_id"] for _ in range(2)]
    await fail_run(shared_dsn, ada, failed)
    await project()
    span = "from=2020-01-01&to=2024-01-01"
    day = now().date()
    today = f"from={day}&to={day + timedelta(days=2)}"
    for query in (f"{today}&bucket=day", f"{today}&bucket=hour&zap_id={zap['id']}"):
        (bucket,) = (await ada("GET", f"/stats?{query}")).json()["items"]
        assert (bucket["requests"], bucket["runs"]) == ({"accepted": 2}, {"failed": 1})
        assert (bucket["failure_rate"], bucket["step_id"]) == (1.0, None)
        assert bucket["run_ms"]["p50"] >= 0
    steps = (await ada("GET", f"/stats?{today}&by=step")).json()["items"]
    assert [(step["step_id"], step["runs"], step["run_ms"]["p50"]) for step in steps] == [
        ("echo", {"completed": 1}, 1.5), ("next", {"failed": 1}, 1.5),
    ] or all(abs(step["run_ms"]["p50"] - 1.5) < 0.075 for step in steps)  # fmt: skip
    assert (await bob("GET", f"/stats?{today}")).json() == {"items": []}
    for query, path in ((f"{span}&bucket=minute", "from"), ("from=2026-01-02&to=2026-01-01", "to")):
        answer = await ada("GET", f"/stats?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)
    assert (await ada("GET", "/stats?to=2026-01-01")).status_code == 400
