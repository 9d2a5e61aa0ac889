"""What is blotted out before it is shown: whole known names, never parts of words."""

import time

import pytest

from domain.values.json import Json
from domain.values.redaction import REDACTED, is_secret, shown, shown_query, shown_text


@pytest.mark.parametrize(
    "name",
    ["Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "X-API-Key", "apikey", "api_key", "x-gitlab-token",
     "password", "client_secret", "access_token", "token", "jwt", "X-Amz-Security-Token"],
)  # fmt: skip
def test_known_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["author", "session_id", "page_token", "max_tokens", "X-Token-Count", "Authentication-Results", "tokens",
     "secretary", "authority", "cookies_accepted", "passwords_changed", "next-page-token", "nextSyncToken",
     "validationToken",     "hub.verify_token", "keyboard", "", "signature_date"],
)  # fmt: skip
def test_parts_of_words_are_no_names(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("a=1&token=x&b=2", "a=1&token=[redacted]&b=2"),
        ("API-KEY=x&apikey=y", "API-KEY=[redacted]&apikey=[redacted]"),
        ("client_secret=x&password=&n", "client_secret=[redacted]&password=&n"),
        ("access%5Ftoken=x", "access%5Ftoken=[redacted]"),
        ("a=token&author=Jane", "a=token&author=Jane"),
        ("", ""),
    ],
)
def test_a_query(query: str, seen: str) -> None:
    assert shown_query(query) == seen


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        ({"headers": {"Authorization": "x", "a": "1"}}, {"headers": {"Authorization": REDACTED, "a": "1"}}),
        ({"headers": {"set-cookie": ["a", "b"]}}, {"headers": {"set-cookie": REDACTED}}),
        ({"query": {"token": "x", "n": 1}}, {"query": {"token": REDACTED, "n": 1}}),
        ({"query": "token=x&n=1"}, {"query": "token=[redacted]&n=1"}),
        ({"url": "https://ada:pw@h/p?api_key=k&a=1"}, {"url": "https://[redacted]@h/p?api_key=[redacted]&a=1"}),
        ({"url": "https://h/p/a@b"}, {"url": "https://h/p/a@b"}),
        ({"body": {"token": "x"}}, {"body": {"token": "x"}}),
        ({"url": None, "headers": None}, {"url": None, "headers": None}),
        ("text", "text"),
        (None, None),
    ],
)
def test_a_message(message: Json, seen: Json) -> None:
    assert shown(message) == seen


@pytest.mark.parametrize(
    "text", ["jwt" * 350_000, "token" * 200_000 + " " * 200_000, "a=1&" * 250_000, "secret :" * 130_000]
)
def test_a_megabyte_takes_no_time(text: str) -> None:
    began = time.process_time()
    shown_text(text)
    shown_query(text)
    shown({"url": "//" + text, "query_string": text})
    assert time.process_time() - began < 6
