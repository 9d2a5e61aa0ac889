"""`triggerhub demo`: a GitHub push through a zap of a running TriggerHub, and what each stage took."""

import asyncio
import os
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from uuid import uuid4

import aiohttp
import click
import msgspec
from aiohttp import web

from app.cli.remote import NothingRunning, installation
from app.config.errors import OperatorError
from app.config.settings import LOOPBACK, PREFIX, Settings
from domain.values.json import Json, JsonObject

DEADLINE_S = 8.0
POLL_S = 0.01
_ENDED = frozenset({"completed", "filtered", "failed", "cancelled", "timed_out"})
_COLOURS = {"completed": "green", "succeeded": "green", "failed": "red"}
_BODY: JsonObject = {
    "text": "{{ trigger.body.pusher.name }} pushed to {{ trigger.body.repository.full_name }}",
    "branch": "{{ trigger.body.ref | remove: 'refs/heads/' }}",
    "commits": "{{ trigger.body.commits.size }}",
    "forced": "{{ trigger.body.forced }}",
    "latest": "{{ trigger.body.head_commit.message }}",
    "files": "{{ trigger.body.head_commit.modified }}",
    "delivery": "{{ trigger.headers.x-github-delivery }}",
}


class Step(msgspec.Struct):
    """What is shown of a step."""

    id: str
    status: str
    attempts: list[JsonObject] = []
    duration_ms: float | None = None


class Run(msgspec.Struct):
    """What is shown of a run."""

    status: str
    steps: list[Step]


class Zap(msgspec.Struct):
    """What the demo reads of a zap."""

    id: str
    hook_url: str


async def run(settings: Settings, url: str | None = None) -> None:
    """Show one run from the webhook to its record. Raises OperatorError when it cannot."""
    url = (url or installation(settings)).rstrip("/")
    async with aiohttp.ClientSession() as http, _target() as target:
        api = _Api(http, url)
        await api.check_ready()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await _demonstrate(api, target)
        except TimeoutError:
            raise OperatorError(
                f"The run did not end within {DEADLINE_S:.0f} s: is a runner up, on this machine, so that it can "
                f"reach {target.url}? `triggerhub doctor` looks at the rest."
            ) from None
        except aiohttp.ClientError as error:
            raise OperatorError(f"{api.url} hung up: {error}") from None


async def _demonstrate(api: "_Api", target: "_Target") -> None:
    zap = await _publish_zap(api, target)
    started = time.perf_counter()
    run_id = await _push(api, zap)
    _row("accepted", _since(started), f"run {run_id} is in the log")
    finished = await _finished(api, run_id)
    ended = _since(started)
    if target.arrived_at:
        _row("delivered", _milliseconds(target.arrived_at - started), f"to {target.url}")
    _row(finished.status, ended, "the run has ended, and is on record")
    _title("Steps")
    for step in finished.steps:
        _show_step(step)
    _check_outcome(finished)
    _title("What the target received")
    _say(msgspec.json.format(target.body, indent=2).decode())
    _show_commands(api, zap, run_id)


async def _publish_zap(api: "_Api", target: "_Target") -> Zap:
    _title(f"A zap on {api.url}")
    _row("user", "", await api.sign_up())
    step: JsonObject = {
        "id": "notify",
        "kind": "action",
        "type": "http.request",
        "config": {"method": "POST", "url": target.url, "body": _BODY},
    }
    definition: JsonObject = {
        "name": "GitHub push to chat",
        "trigger": {"type": "webhook.catch", "config": {}},
        "steps": [step],
    }
    zap = msgspec.json.decode(await api.call("POST", "/api/v1/zaps", definition), type=Zap)
    await api.call("POST", f"/api/v1/zaps/{zap.id}/publish")
    _row("published", "", "webhook.catch, then http.request")
    _row("hook", "", zap.hook_url)
    return zap


async def _push(api: "_Api", zap: Zap) -> str:
    """Send what GitHub sends on a push; returns the run's id."""
    payload = files("app.cli").joinpath("demo_push.json").read_bytes()
    _title(f"A GitHub push arrives, {len(payload):,} bytes")
    answer = await api.send("POST", zap.hook_url, payload, _push_headers())
    return str(msgspec.json.decode(answer)["run_id"])


def _push_headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": _random_id()}


