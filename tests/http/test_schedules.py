"""Zaps that start by themselves, as clients of the API see them."""

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
