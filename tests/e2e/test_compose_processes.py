"""compose.yaml without containers: its commands, with its environment, as processes on the servers it names.

Where Docker's compose plugin is at hand, it reads the file too.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml

from tests.support.broker import Broker, running_broker
from tests.support.deployment import SECRETS, deployment
from tests.support.postgres import running_postgres

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ROLES = ("api", "relay", "runner", "projector", "scheduler")


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as broker:
        yield broker


def interpolated(text: str, env: Mapping[str, str]) -> str:
    """`${NAME:-default}` and `${NAME:?message}` as compose fills them in."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        assert env.get(name) or kind != "?", rest
        return env.get(name) or rest

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, text)


def environment(service: str, servers: str, port: int, password: str) -> dict[str, str]:
    """That of a service, with the addresses inside the network replaced by ours."""
    env = {name: interpolated(str(text), SECRETS) for name, text in SERVICES[service]["environment"].items()}
    url = urlsplit(env["TRIGGERHUB_DATABASE_URL"])
    secret = url.password if url.username == "triggerhub_app" else password
    env["TRIGGERHUB_DATABASE_URL"] = url._replace(netloc=f"{url.username}:{secret}@127.0.0.1:{port}").geturl()
    return env | {"TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": servers, "TRIGGERHUB_OUTBOUND_ALLOW": "127.0.0.0/8"}


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_its_commands_with_its_environment_run_the_demo(broker: Broker) -> None:
    async with running_postgres() as postgres:
        admin = urlsplit(postgres.dsn)
        await _execute(postgres.dsn.format("triggerhub"), interpolated(COMPOSE["configs"]["roles"]["content"], {}))
        assert admin.port
        assert admin.password
        env = {
            name: environment(name, broker.servers, admin.port, admin.password) for name in ("api", "migrate", "topics")
        }
        async with deployment("", "", "", **env["api"]) as deployed:
            deployed.environment["TRIGGERHUB_PUBLIC_URL"] = deployed.base
            for job in ("migrate", "topics"):
                code, output = await deployed.command(*SERVICES[job]["command"], **env[job])
                assert code == 0, output
            for role in (*ROLES, "runner"):
                (command,) = SERVICES[role]["command"]
                await deployed.start(command)
            await deployed.ready()
            code, output = await deployed.command("demo")
            assert code == 0, output
            for command in ("doctor", "verify"):
                code, output = await deployed.command(command)
                assert code == 0, output


def test_it_starts_in_an_order_that_can_work_and_every_role_scales() -> None:
    assert set(SERVICES) == {"postgres", "kafka", "migrate", "topics", *ROLES}
    assert set(SERVICES["migrate"]["depends_on"]) == {"postgres"}
    assert set(SERVICES["topics"]["depends_on"]) == {"kafka"}
    for role in ROLES:
        assert set(SERVICES[role]["depends_on"]) == {"migrate", "topics"}
        assert "container_name" not in SERVICES[role]
        assert role == "api" or "ports" not in SERVICES[role]
        assert SERVICES[role]["deploy"]["resources"]["limits"]["memory"]


def test_the_compose_plugin_accepts_it() -> None:
    docker = shutil.which("docker")
    known = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not docker or not known:
        pytest.skip("the compose plugin of docker is not on this machine")
    command = [docker, "compose", "-f", str(ROOT / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=os.environ | SECRETS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_linter_likes_the_dockerfile() -> None:
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not linter:
        pytest.skip("hadolint is not on this machine")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncio.wait_for(asyncpg.connect(dsn), 10)
    await connection.execute(statement)
    await connection.close()
