"""Zaps that call zaps over HTTP: what is refused when a zap is saved or published."""

from typing import Any
from uuid import uuid4

import httpx

from tests.support.api import Person, sign_up, zap_body

CALLED = {"type": "zap.called", "config": {}}


def calling(*callees: str, trigger: dict[str, Any] = CALLED) -> dict[str, Any]:
    steps = [{"id": f"call{n}", "kind": "zap", "zap_id": callee, "input": {}} for n, callee in enumerate(callees)]
    return {"name": "Calls", "trigger": trigger, "steps": steps}


async def saved(person: Person, body: dict[str, Any]) -> str:
    answer = await person("POST", "/zaps", json=body)
    assert answer.status_code == 201, answer.text
    zap_id: str = answer.json()["id"]
    return zap_id


async def published(person: Person, body: dict[str, Any]) -> str:
    zap_id = await saved(person, body)
    answer = await person("POST", f"/zaps/{zap_id}/publish")
    assert answer.status_code == 200, answer.text
    return zap_id


async def change(person: Person, zap_id: str, body: dict[str, Any]) -> httpx.Response:
    return await person("PUT", f"/zaps/{zap_id}", json=body, headers={"If-Match": "*"})


def reason(answer: httpx.Response) -> tuple[int, str, str]:
    problem = answer.json()["errors"][0]
    return answer.status_code, problem["pointer"], problem["reason"]


async def test_a_zap_that_calls_itself_is_refused(ada: Person) -> None:
    zap = await published(ada, calling())
    assert reason(await change(ada, zap, calling(zap))) == (422, "/steps/0/zap_id", "a zap can not call itself")


async def test_a_circle_of_calls_is_refused_wherever_it_closes(ada: Person) -> None:
    first = await published(ada, calling())
    second = await published(ada, calling(first))
    third = await published(ada, calling(second))
    refused = await change(ada, first, calling(third))
    assert reason(refused) == (422, "/steps/0/zap_id", "this zap calls back, so the calls would have no end")
    within = {"id": "each", "kind": "for_each", "items": [1], "steps": calling(second)["steps"]}
    nested = await change(ada, first, calling() | {"steps": [within]})
    assert reason(nested)[1:] == ("/steps/0/steps/0/zap_id", "this zap calls back, so the calls would have no end")


async def test_a_circle_that_two_drafts_close_is_refused_when_the_second_is_published(ada: Person) -> None:
    """What counts is what is live: each of the drafts was fine when it was saved."""
    first, second = await published(ada, calling()), await published(ada, calling())
    for zap, callee in ((first, second), (second, first)):
        assert (await change(ada, zap, calling(callee))).status_code == 200
    assert (await ada("POST", f"/zaps/{first}/publish")).status_code == 200
    refused = await ada("POST", f"/zaps/{second}/publish")
    assert reason(refused)[::2] == (422, "this zap calls back, so the calls would have no end")


async def test_only_zaps_of_ones_own_that_can_be_called_are_called(api: httpx.AsyncClient, ada: Person) -> None:
    bob = await sign_up(api, name="Bob")
    theirs, hook = await published(bob, calling()), await published(ada, zap_body())
    for callee, why in (
        (theirs, "no such zap"),
        (str(uuid4()), "no such zap"),
        (hook, "this zap can not be called: it has no trigger zap.called"),
    ):
        refused = await ada("POST", "/zaps", json=calling(callee))
        assert reason(refused) == (422, "/steps/0/zap_id", why)
