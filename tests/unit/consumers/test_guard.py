"""The guard stands at every way out: no spelling and no answer of a name server leads any of them inside."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias
from uuid import UUID

import pytest
import ssrfguard
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.connectors import gmail, http, rss, s3, webhook
from consumers.connectors.http.poll import HTTP_POLL
from consumers.connectors.shipped import ShippedActions
from consumers.credentials.oauth import TokenSource
from consumers.outbound import guarded_loop
from consumers.outbound.addresses import is_allowed, parse_networks
from consumers.outbound.client import Outbound
from consumers.outbound.guarded_loop import GuardedLoop
from consumers.outbound.names import AddressRefused
from consumers.scheduler.checkpoints import Delivery, Undelivered
from domain.connection.kinds import OAuth2, setup_of
from domain.connection.oauth import exchange
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpClient, HttpReply, HttpRequest, Unreachable
from domain.connector.outcome import Failed, Outcome
from domain.connector.poll import Place, PollContext, PollFailed
from domain.values.json import JsonObject
from tests.support.clock import FixedClock
from tests.support.raw_target import RawTarget, raw_target

VECTORS = [
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "0.1.2.3",
    "0.0.0.0", "127.0.0.1", "127.254.254.254", "169.254.169.254", "255.255.255.255", "224.1.2.3", "233.252.0.16",
    "192.0.0.0", "192.0.0.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "100.64.0.1", "100.127.255.254",
    "192.88.99.3", "198.18.0.0", "240.240.240.240", "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "::ffff:0:7f00:1", "2001:db8::1", "3fff::1", "fe80::1", "febf:ffff::1", "fec0::1",
    "fd00:ec2::254", "fd7a:115c:a1e0::1", "2002:a00:1::1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "5f00::1", "100::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:2::1", "ff02::2", "198.19.255.255",
    "2002:7f00:1::1", "::ffff:192.168.0.1",
]  # fmt: skip
LOCAL = parse_networks("127.0.0.0/8")
FIRST = "http://first.example/"
clock = FixedClock()


class Names(AbstractResolver):
    """A name server that gives one answer after the other, and then the last one again."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        kind = socket.AF_INET6 if ":" in answer else socket.AF_INET
        return [ResolveResult(hostname=host, host=answer, port=port, proto=0, flags=0, family=kind)]

    async def close(self) -> None:
        pass


class LeadsOn:
    """A first answer that leads somewhere; everything else goes out as it does."""

    def __init__(self, http: HttpClient, reply: HttpReply) -> None:
        self._http = http
        self._reply = reply

    async def request(self, request: HttpRequest) -> HttpReply:
        return self._reply if request.url == FIRST else await self._http.request(request)


def leads(status: int = 200, body: bytes = b"", **headers: str) -> HttpReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, headers={"content-type": "application/json", **named}, body=body)


def action(http: HttpClient) -> ActionContext:
    return ActionContext(http, "run.step", UUID(int=1), clock)


async def code_of(outcome: Awaitable[Outcome]) -> str:
    try:
        found = await outcome
    except Unreachable as error:
        return error.code
    assert isinstance(found, Failed), found
    return found.code


def poll(http: HttpClient) -> PollContext:
    return PollContext(
        http=http, dialogue=None, place=Place(), moment=clock(), clock=clock, beginning=False,  # type: ignore[arg-type]  # they speak HTTP only
        is_known=lambda _item: False,
    )  # fmt: skip


async def polled(found: Awaitable[object]) -> str:
    with pytest.raises(PollFailed) as raised:
        await found
    return raised.value.code


async def tokens(http: HttpClient, url: str) -> str:
    config: JsonObject = {"grant": "client_credentials", "token_url": url, "client_id": "c"}
    setup = setup_of("oauth2", config, {"client_secret": "s"})
    assert isinstance(setup, OAuth2)
    source = TokenSource(None, lambda _tenant: http, clock)  # type: ignore[arg-type]  # it keeps nothing
    try:
        await source.traded(UUID(int=1), setup, exchange("c", redirect_uri="r", verifier="v"))
    except Unreachable as error:
        return error.code
    return "answered"


async def delivered(http: HttpClient, url: str) -> str:
    with pytest.raises(Undelivered, match="is an internal address"):
        await Delivery(http=http, url=url).deliver(1, "note")
    return "address_refused"


