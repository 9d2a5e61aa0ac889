"""Which headers of a webhook are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.headers import MAX_HEADERS, MAX_HEADERS_SIZE, REDACTED, stored_headers
from app.refusals.problems import Problem


@pytest.mark.parametrize(
    "name",
    ["authorization", "PROXY-AUTHORIZATION", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-client-secret",
     "x-shopify-access-token", "apikey", "x-password"],
)  # fmt: skip
def test_the_values_of_headers_that_open_doors_are_blotted_out(name: str) -> None:
    assert stored_headers([(name.encode(), b"value")]) == {name.lower(): REDACTED}


@pytest.mark.parametrize("name", ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])
def test_hop_by_hop_headers_are_left_out(name: str) -> None:
    assert stored_headers([(name.encode(), b"value")]) == {}


def test_repeated_headers_are_joined_in_order() -> None:
    assert stored_headers([(b"a", b"1"), (b"b", b"x"), (b"A", b"2")]) == {"a": "1, 2", "b": "x"}


@pytest.mark.parametrize("headers", [[(b"a", b"")] * (MAX_HEADERS + 1), [(b"a", b"x" * MAX_HEADERS_SIZE)]])
def test_a_flood_of_headers_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Problem, match="at most"):
        stored_headers(headers)


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20))
def test_any_bytes_are_taken(headers: list[tuple[bytes, bytes]]) -> None:
    stored_headers(headers)
