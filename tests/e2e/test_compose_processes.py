"""compose.yaml without containers: its commands, with its environment, as processes on the servers it names.

Where Docker's compose plugin is at hand, it reads the file too.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import pytest
import yaml
from aiokafka.errors import KafkaError

from app.config.data_dir import DataDir
from app.config.kafka import Refused, check_access, check_topic
from app.config.settings import Secret, Settings
from app.roles.roles import MIGRATION
from app.roles.roles import ROLES as ROLES_TABLE
from tests.support.broker import APACHE, Broker, running_broker
from tests.support.deployment import deployment
from tests.support.folders import data_folder
from tests.support.kafka_server import KafkaServer
from tests.support.postgres import running_postgres

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ROLES = ("api", "relay", "runner", "projector", "scheduler")


KAFKA = tuple(name for name in Settings.__struct_fields__ if name.startswith("kafka_"))
SECRETS = {name for name in Settings.__struct_fields__ if isinstance(getattr(Settings(), name), Secret)}
TOLD = ("README.md", "app/http/docs/guide/operating.md", "compose.yaml")
"""Where people read how to make .env."""


@pytest.fixture(scope="module")
def dotenv() -> Iterator[dict[str, str]]:
    """What the documented command puts into .env."""
    texts = (re.sub(r"[\\#\s]+", " ", (ROOT / name).read_text()) for name in TOLD)
    (command,) = {found for text in texts for found in re.findall(r"\(umask 077; .*?> \.env\)", text)}
    with data_folder() as folder:
        subprocess.run(["sh", "-c", command], cwd=folder, check=True, timeout=20)
        made = folder / ".env"
        assert made.stat().st_mode & 0o077 == 0
        again = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=False, timeout=20)
        assert again.returncode != 0, "a second time would lose the key to everything stored"
        yield dict(line.split("=", 1) for line in made.read_text().splitlines())


def interpolated(text: str, env: Mapping[str, str]) -> str:
    """`${NAME:-default}` and `${NAME:?message}` as compose fills them in."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if kind == "?" and not env.get(name):
            raise KeyError(name)
        return env.get(name) or rest

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, text)


def environment(service: str, env: Mapping[str, str]) -> dict[str, str]:
    """That of a service."""
    return {name: interpolated(str(text), env) for name, text in SERVICES[service]["environment"].items()}


class ComposeKafka(KafkaServer):
    """The broker as compose.yaml describes it, with the addresses inside its network replaced by ours."""

    def __init__(self, directory: DataDir, env: Mapping[str, str]) -> None:
        super().__init__(directory, ("CLIENTS", "LOCAL"))
        self._env = environment("kafka", env)

    @property
    def servers(self) -> str:
        """Where clients bootstrap, with a password."""
        return self.listener("CLIENTS")

    @property
    def _inside(self) -> str:
        return self.listener("LOCAL")

    def _config(self) -> dict[str, str]:
        """The image makes properties of variables: two lines are one line, one line is a dot."""
        text = {
            name.removeprefix("KAFKA_").lower().replace("_", ".").replace("..", "_"): value
            for name, value in self._env.items()
            if name != "KAFKA_HEAP_OPTS"
        }
        return {name: self._ours(value) for name, value in text.items()} | {"log.dirs": str(self._folder / "kafka")}

    def _ours(self, value: str) -> str:
        for name, port in (("CLIENTS", 9092), ("CONTROLLER", 9093), ("LOCAL", 9094)):
            value = re.sub(rf"(?:kafka|localhost)?:{port}\b", self.listener(name), value)
        return value


@pytest.fixture
async def broker(dotenv: Mapping[str, str]) -> AsyncIterator[Broker]:
    if not APACHE:
        async with running_broker() as broker:
            yield broker
        return
    with data_folder() as folder:
        directory = DataDir(folder / "data")
        directory.create()
        server = ComposeKafka(directory, dotenv)
        await server.start()
        try:
            yield server
        finally:
            await server.kill()


def on_our_servers(service: str, env: Mapping[str, str], servers: str, postgres: SplitResult) -> dict[str, str]:
    """The environment of a service, with the addresses inside the network replaced by ours."""
    given = environment(service, env)
    if "TRIGGERHUB_DATABASE_URL" in given:
        url = urlsplit(given["TRIGGERHUB_DATABASE_URL"])
        password = url.password if url.username == "triggerhub_app" else postgres.password
        place = f"{url.username}:{password}@127.0.0.1:{postgres.port}"
        given["TRIGGERHUB_DATABASE_URL"] = url._replace(netloc=place).geturl()
    if "TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS" in given:
        given["TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS"] = servers
    if not APACHE:  # the embedded broker knows no passwords
        given = {name: value for name, value in given.items() if not re.search("_KAFKA_(SASL|USER|PASS)", name)}
    if "TRIGGERHUB_OUTBOUND_ALLOW" in given:
        given["TRIGGERHUB_OUTBOUND_ALLOW"] = "127.0.0.0/8"
    return given


