"""How hooks are found again at the services that list them in their own way."""

import json
from typing import Any

import pytest

from consumers.connectors.shipped import preset_of
from consumers.registering.service import Refused, Service
from domain.connector.http_client import HttpReply, HttpRequest
from domain.values.json import JsonObject
from tests.support.clock import FixedClock

URL = "https://hub.example.com/hooks/catch/1/2"
JIRA = "https://acme.atlassian.net/rest/webhooks/1.0/webhook"


class Says:
    """The way out, at whose end one answer is; what was asked for is in `asked`."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked: list[str] = []

    async def request(self, request: HttpRequest) -> HttpReply:
        self.asked.append(f"{request.method} {request.url}")
        return HttpReply(
            status=200, headers={"content-type": "application/json"}, body=json.dumps(self._answer).encode()
        )


def service(at: str, says: Says, **given: str) -> Service:
    known = preset_of(at)
    assert known is not None
    hook: JsonObject = {"url": URL, "name": "triggerhub-2", "secret": "s"}
    return Service(says, known, dict(given), hook=hook, clock=FixedClock(), attempt="hook.1")


@pytest.mark.parametrize(
    ("at", "given", "answer", "ids"),
    [
        ("trello.event", {"board": "b"}, [{"webhooks": [{"callbackURL": URL, "id": "w1"}, {"id": "w2"}]}, {}], ["w1"]),
        ("telegram.update", {}, {"ok": True, "result": {"url": URL}}, [URL]),
        ("telegram.update", {}, {"ok": True, "result": {"url": ""}}, []),
        ("telegram.update", {}, {"ok": True, "result": {"url": "https://other.example"}}, []),
        ("jira.event", {"site": "acme"}, [{"url": URL, "self": f"{JIRA}/7"}, {"url": "x"}], [f"{JIRA}/7"]),
    ],
)
async def test_hooks_are_found_again_by_their_address(
    at: str, given: dict[str, str], answer: Any, ids: list[str]
) -> None:
    assert await service(at, Says(answer), **given).ids() == ids


async def test_what_a_service_calls_a_hook_is_called_only_at_its_own_hosts() -> None:
    says = Says({})
    there = service("jira.event", says, site="acme")
    await there.remove(f"{JIRA}/7")
    assert says.asked == [f"DELETE {JIRA}/7"]
    with pytest.raises(Refused, match=r"atlassian\.net"):
        await there.remove("https://evil.example/7")
    assert len(says.asked) == 1


async def test_a_bots_only_hook_is_known_by_its_address() -> None:
    told = await service("telegram.update", Says({"ok": True, "result": True})).create()
    assert (told.hook_id, told.secret) == (URL, "")
