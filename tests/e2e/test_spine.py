"""The main job from one command: webhooks in, actions out, history, verification."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from app.roles.roles import ROLES
from tests.support.eventually import eventually
from tests.support.evidence import read_log
from tests.support.invariants import Evidence, violations
from tests.support.sink import running_sink
from tests.support.system import System, running_system

WEBHOOKS = 10_000
CONNECTIONS = 32


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    """One for both, as it takes seconds to start."""
    async with running_system() as system:
        yield system


async def test_a_webhook_becomes_a_completed_run_that_the_history_shows(system: System) -> None:
    await system.sign_up("ada@example.com")
    async with running_sink() as sink:
        system.sinks.append(sink)
        zap = await system.published_zap(sink.url, {"greeting": "Hello {{ trigger.body.name }}"})
        run_id = await system.post_hook(zap["hook_url"], {"name": "Grace"}, "first")
        await eventually(lambda: sink.count)
        assert list(sink.deliveries.values()) == [[b'{"greeting":"Hello Grace"}']]

        async def listed() -> bool:
            runs = (await system.call("GET", "/api/v1/runs"))["items"]
            return [(run["id"], run["status"]) for run in runs] == [(str(run_id), "completed")]

        await eventually(listed)
        detail = await system.call("GET", f"/api/v1/runs/{run_id}")
        assert detail["steps"][0]["status"] == "succeeded"
        assert detail["steps"][0]["input"]["body"] == {"greeting": "Hello Grace"}
        code, output = await system.command("verify")
        assert code == 0, output


async def test_ten_thousand_webhooks_are_ten_thousand_runs_each_delivered_once(system: System) -> None:
    await system.sign_up("grace@example.com")
    async with running_sink() as sink:
        system.sinks.append(sink)
        zap = await system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"})
        acknowledged: dict[UUID, bytes] = {}
        numbers = iter(range(WEBHOOKS))

        async def sender() -> None:
            for number in numbers:
                run_id = await system.post_hook(zap["hook_url"], {"n": number}, f"d-{number}")
                acknowledged[run_id] = f'{{"n": {number}}}'.encode()

        await asyncio.gather(*(sender() for _ in range(CONNECTIONS)))
        assert len(acknowledged) == WEBHOOKS
        await system.settled(acknowledged)
        deliveries = {key: bodies for each in system.sinks for key, bodies in each.deliveries.items()}
        evidence = Evidence(await read_log(system.dsn), acknowledged, deliveries)
        assert violations(evidence, exactly_once=True) == []
        assert {msgspec.json.decode(bodies[0])["n"] for bodies in sink.deliveries.values()} == set(range(WEBHOOKS))
        code, output = await system.command("verify")
        assert code == 0, output


async def test_no_process_has_a_secret_that_it_does_not_need_or_writes_what_others_can_read(system: System) -> None:
    names = ("jwt_secret", "encryption_key", "postgres_password", "postgres_app_password")
    secrets = {name: (system.data / name).read_bytes().strip() for name in names}
    held = {}
    for role in ROLES:
        environment = Path(f"/proc/{system.pids()[role]}/environ").read_bytes()
        held[role] = {name for name, secret in secrets.items() if secret in environment}
        assert "\nUmask:\t0077\n" in Path(f"/proc/{system.pids()[role]}/status").read_text("utf-8"), role
    key = {"encryption_key"}  # opens connections, where requests leave: runner and scheduler
    needed = {"api": {"jwt_secret", *key}, "runner": key, "scheduler": key}
    assert held == {role: {"postgres_app_password", *needed.get(role, set())} for role in ROLES}
    code, output = await system.command("migrate")  # as the owner, who is known to this command alone
    assert code == 0, output
