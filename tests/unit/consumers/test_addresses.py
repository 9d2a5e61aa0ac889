"""Internal addresses are reached by no spelling, no name and no answer of a name server."""

import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from consumers.outbound import client
from consumers.outbound.addresses import is_allowed, parse_networks
from consumers.outbound.client import Outbound, checked
from domain.connector.http_client import HttpRequest, Unreachable
from tests.support.raw_target import RawTarget, raw_target

BLOCKED = [
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "0.1.2.3",
    "0.0.0.0", "127.0.0.1", "127.254.254.254", "169.254.169.254", "255.255.255.255", "224.1.2.3", "233.252.0.16",
    "192.0.0.0", "192.0.0.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "100.64.0.1", "100.127.255.254",
    "192.88.99.3", "198.18.0.0", "240.240.240.240", "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "::ffff:0:7f00:1", "2001:db8::1", "3fff::1", "fe80::1", "febf:ffff::1", "fec0::1",
    "fd00:ec2::254", "fd7a:115c:a1e0::1", "2002:a00:1::1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "5f00::1", "100::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:2::1", "ff02::2", "fe80::1%eth0",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.254", "100.128.0.1", "2001:4860:4860::8888", "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
]  # fmt: skip
URLS = [
    "http://0177.0.0.1/", "http://2130706433/", "http://127.1/", "http://0x7f.1/", "http://0x7f000001/",
    "http://①②⑦.⓪.⓪.①/", "http://127.0.0.1./", "http://127.1./", "http://2130706433./", "http://[::1]:80/",
    "http://[::ffff:7f00:1]/", "http://user@127.0.0.1/", "http://example.com@127.0.0.1/", "http://127。0。0。1/",
    "http://example.com\\@127.0.0.1/", "http://127.0.0.1\\.example.com/", "http://127.0.0.1%2f.example.com/",
    "http://127.0.0.1%00.example.com/", "http://[fe80::1%25eth0]/", "http://[::1/", "http://a@b@127.0.0.1/",
    "http://127.0.0.1:99999/", "http://127.0.0.1: 80/", "http:///x", "http://", "//127.0.0.1/", "file:///etc/passwd",
    "gopher://127.0.0.1/", "http:127.0.0.1/", "http://127.0.0.1 .example.com/", "http://127.0.0.1\t/",
]  # fmt: skip


class Names(AbstractResolver):
    """A name server that says what it is told."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=answer, port=port, proto=0, flags=0,
                family=socket.AF_INET6 if ":" in answer else socket.AF_INET,
            )
            for answer in self.answers
        ]  # fmt: skip

    async def close(self) -> None:
        pass


@pytest.fixture
async def target() -> AsyncIterator[RawTarget]:
    async with raw_target() as target:
        yield target


async def refused(http: Outbound, url: str) -> str:
    with pytest.raises(Unreachable) as error:
        await http.request(HttpRequest(method="GET", url=url, timeout_s=5))
    assert error.value.permanent
    return error.value.code


@pytest.mark.parametrize("address", BLOCKED)
async def test_internal_addresses_are_refused_as_literals_and_as_answers(address: str) -> None:
    assert not is_allowed(address, ())
    host = f"[{address}]" if ":" in address else address
    async with Outbound(()) as http:
        assert await refused(http, f"http://{host}:1/") in {"address_refused", "bad_url"}
        assert await refused(http, f"http://{host.rstrip(']')}{'].' if ':' in address else '.'}:1/") in {
            "address_refused",
            "bad_url",
        }
    async with Outbound((), names=lambda: Names(address)) as http:
        assert await refused(http, "http://name.example:1/") == "address_refused"


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address, ())


@given(st.sampled_from([text for text in BLOCKED if ":" not in text]).map(IPv4Address))
def test_an_internal_address_inside_an_ipv6_one_is_internal(inner: IPv4Address) -> None:
    number = int(inner)
    for outer in (number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert not is_allowed(str(IPv6Address(outer)), ())


@pytest.mark.parametrize("url", URLS)
async def test_no_spelling_of_a_url_leads_inside(url: str) -> None:
    async with Outbound(()) as http:
        assert await refused(http, url) in {"address_refused", "bad_url"}


async def test_of_several_answers_only_the_public_ones_are_connected_to(target: RawTarget) -> None:
    port = target.url.rsplit(":", 1)[1]
    async with Outbound(parse_networks("127.0.0.1/32"), names=lambda: Names("10.0.0.1", "::1", "127.0.0.1")) as http:
        reply = await http.request(HttpRequest(method="GET", url=f"http://name.example:{port}/", timeout_s=5))
    assert reply.status == 200


async def test_who_is_connected_to_is_looked_at_before_anything_is_sent(
    target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "checked", lambda url, **_: checked(url, parse_networks("127.0.0.0/8")))
    async with Outbound(()) as http:
        assert await refused(http, target.url) == "address_refused"
    assert target.requests == []
