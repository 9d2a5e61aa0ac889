"""Cursors and ETags as text."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.api.own_zaps import parse_if_match
from app.http.paging import Page, Paging, decode_id, encode_cursor
from app.http.problems import Problem

OF, OTHER = b"this l", b"others"


@given(st.uuids())
def test_a_cursor_can_be_read_back_by_its_list(last: UUID) -> None:
    cursor = Paging(None, 1, OF).cursor(last)
    assert decode_id(cursor, OF) == last
    with pytest.raises(Problem, match="begin again without a cursor"):
        decode_id(cursor, OTHER)
    assert decode_id(encode_cursor(last.bytes), OF) == last, "one of an earlier release"


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not one that this list gave out"):
        decode_id("!" + text, OF)


def test_there_is_a_next_page_when_one_item_too_many_came() -> None:
    ids = [UUID(int=n) for n in (3, 2, 1)]
    two = Paging(None, 2, OF)
    assert Paging(None, 3, OF).page(ids, lambda key: key) == Page(ids, None)
    assert two.page(ids, lambda key: key) == Page(ids[:2], two.cursor(UUID(int=2)))
    assert Paging(None, 20, OF).page([], lambda key: key) == Page([], None)


@pytest.mark.parametrize(
    ("header", "versions"),
    [(None, None), ("*", None), (' "3" ', {3}), ('"1","22"', {1, 22}), ('W/"1"', set()), ('"abc"', set()),
     ('"-1"', set()), ('"12345678901234567890"', set())],
)  # fmt: skip
def test_if_match_names_the_versions_it_allows(header: str | None, versions: set[int] | None) -> None:
    assert parse_if_match(header) == versions


@given(st.text(max_size=30))
def test_no_if_match_header_breaks_the_parser(header: str) -> None:
    with suppress(Problem):
        parse_if_match(header)
