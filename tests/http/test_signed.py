"""What is signed with a connection's secret: the secret stays here, and the receiver can check."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from domain.connection.kinds import setup_of
from domain.connection.signing import AwsSignature, Signable, signature
from tests.support.api import Person, sign_up
from tests.support.world import World

SECRET = "whsec_" + base64.b64encode(b"canary webhook secret, 32 bytes!").decode()
KEY_ID, KEY = "AKIACANARY", "canary/s3+secret"


class Receiver:
    """Takes webhooks, and keeps objects for whoever signs."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 0
        self.requests: list[tuple[web.Request, bytes]] = []
        self.objects: dict[str, tuple[bytes, str]] = {}

    async def hook(self, request: web.Request) -> web.Response:
        self.requests.append((request, await request.read()))
        return web.Response(status=self.status or 200, text=str(dict(request.headers)))

    async def s3(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request, body))
        if not self._is_signed(request, body):
            return web.Response(status=403, text="<Code>SignatureDoesNotMatch</Code>")
        if self.status:
            return web.Response(status=self.status)
        if request.method == "PUT":
            self.objects[request.path] = body, request.headers.get("Content-Type", "")
            return web.Response(headers={"ETag": '"e1"'})
        if request.path not in self.objects:
            return web.Response(status=404, text="<Code>NoSuchKey</Code>")
        content, kind = self.objects[request.path]
        return web.Response(body=content, headers={"Content-Type": kind})

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        at = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
        setup = setup_of("basic", {"username": KEY_ID}, {"password": KEY})
        url = f"http://{request.headers['Host']}{request.raw_path}"
        signed = Signable(method=request.method, url=url, body=body)
        wanted = dict(signature(AwsSignature("eu-central-1", "s3"), setup, signed, at))
        return wanted["authorization"] == request.headers["Authorization"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.hook)
    app.router.add_route("*", "/bucket/{tail:.*}", receiver.s3)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
def world(calling_world: World) -> World:
    return calling_world


@pytest.fixture
async def ada(world: World) -> Person:
    return await sign_up(world.api)


async def connect(ada: Person, kind: str, config: dict[str, Any], **secrets: str) -> str:
    body = {"name": kind, "kind": kind, "config": config, "secrets": secrets}
    made = await ada("POST", "/connections", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def tried(ada: Person, kind: str, connection: str | None, **config: Any) -> httpx.Response:
    step = {"id": "send", "kind": "action", "type": kind, "config": config}
    step |= {"connection": connection} if connection else {}
    zap = await ada("POST", "/zaps", json={"name": "z", "trigger": {"type": "webhook.catch"}, "steps": [step]})
    if zap.status_code != 201:
        return zap
    wish = {"sample": {"payload": {"a": "ä"}}, "effects": "real"}
    return await ada("POST", f"/zaps/{zap.json()['id']}/test", json=wish)


async def step_of(ada: Person, kind: str, connection: str, **config: Any) -> dict[str, Any]:
    answer = await tried(ada, kind, connection, **config)
    assert answer.status_code == 200, answer.text
    assert "canary" not in answer.text
    step: dict[str, Any] = answer.json()["steps"][0]
    return step


async def test_a_webhook_is_signed_and_its_secret_stays_here(ada: Person, receiver: Receiver) -> None:
    connection = await connect(ada, "bearer", {}, token=SECRET)
    config = {"url": f"{receiver.url}/hook", "type": "order.paid", "data": "{{ trigger.body }}"}
    step = await step_of(ada, "webhook.send", connection, **config)
    assert step["status"] == "succeeded", step
    request, body = receiver.requests[-1]
    verified = Webhook(SECRET).verify(body.decode(), dict(request.headers))
    assert (verified["type"], verified["data"]) == ("order.paid", {"a": "ä"})
    assert request.headers["Webhook-Id"] == step["output"]["id"] == request.headers["Idempotency-Key"]
    assert SECRET not in str(request.headers)
    for status, wanted in ((400, "failed"), (508, "failed")):
        receiver.status = status
        assert (await step_of(ada, "webhook.send", connection, **config))["status"] == wanted


async def test_a_webhook_is_signed_by_a_fitting_connection_only(ada: Person, receiver: Receiver) -> None:
    config = {"url": f"{receiver.url}/hook", "type": "x"}
    basic = await connect(ada, "basic", {"username": "u"}, password="p4ssword")
    assert (await tried(ada, "webhook.send", basic, **config)).status_code == 422
    wrong = await connect(ada, "bearer", {}, token="canary no base64")
    step = await step_of(ada, "webhook.send", wrong, **config)
    assert step["error"]["code"] == "connection_misfit"
    assert receiver.requests == []


async def test_objects_are_put_and_got_with_a_signature(ada: Person, receiver: Receiver) -> None:
    connection = await connect(ada, "basic", {"username": KEY_ID}, password=KEY)
    place = {"bucket": "bucket", "region": "eu-central-1", "endpoint": receiver.url}
    for content, kind, wanted in (
        ({"a": "{{ trigger.body.a }}"}, "application/json", '{"a":"ä"}'),
        ("{{ trigger.body.a }}!", "text/plain; charset=utf-8", "ä!"),
        ({"content": "AP8=", "content_type": "image/png"}, "image/png",
         {"content": "AP8=", "content_type": "image/png", "size": 2}),
    ):  # fmt: skip
        key = "a b/ü+&=?#~.txt"
        put = await step_of(ada, "s3.put_object", connection, key=key, content=content, **place)
        assert (put["status"], put["output"]["etag"]) == ("succeeded", "e1"), put
        got = await step_of(ada, "s3.get_object", connection, key=key, **place)
        assert got["output"]["body"] == wanted, got
        assert receiver.objects[f"/bucket/{key}"][1] == kind
    assert all(KEY not in json.dumps(dict(request.headers)) for request, _body in receiver.requests)
    missing = await step_of(ada, "s3.get_object", connection, key="nothing", **place)
    assert missing["error"]["code"] == "http_404"
    too_large = await step_of(ada, "s3.get_object", connection, key="a b/ü+&=?#~.txt", max_bytes=1, **place)
    assert too_large["error"]["code"] == "answer_too_large"
    for bad in ("../x", "a/../b", "a//b"):
        assert (await step_of(ada, "s3.get_object", connection, key=bad, **place))["error"]["code"] == "bad_config"
    stranger = await connect(ada, "basic", {"username": KEY_ID}, password="canary another")
    refused = await step_of(ada, "s3.get_object", stranger, key="x", **place)
    assert refused["error"]["code"] == "http_403"
