"""Samples of texts that have a pattern match it."""

import re

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.declared.form import matches
from domain.declared.given import sample_of
from domain.declared.matching import MAX_TEXT, text_for
from domain.values.json import JsonObject

ATOMS = st.sampled_from(
    ["a", "AC", "ß", r"\.", r"\/", "-", ".", r"\d", r"\w", r"\s", r"\S", r"\W", "[0-9a-fA-F]", "[^/]", "[^a-z0-9]",
     r"[\w-]", r"[^\s@]", "[à-ü]", r"[^\W\d]"]
)  # fmt: skip
TIMES = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{0}", "{2,}", "*?", "{1,4}?"])
PATTERNS = st.recursive(
    st.builds("{}{}".format, ATOMS.filter(lambda atom: atom != "AC"), TIMES) | ATOMS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map("".join)
        | st.builds("({}){}".format, inner, TIMES)
        | st.builds("(?:{}|{})".format, inner, inner)
        | st.builds("(?P<{}>{})".format, st.uuids().map(lambda one: f"g{one.hex}"), inner)
    ),
    max_leaves=8,
)


@given(PATTERNS, st.booleans())
def test_a_text_is_found_for_all_that_the_usual_parts_make(inner: str, anchored: bool) -> None:
    pattern = f"^(?:{inner})$" if anchored else inner
    text = text_for(pattern)
    assert text is not None
    assert len(text) <= MAX_TEXT
    assert matches(pattern, text)
    assert re.search(pattern, text, re.ASCII)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"pattern": "^AC[0-9a-fA-F]{32}$", "minLength": 34, "maxLength": 34}, "AC" + "a" * 32),
        ({"pattern": "^[a-z-]+$"}, "text"),
        ({"pattern": "^$|^https://.+"}, "https://a"),
        ({"pattern": "^[A-Z]*$", "minLength": 3}, "AAA"),
        ({"pattern": "^([A-Z]{2}-?){1,1}([0-9]*)?$", "minLength": 6}, "AA-000"),
        ({"pattern": "^(a{5}|B)$", "maxLength": 2}, "B"),
        ({"pattern": "^$"}, ""),
    ],
)
def test_it_keeps_to_lengths_and_is_plain_where_a_plain_one_fits(schema: JsonObject, text: str) -> None:
    found = sample_of({}, {"type": "string", **schema})
    assert found == text
    jsonschema_rs.validator_for({"type": "string", **schema}).validate(found)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        r"(?=a)B",
        r"(B)\1",
        "a" * 1_001,
        "B{1001}",
        "(B{100}){100}",
        "^B$C",
        "(" * 400 + "B" + "*)" * 400,
        "(?#" + "[[" * 300,
    ],
)
def test_none_is_made_for_what_has_none_or_takes_too_much(pattern: str) -> None:
    assert text_for(pattern) is None


def test_lengths_that_no_text_can_have_leave_the_plain_one() -> None:
    assert text_for("^A$", least=2) is None
    assert sample_of({}, {"type": "string", "pattern": "^A$", "minLength": 2}) == "text"
