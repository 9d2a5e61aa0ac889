"""Where a credential may go: the host that a URL names for certain, and whether it is one of those allowed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.connection.hosts import fixed_host, is_named, may_go
from domain.connection.kinds import Reach, Setup, merged, setup_of, texts_of
from domain.values.shapes import HOST


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://API.example.com/x", "api.example.com"),
        ("https://api.example.com", "api.example.com"),
        ("https://api.example.com.:443/{{ a }}", "api.example.com"),
        ("http://api.example.com:8080?x={{ a }}", "api.example.com:8080"),
        ("https://user:pw@api.example.com/", "api.example.com"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
        ("https://api.example.com{{ path }}", ""),
        ("https://api.example.com:{{ port }}/", ""),
        ("https://{{ host }}/", ""),
        ("{{ url }}", ""),
        ("https://api.example.com@{{ host }}/", ""),
        ("https://{{ a }}@api.example.com/", ""),
        ("ftp://x/", ""),
        ("", ""),
    ],
)
def test_a_host_is_fixed_only_where_no_data_can_change_it(url: str, host: str) -> None:
    assert fixed_host(url) == host


@pytest.mark.parametrize(
    ("host", "port", "entry", "may"),
    [
        ("api.example.com", 443, "api.example.com", True),
        ("API.example.com.", 443, "api.example.com", True),
        ("api.example.com", 8443, "api.example.com:443", False),
        ("api.example.com", 443, "api.example.com:443", True),
        ("example.com", 443, "*.example.com", False),
        ("a.b.example.com", 443, "*.example.com", True),
        ("evilexample.com", 443, "*.example.com", False),
        ("api.example.com.evil.org", 443, "api.example.com", False),
        ("2001:db8::1", 443, "[2001:db8::1]", True),
        ("127.0.0.1", 8080, "127.0.0.1", True),
    ],
)
def test_a_host_is_allowed_by_its_whole_name(host: str, port: int, entry: str, may: bool) -> None:
    assert may_go(host, port, [entry]) is may
    assert not may_go(host, port, [])


@given(st.from_regex(HOST, fullmatch=True).filter(lambda entry: len(entry) <= 260 and not entry.startswith("*")))
def test_the_host_of_a_url_is_named_by_itself(entry: str) -> None:
    msgspec.convert({"hosts": [entry]}, Reach)
    assert is_named(entry, [entry])


@pytest.mark.parametrize(
    "host", ["", "a b", "https://x", "x/y", "x:y", "*", "*.", "a.*.b", "x@y", "ex.com/..", "::1", "x.y\n", "[::1]\n"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"hosts": [host]}, Reach)


def test_a_patch_merges_and_null_takes_away() -> None:
    assert merged({"a": 1, "h": {"x": "1", "y": "2"}}, {"a": None, "h": {"y": None, "z": "3"}, "b": [1]}) == {
        "h": {"x": "1", "z": "3"},
        "b": [1],
    }


def test_secrets_are_not_in_what_is_printed() -> None:
    setup: Setup = setup_of("custom", {}, {"headers": {"x-key": "canary-value"}})
    assert "canary-value" not in repr(setup)
    assert texts_of({"headers": {"x-key": "canary-value"}, "token": "t"}) == ("canary-value", "t")


@pytest.mark.parametrize(
    ("kind", "config", "secrets"),
    [
        ("oauth2", {"grant": "authorization_code", "token_url": "https://x/t", "client_id": "c"}, {}),
        ("oauth2", {"grant": "client_credentials", "token_url": "https://x/t", "client_id": "c"}, {}),
        ("oauth2", {"grant": "jwt_bearer", "token_url": "https://x/t", "client_id": "c"}, {"client_secret": "s"}),
        ("basic", {"username": "a:b"}, {"password": "p"}),
        ("bearer", {}, {"token": "a\nb"}),
        ("api_key", {"in": "cookie", "name": "k"}, {"value": "v"}),
        ("api_key", {"in": "header", "name": "k"}, {}),
        ("unheard_of", {}, {}),
        ("custom", {"token": "t"}, {"headers": {"x": "y"}}),
    ],
)
def test_a_setup_that_could_not_work_is_refused(kind: str, config: dict[str, object], secrets: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        setup_of(kind, config, dict(secrets))  # type: ignore[arg-type] # objects of JSON
