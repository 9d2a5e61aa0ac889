"""`python -m tests.benchmarks.hostile NAME URL`: one attack, by an account of its own, in a process of its own.

It prints a line once everything is prepared and the attack begins, and goes on until it is ended.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

BIG = b'{"pad": "%b"}' % (b"x" * 9_300_000)
LIST = list(range(20_000))


class Attacker:
    """Somebody with an account, who means no good."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.host, self.port = urlsplit(url).hostname or "", urlsplit(url).port or 80

    async def sign_up(self) -> None:
        person = {"name": "Eve", "email": f"eve-{time.time_ns()}@example.com", "password": "correct horse"}
        async with self.http.post("/api/v1/auth/signup", json=person) as answer:
            self.http.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"

    async def zap(self, *steps: Mapping[str, Any], secrets: tuple[str, ...] = (), **trigger: Any) -> dict[str, Any]:
        """A published zap."""
        zap = {"name": "x", "trigger": {"type": "webhook.catch", "config": trigger}, "steps": steps}
        created = await self.call("/api/v1/zaps", zap)
        if secrets:
            await self.http.put(f"/api/v1/zaps/{created['id']}/secrets", json={"secrets": secrets})
        await self.call(f"/api/v1/zaps/{created['id']}/publish", {})
        return created

    async def call(self, path: str, body: object) -> dict[str, Any]:
        async with self.http.post(path, json=body) as answer:
            assert answer.status < 300, await answer.text()
            answered: dict[str, Any] = await answer.json()
            return answered

    async def post(self, url: str, body: object) -> None:
        """A request whose answer nobody cares about."""
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self.http.post(url, **data) as answer:
                await answer.read()

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1)
        writer.write(sent)
        return reader, writer


def step(step_id: str = "send", **config: Any) -> dict[str, Any]:
    return {"id": step_id, "kind": "action", "type": "http.request", "config": {"method": "POST", **config}}


async def begin(*loops: Awaitable[None]) -> None:
    """All is prepared."""
    print("begins", flush=True)  # noqa: T201 - whoever started us reads it
    await asyncio.gather(*loops)


async def for_ever(do: Callable[[], Awaitable[object]], pause_s: float = 0.0) -> None:
    while True:
        await do()
        await asyncio.sleep(pause_s)


async def templates(eve: Attacker) -> None:
    """Templates whose work grows with the square of their data; also in replies."""
    sums = step(url="http://127.0.0.1:9/", body={"a": "{{ trigger.body | uniq | size }}x"})
    loop = "{% for i in (1..9999) %}{% if trigger.body contains i %}{% endif %}{% endfor %}"
    sorts = step(url="http://127.0.0.1:9/", body={str(n): "{{ trigger.body | sort | size }}x" for n in range(300)})
    reply = {"mode": "custom", "body": loop}
    zaps = [await eve.zap(sums), await eve.zap(sorts), await eve.zap(sums, reply=reply)]
    await begin(*(for_ever(partial(eve.post, zap["hook_url"], LIST)) for zap in zaps))


async def conditions(eve: Attacker) -> None:
    """A hundred rules, each of which looks through a list of a megabyte."""
    rules = [{"field": "trigger.body", "operator": "not_contains", "value": f"v{n}"} for n in range(100)]
    zap = await eve.zap(step(url="http://127.0.0.1:9/"), filter={"all": rules})
    body = [f"item {n}" for n in range(70_000)]
    await begin(*(for_ever(lambda: eve.post(zap["hook_url"], body)) for _ in range(2)))


async def queries(eve: Attacker) -> None:
    """Texts on which a careless expression takes the square of their length."""
    zap = await eve.zap(step(url="http://127.0.0.1:9/"))
    await begin(*(for_ever(lambda: eve.http.get(f"{zap['hook_url']}?a=1&{'jwt' * 5_400}")) for _ in range(4)))


async def drafts(eve: Attacker) -> None:
    """Templates of 60 KB that nest as deep as they are long."""
    body = {"text": "{% if " + "(" * 60_000 + " %}{% endif %}"}
    zap = {"name": "x", "trigger": {"type": "webhook.catch", "config": {}}, "steps": [step(url="http://h/", body=body)]}
    await begin(*(for_ever(lambda: eve.post("/api/v1/zaps", zap)) for _ in range(2)))


async def connections(eve: Attacker) -> None:
    """Answers that nobody reads, heads without end, half-open connections, and bodies that never come."""
    started = [b"GET / HTTP/1.1\r\n", b"POST /api/v1/zaps HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"]

    async def pipeline() -> None:
        with suppress(ConnectionError):
            _reader, writer = await eve.connect(b"")
            while True:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" * 50)
                await writer.drain()
                await asyncio.sleep(0.01)

    async def endless() -> None:
        with suppress(ConnectionError):
            _reader, writer = await eve.connect(b"GET / HTTP/1.1\r\n")
            while True:
                writer.write(b"X-A: " + b"a" * 1_000 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

    opened = [await eve.connect(started[n % 2]) for n in range(1_100)]
    await begin(for_ever(pipeline, 0.1), for_ever(endless, 0.1), asyncio.sleep(3_600))
    del opened


async def hanging(eve: Attacker) -> None:
    """240 runs, and then some, of three zaps at a target that answers nobody."""

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3_600)

    server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=1_000)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    zaps = [await eve.zap(step(url=url)) for _ in range(3)]
    await asyncio.gather(*(eve.post(zaps[n % 3]["hook_url"], {"n": n}) for n in range(240)))
    await begin(for_ever(lambda: eve.post(zaps[0]["hook_url"], {"n": 1}), 0.05))


