"""Zaps that start by themselves, as clients of the API see them."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.support.api import Person, zap_body


def scheduled(config: dict[str, Any], kind: str = "schedule.cron") -> dict[str, Any]:
    return zap_body(text="{{ trigger.local }} {{ trigger.due_at }} {{ trigger.late_s }}") | {
        "trigger": {"type": kind, "config": config}
    }


async def test_a_scheduled_zap_is_published_and_has_no_hook(ada: Person) -> None:
    created = (await ada("POST", "/zaps", json=scheduled({"cron": "0 9 * * *", "time_zone": "Europe/Berlin"}))).json()
    live = await ada("POST", f"/zaps/{created['id']}/publish")
    assert (live.status_code, live.json()["status"], live.json()["hook_url"]) == (200, "enabled", None)
    assert (await ada.api.post(f"/hooks/catch/{ada.id}/{created['id']}", json={})).status_code == 404
    events = (await ada("GET", f"/zaps/{created['id']}/versions")).json()
    assert [version["number"] for version in events["items"]] == [1]


@pytest.mark.parametrize(
    ("kind", "config", "path"),
    [
        ("schedule.cron", {"cron": "0 9 * * *"}, "trigger.config.time_zone"),
        ("schedule.cron", {"cron": "nine", "time_zone": "UTC"}, "trigger.config.cron"),
        ("schedule.cron", {"cron": "0 9 * * *", "time_zone": "Mars"}, "trigger.config.time_zone"),
        ("schedule.cron", {"cron": "0 9 * * *", "time_zone": "UTC", "missed": "some"}, "trigger.config.missed"),
        ("schedule.every", {"every_s": 9}, "trigger.config.every_s"),
        ("schedule.every", {"every_s": 60, "anchor": "2027-01-01T00:00:00"}, "trigger.config.anchor"),
        ("schedule.every", {"every_s": 60, "evry": 1}, "trigger.config.evry"),
    ],
)
async def test_a_mistake_is_told_at_its_place(ada: Person, kind: str, config: dict[str, Any], path: str) -> None:
    refused = await ada("POST", "/zaps", json=scheduled(config, kind))
    assert refused.status_code == 422
    assert path in [error["path"] for error in refused.json()["errors"]]


async def test_a_zap_says_when_it_will_start_next(ada: Person) -> None:
    created = (await ada("POST", "/zaps", json=scheduled({"every_s": 3600}, "schedule.every"))).json()
    assert created["next_runs"] == []
    live = (await ada("POST", f"/zaps/{created['id']}/publish")).json()
    moments = [datetime.fromisoformat(run["due_at"]) for run in live["next_runs"]]
    assert len(moments) == 5
    assert {later - one for one, later in pairwise(moments)} == {timedelta(hours=1)}
    etag = (await ada("GET", f"/zaps/{created['id']}")).headers["etag"]
    back = live | {"name": "Renamed", "next_runs": live["next_runs"][1:]}
    assert (await ada("PUT", f"/zaps/{created['id']}", json=back, headers={"if-match": etag})).status_code == 200


async def test_a_schedule_can_be_looked_at_before_it_is_saved(ada: Person) -> None:
    config = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    asked = await ada("POST", "/triggers/preview", json={"trigger": {"type": "schedule.cron", "config": config}})
    assert asked.status_code == 200
    outlook = asked.json()
    assert len(outlook["next_runs"]) == len(outlook["clock_change"]["next_runs"]) == 5
    offsets = {outlook["clock_change"]["from_offset"], outlook["clock_change"]["to_offset"]}
    assert offsets == {"+01:00", "+02:00"}
    refused = await ada(
        "POST", "/triggers/preview", json={"trigger": {"type": "schedule.cron", "config": {"cron": "x"}}}
    )
    assert refused.status_code == 422
    assert {error["path"] for error in refused.json()["errors"]} == {"trigger.config.time_zone"}


def several(*triggers: dict[str, Any]) -> dict[str, Any]:
    body = zap_body(text="{{ trigger.id }}")
    del body["trigger"]
    return body | {"triggers": list(triggers)}


async def test_a_zap_has_a_hook_and_schedules_at_once(ada: Person) -> None:
    hook = {"id": "shop", "type": "webhook.catch", "config": {}}
    daily = {"id": "daily", "type": "schedule.cron", "config": {"cron": "0 9 * * *", "time_zone": "UTC"}}
    created = (await ada("POST", "/zaps", json=several(hook, daily))).json()
    live = (await ada("POST", f"/zaps/{created['id']}/publish")).json()
    assert {run["trigger_id"] for run in live["next_runs"]} == {"daily"}
    taken = (await ada.api.post(f"/hooks/catch/{ada.id}/{created['id']}", json={})).json()
    run = (await ada("GET", f"/runs/{taken['run_id']}")).json()
    assert (run["trigger"]["id"], run["trigger"]["type"]) == ("shop", "webhook.catch")
    again = (await ada("GET", f"/zaps/{created['id']}")).json()
    assert again["draft"]["triggers"] == [hook, daily]
    assert "trigger" not in again["draft"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (several({"id": "a", "type": "webhook.catch"}, {"id": "b", "type": "webhook.catch_raw"}), "triggers.1.type"),
        (several({"id": "a", "type": "webhook.catch"}, {"id": "a", "type": "manual"}), "triggers.1.id"),
        (several({"id": "a b", "type": "webhook.catch"}), "triggers.0.id"),
        (several({"id": "a", "type": "schedule.every", "config": {"every_s": 1}}), "triggers.0.config.every_s"),
        (several(*({"id": f"t{n}", "type": "webhook.catch"} for n in range(11))), "triggers"),
        (several({"id": "a", "type": "webhook.catch"}) | {"trigger": {"type": "manual"}}, ""),
        (several() | {"triggers": []}, "triggers"),
    ],
)
async def test_a_mistake_in_several_triggers_is_told_at_its_place(ada: Person, body: dict[str, Any], path: str) -> None:
    refused = await ada("POST", "/zaps", json=body)
    assert refused.status_code in {400, 422}
    assert path in [error["path"] for error in refused.json()["errors"]]