async def _finished(api: "_Api", run_id: str) -> Run:
    while True:
        found = msgspec.json.decode(await api.call("GET", f"/api/v1/runs/{run_id}"), type=Run)
        if found.status in _ENDED:
            return found
        await asyncio.sleep(POLL_S)


def _show_step(step: Step) -> None:
    took = _milliseconds(step.duration_ms / 1000) if step.duration_ms is not None else ""
    attempts = len(step.attempts)
    _row(step.status, took, f"{step.id}, {attempts} attempt{'s' if attempts != 1 else ''}")


def _check_outcome(finished: Run) -> None:
    if finished.status == "completed":
        return
    reasons = msgspec.json.encode([step.attempts for step in finished.steps]).decode()
    if "address_refused" in reasons:
        raise OperatorError(
            f"Actions may not call this machine: start the runner with {PREFIX}OUTBOUND_ALLOW={LOOPBACK}."
        )
    raise OperatorError(f"The run is {finished.status}: {reasons}")


def _show_commands(api: "_Api", zap: Zap, run_id: str) -> None:
    _title("Do it yourself")
    file = shlex.quote(str(files("app.cli").joinpath("demo_push.json")))
    _say(f"curl -s -H 'Authorization: Bearer {api.token}' {api.url}/api/v1/runs/{run_id}")
    headers = " ".join(f"-H '{name}: {value}'" for name, value in _push_headers().items())
    _say(f"curl -s {headers} --data-binary @{file} {zap.hook_url}")
    _say(click.style("The demo's target is gone by now: a run of the second command waits and is retried.", dim=True))


class _Api:
    """A client of the HTTP API, signed in after `sign_up`."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url
        self.token = ""

    async def check_ready(self) -> None:
        try:
            async with self._http.get(f"{self.url}/readyz", timeout=aiohttp.ClientTimeout(5)) as answer:
                ready, said = answer.status == 200, await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            raise NothingRunning(f"Nothing is running at {self.url}: start `triggerhub up`.") from None
        except ValueError:
            raise NothingRunning(f"{self.url} is no address: give one such as https://hooks.example.com.") from None
        if not ready:
            raise OperatorError(f"{self.url}/readyz says {said[:200]}: `triggerhub doctor` tells more.")

    async def sign_up(self) -> str:
        """Sign up a user and act as it. Returns the e-mail address."""
        email = f"demo-{_random_id()}@example.com"
        body: JsonObject = {"name": "Demo", "email": email, "password": _random_id()}
        self.token = msgspec.json.decode(await self.call("POST", "/api/v1/auth/signup", body))["access_token"]
        return email

    async def call(self, method: str, path: str, body: Json = None) -> bytes:
        """One call of the API. Raises OperatorError unless it succeeds."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if body is None:
            return await self.send(method, f"{self.url}{path}", None, headers)
        headers["content-type"] = "application/json"
        return await self.send(method, f"{self.url}{path}", msgspec.json.encode(body), headers)

    async def send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        """One request. Raises OperatorError unless it succeeds."""
        async with self._http.request(method, url, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status >= 300:
                said = content[:500].decode("utf-8", "replace")
                raise OperatorError(f"{method} {url} gave {answer.status}: {said}")
            return content


class _Target:
    """The zap's target. It records the first request and its time."""

    url = ""
    arrived_at = 0.0
    body = b""

    async def receive(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if not self.arrived_at:
            self.arrived_at, self.body = time.perf_counter(), body
        return web.json_response({"ok": True})


@asynccontextmanager
async def _target() -> AsyncIterator[_Target]:
    """A target on a free loopback port."""
    target = _Target()
    runner = web.ServerRunner(web.Server(target.receive))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield target
    finally:
        await runner.cleanup()


def _title(text: str) -> None:
    _say(f"\n{click.style(text, bold=True)}")


def _row(label: str, took: str, text: str) -> None:
    _say(f"  {click.style(f'{label:<10}', fg=_COLOURS.get(label, 'cyan'))} {took:>9}  {text}")


def _say(text: str) -> None:
    # https://no-color.org; where the output is no terminal, click leaves colours out by itself.
    plain = os.environ.get("NO_COLOR")  # noqa: TID251 - a custom of terminals, not a setting of ours
    click.echo(text, color=False if plain else None)


def _since(started: float) -> str:
    return _milliseconds(time.perf_counter() - started)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _random_id() -> str:
    return str(uuid4())
