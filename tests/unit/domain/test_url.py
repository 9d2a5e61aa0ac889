"""What is a URL that can be called, and what its refusal tells."""

import time

import pytest

from domain.connector.url import MAX_URL, BadUrl, exact

ENDLESS = [
    "http://h/" + "é" * MAX_URL,
    "http://" + "h" * 400 + "/",
    "http://" + "é" * 1_000_000,
    "http://h/?a=" + '"' * 1_000_000,
]


@pytest.mark.parametrize("url", ENDLESS, ids=range(len(ENDLESS)))
def test_an_endless_url_is_refused_at_once(url: str) -> None:
    began = time.thread_time()
    with pytest.raises(BadUrl):
        exact(url)
    assert time.thread_time() - began < 0.05


def test_a_refusal_does_not_repeat_the_password() -> None:
    with pytest.raises(BadUrl) as caught:
        exact("http://ada:hush@hush@h/")
    assert "hush" not in str(caught.value)
