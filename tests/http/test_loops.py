"""Loops that are wrong, or get what is no list, over HTTP: each is told at its place, and none is a server error."""

from typing import Any

import pytest

from tests.support.api import Person, zap_body

ECHO: dict[str, Any] = {"id": "add", "kind": "action", "type": "test.echo", "config": {"text": "{{ item }}"}}
EACH: dict[str, Any] = {"id": "each", "kind": "for_each", "items": "{{ trigger.body.lines }}", "steps": [ECHO]}
PARALLEL = {"order": "parallel"}
WORDS: list[object] = ["go_on", None, {"steps": []}]
ODD: list[object] = [None, 5, [], {}, {"count": 1, "percent": 5}]


def nested(depth: int) -> dict[str, Any]:
    steps = [ECHO]
    for level in range(depth):
        steps = [EACH | {"id": f"each{level}", "items": [1], "steps": steps}]
    return steps[0]


@pytest.mark.parametrize(
    ("loop", "pointer"),
    [
        *(
            (EACH | PARALLEL | {"limit": limit}, "/steps/0/limit")
            for limit in (0, -1, 101, 1001, "10", 1.5, None, True)
        ),
        (EACH | {"limit": 10}, "/steps/0"),
        (EACH | {"order": "sequential", "limit": 10}, "/steps/0"),
        (EACH | {"order": "random"}, "/steps/0/order"),
        *((EACH | {"max_items": most}, "/steps/0/max_items") for most in (0, 10_001, "100", None)),
        *((EACH | {"on_item_error": word}, "/steps/0/on_item_error") for word in WORDS),
        *((EACH | {"tolerate": odd}, "/steps/0/tolerate") for odd in ODD),
        *((EACH | {"tolerate": {"count": n}}, "/steps/0/tolerate/count") for n in (-1, 10_001, "1", 0.5, None)),
        *((EACH | {"tolerate": {"percent": n}}, "/steps/0/tolerate/percent") for n in (-0.1, 100.1, "5", True)),
        (EACH | {"tolerate": {"share": 5}}, "/steps/0/tolerate/share"),
        (EACH | {"concurrency": 5}, "/steps/0/concurrency"),
        ({name: EACH[name] for name in ("id", "kind", "steps")}, "/steps/0/items"),
        ({name: EACH[name] for name in ("id", "kind", "items")}, "/steps/0/steps"),
        (EACH | {"steps": ECHO}, "/steps/0/steps"),
        (EACH | {"steps": [ECHO, ECHO]}, "/steps/0/steps/1/id"),
        (EACH | {"steps": [EACH]}, "/steps/0/steps/0/id"),
        (EACH | {"items": "{{ item.lines }}"}, "/steps/0/items"),
        (EACH | {"items": "{{ trigger.body.lines"}, "/steps/0/items"),
        (EACH | {"items": "{{ steps.add.output }}"}, "/steps/0/items"),
        (EACH | {"result": "{{ steps.nope.output }}"}, "/steps/0/result"),
        (EACH | {"steps": [ECHO | {"config": {"text": "{{ loop.number }}"}}]}, "/steps/0/steps/0/config/text"),
        (EACH | {"steps": [ECHO | {"config": {"text": "{{ steps.each.output }}"}}]}, "/steps/0/steps/0/config/text"),
        (ECHO, "/steps/0/config/text"),
        (ECHO | {"config": {"text": "{{ loop.index }}"}}, "/steps/0/config/text"),
        (EACH | {"on_error": {"steps": [ECHO | {"id": "tell"}]}}, "/steps/0/on_error/steps/0/config/text"),
        (nested(6), "/steps/0" * 7),
    ],
)
async def test_a_loop_that_is_wrong_is_refused_at_its_place(ada: Person, loop: dict[str, Any], pointer: str) -> None:
    answer = await ada("POST", "/zaps", json=zap_body() | {"steps": [loop]})
    assert answer.status_code in {400, 422}, answer.text
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}, answer.text


async def test_outputs_of_its_steps_are_seen_inside_only(ada: Person) -> None:
    behind = ECHO | {"id": "behind", "config": {"text": "{{ steps.add.output }}"}}
    answer = await ada("POST", "/zaps", json=zap_body() | {"steps": [EACH, behind]})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/steps/1/config/text"], answer.text


async def test_a_loop_may_stand_in_an_error_path_a_branch_and_five_levels_deep(ada: Person) -> None:
    always = {"field": "trigger.body", "operator": "exists"}
    fails = ECHO | {"id": "fails", "config": {"text": "x"}, "on_error": {"steps": [EACH]}}
    other = EACH | {"id": "other", "steps": [ECHO | {"id": "more"}]}
    route = {"id": "route", "kind": "paths", "paths": [{"id": "all", "condition": always, "steps": [other]}]}
    for step in (fails, route, nested(5)):
        answer = await ada("POST", "/zaps", json=zap_body() | {"steps": [step]})
        assert answer.status_code == 201, answer.text
        assert (await ada("POST", f"/zaps/{answer.json()['id']}/publish")).status_code == 200


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ("a,b", "loop_not_a_list", "this is a text and not a list"),
        (None, "loop_not_a_list", "this is null and not a list; `| default` gives one where there is none"),
        ({"a": 1}, "loop_not_a_list", "this is an object and not a list"),
        (7, "loop_not_a_list", "this is a number and not a list"),
        (True, "loop_not_a_list", "this is true or false and not a list"),
        ([0] * 10_001, "loop_too_long", "the list has 10,001 items; this loop takes 10,000"),
    ],
)
async def test_what_is_no_list_of_items_fails_the_step_and_says_so(
    ada: Person, lines: object, code: str, said: str
) -> None:
    zap = (await ada("POST", "/zaps", json=zap_body() | {"steps": [EACH]})).json()
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json={"sample": {"payload": {"lines": lines}}})
    assert answer.status_code == 200, answer.text
    (loop,) = answer.json()["steps"]
    assert (loop["status"], loop["error"]["code"]) == ("failed", code)
    assert loop["error"]["message"] == f"items: {said}"
    assert answer.json()["outcome"]["status"] == "failed"


async def test_an_item_may_be_anything_that_json_can_say(ada: Person) -> None:
    lines: list[object] = [None, True, 0, -1e300, "", "x" * 900_000, [], [[[]]], {}, {"": {"a": None}}, "\u0000\ud7ff"]
    loop = EACH | {"steps": [{"id": "note", "kind": "set", "values": {"it": "{{ item }}"}}], "max_items": 11}
    zap = (await ada("POST", "/zaps", json=zap_body() | {"steps": [loop]})).json()
    wish = {"sample": {"payload": {"lines": lines}}, "items": {"each": [*range(11)]}}
    answer = await ada("POST", f"/zaps/{zap['id']}/test", json=wish)
    assert answer.status_code == 200, answer.text
    (shown,) = answer.json()["steps"]
    assert (shown["status"], shown["output"]["succeeded"]) == ("succeeded", 11), shown
    small = [index for index in range(11) if index != 5]
    assert [shown["items"][index]["steps"][0]["output"]["it"] for index in small] == [lines[index] for index in small]