async def names(eve: Attacker) -> None:
    """Hosts that no name server knows, a new one for each run."""
    zap = await eve.zap(step(url="http://{{ trigger.body.n }}.attack.invalid/"))
    numbers = itertools.count()
    await begin(*(for_ever(lambda: eve.post(zap["hook_url"], {"n": next(numbers)}), 0.05) for _ in range(4)))


async def bodies(eve: Attacker) -> None:
    """Slow senders that announce much to a hook with a signature, and others that send as much at once."""
    verification = {"preset": "github"}
    zap = await eve.zap(step(url="http://127.0.0.1:9/"), secrets=("s" * 32,), verification=verification)
    path = urlsplit(zap["hook_url"]).path

    async def slow() -> None:
        with suppress(ConnectionError):
            head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 9300000\r\n\r\n"
            _reader, writer = await eve.connect(head.encode())
            while True:
                writer.write(b"x" * 2_000)
                await writer.drain()
                await asyncio.sleep(1)

    await begin(*(for_ever(slow, 0.5) for _ in range(30)), for_ever(lambda: eve.post(zap["hook_url"], BIG), 0.2))


async def storage(eve: Attacker) -> None:
    """9 MB that 40 steps send on."""
    steps = [step(f"s{n}", url="http://127.0.0.1:9/", body="{{ trigger.body }}") for n in range(40)]
    steps = [{**one, "on_error": "continue", "retry": {"kind": "fixed", "delays_s": []}} for one in steps]
    zap = await eve.zap(*steps)
    await begin(for_ever(lambda: eve.post(zap["hook_url"], BIG), 0.2))


async def loop(eve: Attacker) -> None:
    """A zap that posts to its own hook, twice."""
    draft = {"name": "x", "trigger": {"type": "webhook.catch", "config": {}}}
    created = await eve.call("/api/v1/zaps", {**draft, "steps": [step(url="http://h/")]})
    hook = created["hook_url"]
    steps = [step(f"s{n}", url=hook, body={"n": n}) for n in range(2)]
    async with eve.http.get(f"/api/v1/zaps/{created['id']}") as answer:
        version = answer.headers["etag"]
    headers = {"If-Match": version}
    async with eve.http.put(f"/api/v1/zaps/{created['id']}", json={**draft, "steps": steps}, headers=headers) as put:
        assert put.status == 200, await put.text()
    await eve.call(f"/api/v1/zaps/{created['id']}/publish", {})
    await begin(for_ever(lambda: eve.post(hook, {"n": 0}), 0.1))


async def passwords(eve: Attacker) -> None:
    """A hundred strangers guess at once, without a pause."""
    numbers = itertools.count()

    async def guess() -> None:
        body = {"email": f"nobody{next(numbers)}@example.com", "password": "wrong password"}
        await eve.post("/api/v1/auth/signin", body)

    await begin(*(for_ever(guess, 0.2) for _ in range(100)))


async def timers(eve: Attacker) -> None:
    """Thousands of delays that end together, again and again."""
    zap = await eve.zap({"id": "nap", "kind": "delay", "for_s": 1}, {"id": "nap2", "kind": "delay", "for_s": 1})

    async def crowd() -> None:
        for n in range(0, 4_000, 100):
            await asyncio.gather(*(eve.post(zap["hook_url"], {"n": n + m}) for m in range(100)))

    await crowd()
    await begin(asyncio.sleep(3_600))


async def jobs(eve: Attacker) -> None:
    """Nine replays of the same failed runs at full speed."""
    zap = await eve.zap({"id": "end", "kind": "stop", "as": "failed", "message": "x"})
    for _ in range(5):
        await asyncio.gather(*(eve.post(zap["hook_url"], {}) for _ in range(100)))
    await asyncio.sleep(2)
    wanted = {"filter": {"zap_id": zap["id"], "source": "webhook"}, "rate_per_s": 1_000}

    async def ask() -> None:
        await eve.post("/api/v1/runs/replay", wanted)

    await begin(*(for_ever(ask, 0.5) for _ in range(3)))


async def neighbour(eve: Attacker) -> None:
    """No attack: ordinary webhooks as fast as they are answered, three at a time, to compare the others with."""
    zap = await eve.zap()
    await begin(*(for_ever(lambda: eve.post(zap["hook_url"], {"n": 1})) for _ in range(3)))


ATTACKS: Mapping[str, Callable[[Attacker], Awaitable[None]]] = {
    attack.__name__: attack
    for attack in (
        *(neighbour, templates, conditions, queries, drafts, connections, hanging, names),
        *(bodies, storage, loop, passwords, timers, jobs),
    )
}


async def main(name: str, url: str) -> None:
    """Attack until the process is ended."""
    connector = aiohttp.TCPConnector(limit=200)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(60)) as http:
        eve = Attacker(http, url)
        await eve.sign_up()
        await ATTACKS[name](eve)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
