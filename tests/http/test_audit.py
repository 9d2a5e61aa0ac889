"""The audit: who did what, when, from where, in words; for its own tenant, without secrets."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from projections.audit import AUDIT
from projections.engine.rebuild import rebuild
from tests.http.test_runs import hook
from tests.support.api import Person, running_api, sign_up, zap_body
from tests.support.stores import patient_store

Project = Callable[[], Awaitable[None]]
CANARY = "canary-93ab"
AGENT = {"user-agent": "a test\t\x1b[31m\x7f" + "x" * 500}


@pytest.fixture
def project(dsn: str) -> Project:
    """Brings the audit up to the head of the log."""

    async def bring_up_to_date() -> None:
        await rebuild(dsn, AUDIT, 3)

    return bring_up_to_date


async def audit(person: Person, **query: Any) -> list[dict[str, Any]]:
    """All entries of a query, oldest first, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await person("GET", "/audit", params={"limit": 3, **query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found[::-1]
        cursor = {"cursor": page["next_cursor"]}


async def summaries(person: Person, **query: Any) -> list[str]:
    return [entry["summary"] for entry in await audit(person, **query)]


async def test_every_command_is_told_in_words_and_from_where(ada: Person, bob: Person, project: Project) -> None:
    zap = await ada.create_zap("Orders")
    path = f"/zaps/{zap['id']}"
    body = zap_body("Orders of today", text="new")
    body["steps"][0]["config"]["text"] = f"api_key={CANARY}"
    await ada("PUT", path, json=body, headers={"if-match": "*", "user-agent": "a browser"})
    await ada("POST", f"{path}/publish", json={"note": "for the weekend"})
    await ada("PUT", f"{path}/secrets", json={"secrets": [CANARY + "0000"]})
    await ada("POST", f"{path}/pause")
    await ada("POST", f"{path}/enable")
    run = (await ada("POST", f"{path}/run", json={"payload": {"n": CANARY}})).json()["run_id"]
    await ada("POST", f"/runs/{run}/cancel")
    replay = (await ada("POST", f"/runs/{run}/replay", json={})).json()["id"]
    await ada("DELETE", path)
    await bob.create_zap("of Bob")
    await project()
    told = await summaries(ada)
    assert told == [
        "Ada signed up",
        "Ada created zap Orders",
        "Ada changed the draft of zap Orders of today",
        "Ada published version 1 of zap Orders of today: for the weekend",
        "Ada enabled zap Orders of today",
        "Ada replaced the secrets of zap Orders of today: it has 1 now",
        "Ada paused zap Orders of today",
        "Ada enabled zap Orders of today",
        "Ada started a run of zap Orders of today by hand",
        f"Ada cancelled run {run}",
        f"Ada replayed run {run} of zap Orders of today",
        "Ada deleted zap Orders of today",
    ]
    entries = await audit(ada)
    edit = entries[2]
    assert (edit["type"], edit["entity"]) == (
        "zap.draft_changed", {"kind": "zap", "id": zap["id"], "name": "Orders of today"},
    )  # fmt: skip
    assert edit["actor"] == {"kind": "user", "id": ada.id, "name": "Ada"}
    assert edit["via"] == {"ip": "127.0.0.1", "user_agent": "a browser", "api_key": None}
    assert {change["path"] for change in edit["changes"]} == {"name", "steps.echo.config.text"}
    assert CANARY not in str(entries), "secrets are told of, and never shown"
    assert entries[8]["entity"] == {"kind": "run", "id": run, "name": "Orders of today"}
    assert entries[9]["correlation_id"] == run
    assert [UUID(entry["entity"]["id"]) for entry in entries[10:11]] == [UUID(replay)]
    events = (await ada("GET", f"/runs/{run}/events")).json()["items"]
    assert events[0]["position"] == entries[8]["position"]
    history = (await ada("GET", f"{path}/history?limit=100")).json()["items"]
    assert [entry["summary"] for entry in history] == [told[i] for i in (11, 7, 6, 5, 4, 3, 2, 1)]
    for foreign in ({"entity": zap["id"]}, {"actor": ada.id}, {"type": "zap.published"}, {"q": "Orders"}):
        assert await summaries(bob, **foreign) == []
    assert (await bob("GET", f"{path}/history")).status_code == 404
    assert await summaries(bob) == ["Bob signed up", "Bob created zap of Bob"]


async def test_entries_are_found_by_who_what_when_and_words(ada: Person, project: Project) -> None:
    key = (await ada("POST", "/api-keys", json={"name": "deployment"})).json()
    zap = await ada.create_zap("Orders")
    start = datetime.now(UTC).isoformat()
    made = await ada.api.post(
        "/api/v1/zaps", json=zap_body("Made by a key"), headers={"authorization": f"Bearer {key['key']}"}
    )
    await ada("POST", f"/zaps/{zap['id']}/publish")
    await project()
    own, by_key = f"user:{ada.id}", ["deployment created zap Made by a key"]
    everything = await summaries(ada)
    for query, expected in (
        ({"actor": key["id"]}, by_key), ({"actor": f"api_key:{key['id']}"}, by_key),
        ({"actor": f"user:{key['id']}"}, []),
        ({"actor": own}, [one for one in everything if one.startswith("Ada ")]), ({"actor": "scheduler"}, []),
        ({"entity": made.json()["id"]}, by_key), ({"entity": f"zap:{made.json()['id']}"}, by_key),
        ({"entity": key["id"]}, ["Ada made API key deployment, which may read, write"]),
        ({"type": "zap.published"}, ["Ada published version 1 of zap Orders"]),
        ({"from": start}, everything[-3:]), ({"to": start}, everything[:-3]),
        ({"q": "published orders"}, ["Ada published version 1 of zap Orders"]),
        ({"q": "ADA published"}, ["Ada published version 1 of zap Orders"]),
        ({"q": "ada", "type": "zap.published"}, ["Ada published version 1 of zap Orders"]),
        ({"q": '"zap Orders" -published'}, ["Ada created zap Orders", "Ada enabled zap Orders"]),
        ({"q": "nothing of the kind"}, []), ({"q": "'\"(:*&|!"}, []),
        ({"entity": zap["id"], "actor": ada.id, "type": "zap.enabled", "q": "orders", "from": start},
         ["Ada enabled zap Orders"]),
    ):  # fmt: skip
        assert await summaries(ada, **query) == expected, query
    (entry,) = await audit(ada, actor=key["id"])
    assert entry["actor"] == {"kind": "api_key", "id": key["id"], "name": "deployment"}
    assert entry["via"]["api_key"] == {"id": key["id"], "name": "deployment"}
    assert len(entry["event_hash"]) == 64
    for query in ({"actor": "Ada Lovelace"}, {"entity": "orders"}, {"type": "published"}, {"q": ""}, {"from": "today"},
                  {"actors": "x"}, {"q": "x" * 201}, {"q": "a\0b"}):  # fmt: skip
        assert (await ada("GET", "/audit", params=query)).status_code == 400, query
    assert (await ada("GET", "/audit", params={"min_position": 2**60})).headers["stale"] == "true"


async def test_refusals_are_recorded_within_bounds(dsn: str, project: Project) -> None:
    async with running_api(dsn) as api:
        ada = await sign_up(api, name="Ada")
        read_only = (await ada("POST", "/api-keys", json={"name": "eyes", "scopes": ["read"]})).json()
        credentials = {"authorization": f"Bearer {read_only['key']}"}
        for _ in range(25):
            answer = await api.delete(f"/api/v1/zaps/{ada.id}", headers=credentials)
            assert answer.status_code == 403
        for _ in range(25):
            body = {"email": ada.email, "password": f"wrong {CANARY}"}
            assert (await api.post("/api/v1/auth/signin", json=body, headers=AGENT)).status_code in (401, 429)
        await api.post("/api/v1/auth/signin", json={"email": "nobody@example.org", "password": CANARY})
        await ada("POST", "/auth/signout")
    async with running_api(dsn) as api:
        ada.api = api
        await project()
        answer = await api.get("/api/v1/audit?limit=100", headers=credentials)
        entries = answer.json()["items"][::-1]
        told = [entry["summary"] for entry in entries]
        route = "DELETE /api/v1/zaps/{zap_id}, for want of the scope write"
        assert told.count(f"eyes was refused {route}") == 10
        assert told.count(f"eyes was refused {route}, 15 times") == 1
        failures = [entry for entry in entries if entry["type"] == "user.sign_in_failed"]
        assert [entry["actor"]["kind"] for entry in failures] == ["anybody"] * 11
        assert failures[-1]["summary"] == "somebody tried to sign in too often, 15 times"
        agent = failures[0]["via"]["user_agent"]
        assert (len(agent) <= 300, agent.isprintable(), failures[0]["via"]["ip"]) == (True, True, "127.0.0.1")
        assert {"Ada signed up", "Ada signed out"} <= set(told)
        assert CANARY not in answer.text


async def test_the_forwarded_address_counts_where_a_trusted_proxy_names_it(dsn: str, project: Project) -> None:
    from ipaddress import ip_network

    async with running_api(dsn, trusted_proxies=(ip_network("127.0.0.0/8"),)) as api:
        ada = await sign_up(api, name="Ada")
        await ada("POST", "/zaps", json=zap_body(), headers={"x-forwarded-for": "203.0.113.9, 198.51.100.7"})
        await project()
        assert [entry["via"]["ip"] for entry in await audit(ada, type="zap.created")] == ["198.51.100.7"]


async def test_what_an_earlier_release_recorded_reads_as_before(ada: Person, dsn: str, project: Project) -> None:
    from domain.account.identity import UserSignedIn
    from domain.log.event import Metadata, NewEvent
    from domain.log.stream import facts
    from domain.zap.events import ZapPaused
    from sql.process.clock import new_id

    zap = await ada.live_zap("Orders")
    async with patient_store(dsn) as store:
        for stream, event, actor in ((ada.id, UserSignedIn(), f"user:{ada.id}"),
                                     (zap["id"], ZapPaused(reason="it fails"), "notifier")):  # fmt: skip
            new = NewEvent(new_id(), event)
            await store.append(facts(UUID(stream), UUID(ada.id), new, metadata=Metadata(actor=actor)))
    await project()
    signed_in, paused = (await audit(ada))[-2:]
    assert (signed_in["summary"], signed_in["via"]) == ("Ada signed in", None)
    assert (paused["summary"], paused["via"]) == ("notifier paused zap Orders: it fails", None)
    assert paused["actor"] == {"kind": "process", "id": None, "name": "notifier"}


async def test_runs_of_hooks_are_no_part_of_the_audit(ada: Person, project: Project) -> None:
    zap = await ada.live_zap()
    for n in range(3):
        await hook(ada, zap, json={"n": n})
    await project()
    assert {entry["entity"]["kind"] for entry in await audit(ada)} == {"account", "zap"}


async def test_the_audit_is_the_same_when_it_follows_the_log(ada: Person, dsn: str, project: Project) -> None:
    """In batches, as the topic brings them, and all at once."""
    from projections.engine.engine import Engine
    from projections.engine.registry import PROJECTIONS

    async with Engine(dsn, PROJECTIONS, 3) as engine:
        await engine.start()
        zap = await ada.create_zap("One")
        await ada("PUT", f"/zaps/{zap['id']}", json=zap_body("Two"), headers={"if-match": "*"})
        await ada("POST", f"/zaps/{zap['id']}/publish")
        await ada("POST", f"/zaps/{zap['id']}/run", json={})
        async with patient_store(dsn) as store:
            from domain.log.partitioning import partition_of

            for event in await store.read_log(0, 100):
                await engine.apply({partition_of(event.ordering_key, 3): [event]})
    live = await audit(ada)
    await project()
    assert await audit(ada) == live
    assert len(live) == 6
