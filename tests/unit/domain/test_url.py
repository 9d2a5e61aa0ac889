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


@pytest.mark.parametrize("host", ["h:65536", "h:99999", ".h", "a..h", "..", ".:80"])
def test_what_no_name_server_and_no_port_can_answer_for_is_refused_early(host: str) -> None:
    with pytest.raises(BadUrl, match="not a host name"):
        exact(f"https://{host}/")


@pytest.mark.parametrize("host", ["h:65535", "h.", "h:", "[::1]", "[::1]:80", "user:p..w@h"])
def test_what_is_a_host_is_called(host: str) -> None:
    assert exact(f"https://{host}/")[1] == host
