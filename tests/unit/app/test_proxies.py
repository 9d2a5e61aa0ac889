"""Whose word about a client's address is believed."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.proxies import client_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY, CLIENT = "10.0.0.1", "203.0.113.9"


def forwarded(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), *((b"x-forwarded-for", value.encode("latin-1")) for value in values)]


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [f"6.6.6.6, {CLIENT}"], CLIENT),
        (PROXY, ["6.6.6.6", CLIENT], CLIENT),
        (PROXY, [f"6.6.6.6,{CLIENT} , 10.9.9.9"], CLIENT),
        (PROXY, [f"{CLIENT}:55555"], CLIENT),
        (PROXY, ["[2001:db8::7]:443"], "2001:db8::7"),
        (PROXY, ["2001:DB8::7"], "2001:db8::7"),
        (PROXY, [f"::ffff:{CLIENT}"], CLIENT),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
        ("fd00::1", [CLIENT], CLIENT),
        (PROXY, ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["6.6.6.6, unknown"], PROXY),
        (PROXY, ["6.6.6.6, evil, 10.0.0.5"], "10.0.0.5"),
        (CLIENT, ["10.0.0.1"], CLIENT),
        (CLIENT, ["6.6.6.6"], CLIENT),
        ("", ["6.6.6.6"], ""),
        (PROXY, [",".join(["6.6.6.6"] + ["10.0.0.7"] * 500)], "10.0.0.7"),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy(peer: str, values: list[str], client: str) -> None:
    assert client_of(peer, forwarded(*values), TRUSTED) == client


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert client_of("127.0.0.1", forwarded(CLIENT), ()) == "127.0.0.1"


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_no_header_breaks_it_or_hides_the_client(text: str) -> None:
    assert client_of(PROXY, forwarded(f"{text},{CLIENT}"), TRUSTED) == CLIENT
    assert client_of(PROXY, forwarded(text), TRUSTED)
