"""What people are shown of a change: by ids, in bounds, and without secrets."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.history.changes import MAX_CHANGES, Change
from domain.history.difference import MAX_BYTES, difference
from domain.values.json import Json
from tests.unit.domain.test_changes import VALUES

CANARY = "canary-8d02"
SECRETS: list[tuple[Any, str]] = [
    ({"headers": {"Authorization": CANARY}}, "headers.Authorization"),
    ({"config": {"api_key": {"inner": CANARY}}}, "config.api_key"),
    ({"url": f"https://ada:{CANARY}@example.org/"}, "url"),
    ({"url": f"https://example.org/?token={CANARY}"}, "url"),
    ({"query": {"access_token": CANARY}}, "query.access_token"),
    ({"body": [{"name": "password", "value": CANARY}]}, "body[0].value"),
    ({"text": f"send secret={CANARY} along"}, "text"),
    ({"text": f"secret={CANARY}" + "x" * 10_000}, "text"),
]


@pytest.mark.parametrize(("before", "path"), SECRETS)
def test_a_secret_that_changed_is_told_of_and_not_shown(before: Any, path: str) -> None:
    after = msgspec.json.decode(msgspec.json.encode(before).replace(CANARY.encode(), b"canary-other"))
    found = difference(before, after)
    assert [change.path for change in found.changes] == [path]
    assert b"canary" not in msgspec.json.encode(found)
    assert b"canary" not in msgspec.json.encode(difference({}, before))
    assert difference(before, before).changes == []


def test_things_with_ids_are_compared_by_them() -> None:
    one, two, three = [dict[str, Any](id=name, text=name) for name in ("one", "two", "three")]
    found = difference({"steps": [one, two]}, {"steps": [three, one, two | {"text": "new"}]})
    assert found.changes == [
        Change(path="steps.two.text", op="replace", before="two", after="new"),
        Change(path="steps.three", op="add", after=three),
    ]
    moved = difference({"steps": [one, two, three]}, {"steps": [two, one, three]})
    assert [change.path for change in moved.changes] == ['steps["$order"][0]', 'steps["$order"][1]']
    inner = difference({"steps": [{"id": "a", "steps": [one]}]}, {"steps": [{"id": "a", "steps": []}]})
    assert inner.changes == [Change(path="steps.a.steps.one", op="remove", before=one)]
    twice = difference({"steps": [one, one]}, {"steps": [one, two]})
    assert [change.path for change in twice.changes] == ["steps[1].id", "steps[1].text"]


def test_what_is_told_has_bounds() -> None:
    many: Json = {f"n{number}": number for number in range(MAX_CHANGES + 1)}
    found = difference({}, many)
    assert (len(found.changes), found.cut) == (MAX_CHANGES, True)
    large: Json = {f"n{number}": "é" * 900 for number in range(MAX_CHANGES)}
    found = difference({}, large)
    assert found.cut
    assert len(msgspec.json.encode(found.changes)) <= MAX_BYTES + MAX_CHANGES


@given(VALUES, VALUES)
def test_there_is_a_change_exactly_where_two_values_differ(before: Any, after: Any) -> None:
    same = msgspec.json.encode(before, order="sorted") == msgspec.json.encode(after, order="sorted")
    assert (difference(before, after).changes == []) == same


TEXTS = st.none() | st.integers() | st.text(max_size=20)


@given(st.recursive(TEXTS, lambda one: st.lists(one) | st.dictionaries(st.text(max_size=20), one), max_leaves=10))
def test_any_value_is_like_itself(value: Any) -> None:
    assert difference(value, value).changes == []
