"""Differences of JSON values: none where they are the same, and enough to make one from the other."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.history.changes import MAX_CHANGES, MAX_VALUE, Change, changes
from domain.values.json import Json

NAMES = st.text("abc", min_size=1, max_size=2)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [Change(path="a", op="replace", before=1, after=2)]),
        ({"a": 1}, {}, [Change(path="a", op="remove", before=1)]),
        ({}, {"a": None}, [Change(path="a", op="add", after=None)]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [
            Change(path="a[1]", op="replace", before=2, after=3), Change(path="a[2]", op="add", after=4),
        ]),
        ({"a": {"x y": 1, "7": 2}}, {"a": {"x y": 2, "7": 3}}, [
            Change(path='a["x y"]', op="replace", before=1, after=2),
            Change(path='a["7"]', op="replace", before=2, after=3),
        ]),
        (1, True, [Change(path="", op="replace", before=1, after=True)]),
        (1, 1.0, [Change(path="", op="replace", before=1, after=1.0)]),
        ({"a": {}}, {"a": []}, [Change(path="a", op="replace", before={}, after=[])]),
    ],
)  # fmt: skip
def test_what_changed_is_told_with_its_path(before: Json, after: Json, expected: list[Change]) -> None:
    assert changes(before, after) == expected


def test_large_values_and_many_changes_are_cut() -> None:
    (change,) = changes({"a": "x" * 5_000}, {"a": ""})
    assert change.before == {"$large": {"size": 5_002, "beginning": '"' + "x" * (MAX_VALUE - 1)}}
    assert len(changes(list(range(500)), [])) == MAX_CHANGES


def test_what_counts_as_alike_is_for_the_caller_to_say() -> None:
    assert changes({"a": "X"}, {"a": "x"}, alike=lambda one, other: str(one).lower() == str(other).lower()) == []


@given(VALUES, VALUES)
def test_there_are_changes_exactly_where_the_json_differs(before: Any, after: Any) -> None:
    same = msgspec.json.encode(before, order="sorted") == msgspec.json.encode(after, order="sorted")
    assert (changes(before, after) == []) == same


@given(VALUES, VALUES)
def test_the_other_way_round_what_was_added_is_removed(before: Any, after: Any) -> None:
    opposite = {"add": "remove", "remove": "add", "replace": "replace"}
    there, back = changes(before, after), changes(after, before)
    key = [(one.path, opposite[one.op], one.after, one.before) for one in there]
    assert sorted(map(str, key)) == sorted(str((one.path, one.op, one.before, one.after)) for one in back)
