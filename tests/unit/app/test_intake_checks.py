"""What is kept of requests: no secrets in queries and excerpts, whatever the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.checks import excerpt, stored_query


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"a=1&token=x&b=2", "a=1&token=[redacted]&b=2"),
        (b"access_token=x", "access_token=[redacted]"),
        (b"API-KEY=x&apikey=y", "API-KEY=[redacted]&apikey=[redacted]"),
        (b"client_secret=x&password=&n", "client_secret=[redacted]&password=[redacted]&n"),
        (b"", ""),
        (b"a=token", "a=token"),
    ],
)
def test_a_query_loses_its_secrets(query: bytes, kept: str) -> None:
    assert stored_query(query) == kept


@pytest.mark.parametrize(
    "body",
    [
        b'{"password": "canary"}',
        b"token=canary&x=1",
        b"{'api_key': 'canary'}",
        b"Authorization: canary",
        b"jwt: canary",
    ],
)
def test_an_excerpt_loses_its_secrets(body: bytes) -> None:
    assert "canary" not in excerpt(body, 1_024)
    assert "[redacted]" in excerpt(body, 1_024)


@given(st.binary(max_size=3_000))
def test_an_excerpt_can_be_shown_and_stored(body: bytes) -> None:
    text = excerpt(body, 1_024)
    assert len(text) <= 1_024
    assert "\0" not in text
    text.encode()


@given(st.binary(max_size=300))
def test_any_query_is_taken(query: bytes) -> None:
    stored_query(query).encode()