@pytest.mark.slow
async def test_its_commands_with_its_environment_run_the_demo(broker: Broker, dotenv: Mapping[str, str]) -> None:
    async with running_postgres() as postgres, deployment("", "", "") as deployed:
        admin = urlsplit(postgres.dsn)
        env = {name: on_our_servers(name, dotenv, broker.servers, admin) for name in ("migrate", "topics", *ROLES)}
        known = {name for given in env.values() for name in given}
        deployed.environment = {name: value for name, value in deployed.environment.items() if name not in known}
        env["api"]["TRIGGERHUB_PUBLIC_URL"] = deployed.base
        for job in ("migrate", "topics"):
            code, output = await deployed.command(*SERVICES[job]["command"], **env[job])
            assert code == 0, output
        for role in (*ROLES, "runner"):
            (command,) = SERVICES[role]["command"]
            await deployed.start(command, **env[role])
        await deployed.ready()
        for command in (["demo"], ["verify"]):
            code, output = await deployed.command(*command, **env["api"])
            assert code == 0, output
        for role in set(ROLES) - {"api"}:
            program, *arguments = SERVICES[role]["healthcheck"]["test"][1:]
            assert program == "triggerhub"
            code, output = await deployed.command(*arguments, **env[role])
            assert code == 0, output


@pytest.mark.slow
@pytest.mark.skipif(not APACHE, reason="the embedded broker knows no passwords")
async def test_its_broker_refuses_whoever_has_no_password(broker: Broker, dotenv: Mapping[str, str]) -> None:
    topics = environment("topics", dotenv) | {"TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": broker.servers}
    settings = Settings.from_env(topics)
    assert await check_access(settings) == 1
    with pytest.raises(Refused):
        await check_access(msgspec.structs.replace(settings, kafka_password=Secret("guess")))
    with pytest.raises(KafkaError):
        await check_topic(msgspec.structs.replace(settings, kafka_sasl_mechanism=""))


def test_other_containers_reach_the_broker_with_a_password_only(dotenv: Mapping[str, str]) -> None:
    kafka = environment("kafka", dotenv)
    protocols = dict(pair.split(":") for pair in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    for listener in kafka["KAFKA_LISTENERS"].split(","):
        name, _, address = listener.partition("://")
        assert address.startswith("localhost:") or protocols[name] == "SASL_PLAINTEXT"


def test_it_does_not_start_without_each_secret(dotenv: Mapping[str, str]) -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(dotenv)
    interpolated(text, dotenv)
    for name in dotenv:
        for without in ({**dotenv, name: ""}, {other: value for other, value in dotenv.items() if other != name}):
            with pytest.raises(KeyError, match=name):
                interpolated(text, without)
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    assert {name for name, value in defaults.items() if value and re.search("PASSWORD|SECRET|KEY", name)} == set()


def test_each_container_gets_the_secrets_of_its_role_and_no_others(dotenv: Mapping[str, str]) -> None:
    optional = {"SMTP_USERNAME": "ada", "SMTP_PASSWORD": "x", "CHECKPOINT_KEY": dotenv["TRIGGERHUB_ENCRYPTION_KEY"]}
    everything = {**dotenv, **{f"TRIGGERHUB_{name}": value for name, value in optional.items()}}
    roles = {name: (role.needs, role.settings) for name, role in ROLES_TABLE.items()}
    jobs = {"migrate": (MIGRATION, MIGRATION), "topics": (("kafka_password",), KAFKA)}
    for name, (needs, known) in {**roles, **jobs}.items():
        given = environment(name, everything)
        fields = {variable.removeprefix("TRIGGERHUB_").lower() for variable in given} - {"log_level", "log_format"}
        assert fields <= set(known), name
        assert fields >= set(needs), name
        settings = Settings.from_env(given)
        assert {field for field in SECRETS if getattr(settings, field)} == SECRETS & set(known), name
    assert environment("postgres", dotenv)["POSTGRES_PASSWORD"] == dotenv["POSTGRES_PASSWORD"]


def test_it_starts_in_an_order_that_can_work_and_every_role_scales() -> None:
    assert set(SERVICES) == {"postgres", "kafka", "migrate", "topics", *ROLES}
    assert set(SERVICES["migrate"]["depends_on"]) == {"postgres"}
    assert set(SERVICES["topics"]["depends_on"]) == {"kafka"}
    for role in ROLES:
        assert set(SERVICES[role]["depends_on"]) == {"migrate", "topics"}
        assert "container_name" not in SERVICES[role]
        assert role == "api" or "ports" not in SERVICES[role]
        assert SERVICES[role]["deploy"]["resources"]["limits"]["memory"]


def test_the_compose_plugin_accepts_it(dotenv: dict[str, str]) -> None:
    docker = shutil.which("docker")
    known = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not docker or not known:
        pytest.skip("the compose plugin of docker is not on this machine")
    command = [docker, "compose", "-f", str(ROOT / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=os.environ | dotenv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_linter_likes_the_dockerfile() -> None:
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not linter:
        pytest.skip("hadolint is not on this machine")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
