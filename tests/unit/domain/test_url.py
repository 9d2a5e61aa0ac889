"""What is a URL that can be called, and what its refusal tells."""

import time

import pytest

from domain.connector.url import MAX_URL, BadUrl, check, exact

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


@pytest.mark.parametrize(
    "host", ["h:65536", "h:99999", ".h", "a..h", "..", ".:80", "h:0", "[::1]:00", "a" * 64, "x." + "a" * 64 + ".h:80"]
)
def test_what_no_name_server_and_no_port_can_answer_for_is_refused_early(host: str) -> None:
    with pytest.raises(BadUrl, match="not a host name"):
        exact(f"https://{host}/")


@pytest.mark.parametrize(
    "host", ["h:65535", "h.", "h:", "[::1]", "[::1]:80", "user:p..w@h", "h:1", "a" * 63 + ".h", "é" * 64]
)
def test_what_is_a_host_is_called(host: str) -> None:
    assert exact(f"https://{host}/")[1] == host


@pytest.mark.parametrize(
    ("url", "is_wrong"),
    [
        ("https://h:0/{{ trigger.body.id }}", True),
        ("https://h:0?a={{ x }}", True),
        ("https://a..h/{{ x }}", True),
        ("https://h/{{ x }}", False),
        ("https://h:{{ port }}/", False),
        ("https://h:0{{ port }}/", False),
        ("https://{{ host }}/", False),
        ("https://user:{{ x }}@h/", False),
        ("{{ url }}", False),
    ],
)
def test_a_host_before_a_template_is_looked_at_once_nothing_can_change_it(url: str, is_wrong: bool) -> None:
    assert (check(url) is not None) == is_wrong