def paged(url: str) -> HttpReply:
    return leads(body=f'{{"items": [{{"id": 1}}], "next": "{url}"}}'.encode(), link=f'<{url}>; rel="next"')


def request(**config: Any) -> dict[str, Any]:
    return {"method": "GET", **config}


Way: TypeAlias = Callable[[HttpClient, str], Awaitable[str]]
NEXT: dict[str, Any] = {"kind": "next_url", "items": "body.items", "cursor": "body.next", "max_pages": 3}
LINK: dict[str, Any] = {"kind": "link", "items": "body.items", "max_pages": 3}
OF_POLL: dict[str, Any] = {"request": {"url": FIRST}, "items": "body.items", "next_page": {"link": "body.next"}}
WAYS: dict[str, Way] = {
    "http.request": lambda out, url: code_of(http.request(request(url=url), action(out))),
    "a redirect": lambda out, url: code_of(
        http.request(request(url=FIRST, redirects=3), action(LeadsOn(out, leads(302, location=url))))
    ),
    "a redirect of a POST": lambda out, url: code_of(
        http.request({"url": FIRST, "redirects": 3}, action(LeadsOn(out, leads(307, location=url))))
    ),
    "the next page": lambda out, url: code_of(
        http.request(request(url=FIRST, paging=NEXT), action(LeadsOn(out, paged(url))))
    ),
    "a link to the next page": lambda out, url: code_of(
        http.request(request(url=FIRST, paging=LINK), action(LeadsOn(out, paged(url))))
    ),
    "webhook.send": lambda out, url: code_of(webhook.send({"url": url, "type": "x"}, action(out))),
    "s3.get_object": lambda out, url: code_of(
        s3.get({"bucket": "b", "key": "k", "endpoint": url.rstrip("/")}, action(out))
    ),
    "s3.put_object": lambda out, url: code_of(
        s3.put({"bucket": "b", "key": "k", "content": "x", "endpoint": url.rstrip("/")}, action(out))
    ),
    "gmail.send": lambda out, url: code_of(gmail.sent(url, {"to": "ada@example.com"}, action(out))),
    "tokens of OAuth": tokens,
    "http.poll": lambda out, url: polled(_polls({"request": {"url": url}}, poll(out))),
    "a redirect of a poll": lambda out, url: polled(
        _polls({"request": {"url": FIRST}}, poll(LeadsOn(out, leads(301, location=url))))
    ),
    "the next page of a poll": lambda out, url: polled(_polls(OF_POLL, poll(LeadsOn(out, paged(url))))),
    "a feed": lambda out, url: polled(rss.poll({"url": url}, poll(out))),
    "a redirect of a feed": lambda out, url: polled(
        rss.poll({"url": FIRST}, poll(LeadsOn(out, leads(308, location=url))))
    ),
    "a checkpoint": delivered,
}


def _polls(config: dict[str, Any], context: PollContext) -> Awaitable[object]:
    assert HTTP_POLL.poll is not None
    return HTTP_POLL.poll.run(config, context)


def test_there_are_fifty_and_the_neighbours_of_each_network_are_public() -> None:
    assert len(set(VECTORS)) == 50
    for text in ("9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
                 "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "100.63.255.255", "100.128.0.0",
                 "198.17.255.255", "198.20.0.0", "223.255.255.255", "192.0.1.0", "2003::1", "2001:200::1",
                 "2606:4700:4700::1111", "64:ff9a::1", "1.0.0.0"):  # fmt: skip
        assert is_allowed(text, ()), text


@pytest.mark.parametrize("way", WAYS)
async def test_no_way_leads_to_an_internal_address(way: str) -> None:
    """Each vector as it is written into a URL, and as the answer to a name."""
    for vector in VECTORS:
        async with Outbound(()) as out:
            host = f"[{vector}]" if ":" in vector else vector
            assert await WAYS[way](out, f"http://{host}:1/") == "address_refused", vector
        async with Outbound((), names=lambda answer=vector: Names(answer)) as out:  # type: ignore[misc]  # mypy wants no default
            assert await WAYS[way](out, "http://inside.example:1/") == "address_refused", vector


