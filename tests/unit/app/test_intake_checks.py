"""What is kept of requests: no secrets in excerpts, whatever the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.reading.checks import excerpt
from app.intake.reading.headers import stored_query
from domain.hook.credentials import Proof


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


def test_an_excerpt_loses_the_zap_s_own_secrets() -> None:
    assert excerpt(b"a=hunter22&b=1", 1_024, ("hunter22",)) == "a=[redacted]&b=1"
    assert excerpt(b"author: Jane, page_token=p2", 1_024) == "author: Jane, page_token=p2"


@given(st.binary(max_size=300))
def test_any_query_is_taken(query: bytes) -> None:
    stored_query(query, Proof(fields=frozenset({"a"})), ("x",)).encode()
