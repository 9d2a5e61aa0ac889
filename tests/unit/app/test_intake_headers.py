"""Which headers of a webhook are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.reading.headers import MAX_HEADERS, MAX_HEADERS_SIZE, stored_headers, stored_query
from app.intake.refusals import HeadersTooLarge
from domain.hook.credentials import Proof, proof_of
from domain.hook.presets import load_preset
from domain.values.json import JsonObject
from domain.values.redaction import REDACTED


@pytest.mark.parametrize(
    "name",
    ["authorization", "PROXY-AUTHORIZATION", "cookie", "set-cookie", "x-api-key", "X-Token-Count", "x-author",
     "authentication-results", "x-hub-signature-256", "stripe-signature"],
)  # fmt: skip
def test_headers_are_kept_as_they_came(name: str) -> None:
    assert stored_headers([(name.encode(), b"value")]) == {name.lower(): "value"}


@pytest.mark.parametrize(
    "query",
    ["a=1&token=x&b=2", "author=Jane&session_id=cs&page_token=p2&max_tokens=5", "access_token=x", "n&=&a=%C3%BC", ""],
)
def test_a_query_is_kept_as_it_came(query: str) -> None:
    assert stored_query(query.encode()) == query


@pytest.mark.parametrize(
    ("preset", "headers", "fields"),
    [
        ({"preset": "header_token", "header": "X-Shop-Key"}, {"x-shop-key"}, set()),
        ({"preset": "gitlab"}, {"x-gitlab-token"}, set()),
        ({"preset": "gitlab", "mode": "signing"}, set(), set()),
        ({"preset": "basic", "username": "ada"}, {"authorization"}, set()),
        ({"preset": "bearer"}, {"authorization"}, {"access_token"}),
        *(({"preset": name}, set(), set()) for name in ("none", "standard_webhooks", "stripe", "github", "shopify",
                                                        "slack", "razorpay", "twilio")),
        ({"preset": "hmac", "header": "x-sig"}, set(), set()),
        ({"preset": "ip_allow", "cidrs": ["10.0.0.0/8"]}, set(), set()),
    ],
)  # fmt: skip
def test_each_preset_says_what_it_verifies_with(preset: JsonObject, headers: set[str], fields: set[str]) -> None:
    proof = proof_of(load_preset(preset))
    assert proof == Proof(frozenset(headers), frozenset(fields))
    for name in headers:
        assert stored_headers([(name.title().encode(), b"canary"), (b"x-a", b"1")], proof) == {
            name: REDACTED,
            "x-a": "1",
        }
    for name in fields:
        assert (
            stored_query(f"{name}=canary&{name}=canary&x=1".encode(), proof)
            == f"{name}={REDACTED}&{name}={REDACTED}&x=1"
        )


def test_a_secret_is_known_by_its_value_wherever_it_stands() -> None:
    secrets = ("hunter22", "")
    assert stored_headers([(b"x-a", b"is hunter22!"), (b"x-b", b"hunter")], secrets=secrets) == {
        "x-a": REDACTED,
        "x-b": "hunter",
    }
    assert stored_query(b"a=hunter22&b=%68unter22&c=hunter", secrets=secrets) == f"a={REDACTED}&b={REDACTED}&c=hunter"


@pytest.mark.parametrize("name", ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])
def test_hop_by_hop_headers_are_left_out(name: str) -> None:
    assert stored_headers([(name.encode(), b"value")]) == {}


def test_repeated_headers_are_joined_in_order() -> None:
    assert stored_headers([(b"a", b"1"), (b"b", b"x"), (b"A", b"2")]) == {"a": "1, 2", "b": "x"}


@pytest.mark.parametrize("headers", [[(b"a", b"")] * (MAX_HEADERS + 1), [(b"a", b"x" * MAX_HEADERS_SIZE)]])
def test_a_flood_of_headers_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(HeadersTooLarge, match="at most"):
        stored_headers(headers)


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20))
def test_any_bytes_are_taken(headers: list[tuple[bytes, bytes]]) -> None:
    stored_headers(headers)