@pytest.mark.parametrize("vector", VECTORS)
async def test_no_connector_from_a_file_leads_there(vector: str) -> None:
    async with Outbound((), names=lambda: Names(vector)) as out:
        configs: dict[str, JsonObject] = {
            "slack.post_message": {"channel": "c", "text": "t"}, "google_forms.get_form": {"form": "f"},
        }  # fmt: skip
        for type_, config in configs.items():
            found = ShippedActions(http.request)[type_]
            assert await code_of(found.run(config, action(out))) == "address_refused"


@pytest.mark.parametrize("vector", VECTORS)
def test_no_client_of_another_protocol_connects_there(vector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop that clients of mail, databases and Kafka connect with: literally, and by name."""
    monkeypatch.setattr(guarded_loop, "resolver", lambda: Names(vector))
    loop = GuardedLoop(())

    async def connects(host: str) -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, 1)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        for host in ("inside.example", vector, f"[{vector}]"):
            with pytest.raises(AddressRefused):
                runner.run(connects(host))


async def _served(port: int, names: Names) -> list[str]:
    """What comes of five requests to a name whose address changes."""
    found = []
    async with Outbound(parse_networks("127.0.0.2/32"), names=lambda: names) as out:
        for number in range(5):
            try:
                await out.request(HttpRequest(method="GET", url=f"http://moves{number}.example:{port}/", timeout_s=5))
                found.append("answered")
            except Unreachable as error:
                found.append(error.code)
    return found


@pytest.fixture
async def target() -> AsyncIterator[RawTarget]:
    async with raw_target() as target:
        yield target


async def test_an_answer_that_changes_between_look_up_and_connect_changes_nothing(target: RawTarget) -> None:
    """The name leads to what may be reached when it is looked up, and inside a moment later: nobody looks again."""
    names = Names("127.0.0.2", "127.0.0.1")
    found = await _served(int(target.url.rsplit(":", 1)[1]), names)
    assert found == ["connect", *["address_refused"] * 4], "there is nobody at 127.0.0.2"
    assert names.asked == 5, "one look-up for each"
    assert target.requests == []
    assert target.connections == 0


def test_a_client_of_another_protocol_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names("127.0.0.2", "127.0.0.1")
    monkeypatch.setattr(guarded_loop, "resolver", lambda: names)
    loop = GuardedLoop(parse_networks("127.0.0.2/32"))
    with socket.create_server(("127.0.0.1", 0)) as server, asyncio.Runner(loop_factory=lambda: loop) as runner:
        port = server.getsockname()[1]
        for wanted in (ConnectionRefusedError, AddressRefused):
            with pytest.raises(wanted):
                runner.run(loop.create_connection(asyncio.Protocol, "moves.example", port))
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


_STRICTER = tuple(
    ip_network(text) for text in ("192.0.0.0/24", "::/96", "64:ff9b::/96", "::ffff:0:0:0/96", "2001::/23", "2002::/16")
)
"""Ranges in which we refuse more than the other library does: wrappers of IPv4, and what is no ordinary host."""
EDGES = [
    network[0] + offset if offset <= 0 else network[-1] + offset - 1
    for network in (block.network for block in ssrfguard.DEFAULT_DENIED.blocks)
    for offset in (-1, 0, 1, 2)
    if int(network[0]) and int(network[-1]) + 2 < 2**network.max_prefixlen
]
"""The ends of each range that it knows, and what lies beside them."""
ADDRESSES = st.one_of(
    st.sampled_from(EDGES),
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**32 - 1).map(lambda low: IPv6Address(0xFFFF << 32 | low)),
    st.tuples(st.sampled_from([0x2002, 0x2001, 0xFC00, 0xFE80, 0xFEC0, 0xFF02, 0x64, 0x100, 0x3FFF, 0x5F00]),
              st.integers(0, 2**112 - 1)).map(lambda two: IPv6Address(two[0] << 112 | two[1])),
)  # fmt: skip


@given(ADDRESSES)
@example(ip_address("::ffff:8.8.8.8"))
@example(ip_address("100:0:0:1::"))
def test_another_library_lets_nothing_in_that_we_refuse_and_refuses_nothing_that_we_let_in(
    address: IPv4Address | IPv6Address,
) -> None:
    ours, theirs = is_allowed(str(address), ()), not ssrfguard.DEFAULT_DENIED.classify(address).blocked
    if ours != theirs:
        assert not ours, f"{address} is let in"
        assert any(address in network for network in _STRICTER if network.version == address.version), address
