"""Passwords and certificates on Apache Kafka; what is wrong is one line and an exit code, or is waited for."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from tests.support.broker import APACHE, topic_name
from tests.support.certificates import Authority
from tests.support.deployment import ROLES, Deployment, deployment
from tests.support.folders import data_folder
from tests.support.kafka_server import KafkaServer, running_kafka
from tests.support.load import under_load
from tests.support.sink import running_sink

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not APACHE, reason="the embedded broker knows neither passwords nor certificates"),
]
PASSWORD = "open sesame"
JAAS = "org.apache.kafka.common.security"


@pytest.fixture(scope="module")
async def certificates() -> AsyncIterator[Path]:
    with data_folder() as folder:
        authority = Authority(folder)
        authority.issue("server")
        authority.issue("client")
        Authority(folder, "stranger").issue("strange")
        yield folder


@pytest.fixture(scope="module")
async def kafka(certificates: Path) -> AsyncIterator[KafkaServer]:
    """One with every kind of listener; SSL asks for a client's certificate."""
    users = [f"{name}=[name=ada,password={PASSWORD}]" for name in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    properties = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.crt"),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{listener}"
        properties |= {
            f"{prefix}.plain.sasl.jaas.config": f'{JAAS}.plain.PlainLoginModule required user_ada="{PASSWORD}";',
            f"{prefix}.scram-sha-256.sasl.jaas.config": f"{JAAS}.scram.ScramLoginModule required;",
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{JAAS}.scram.ScramLoginModule required;",
        }
    async with running_kafka(("SASL_PLAINTEXT", "SSL", "SASL_SSL"), properties, users) as server:
        yield server


def sasl(mechanism: str, password: str = PASSWORD) -> dict[str, str]:
    return {
        "TRIGGERHUB_KAFKA_SASL_MECHANISM": mechanism,
        "TRIGGERHUB_KAFKA_USERNAME": "ada",
        "TRIGGERHUB_KAFKA_PASSWORD": password,
    }


def tls(folder: Path, client: str = "", authority: str = "ca") -> dict[str, str]:
    trusted = {"TRIGGERHUB_KAFKA_CA_FILE": str(folder / f"{authority}.crt")}
    if not client:
        return trusted
    return trusted | {
        "TRIGGERHUB_KAFKA_CERT_FILE": str(folder / f"{client}.crt"),
        "TRIGGERHUB_KAFKA_KEY_FILE": str(folder / f"{client}.key"),
    }


WAYS_IN: dict[str, tuple[str, Callable[[Path], dict[str, str]]]] = {
    "PLAIN": ("SASL_PLAINTEXT", lambda _folder: sasl("PLAIN")),
    "SCRAM-256": ("SASL_PLAINTEXT", lambda _folder: sasl("SCRAM-SHA-256")),
    "SCRAM-512 over TLS": ("SASL_SSL", lambda folder: sasl("SCRAM-SHA-512") | tls(folder)),
    "client certificate": ("SSL", lambda folder: tls(folder, "client")),
}


@pytest.mark.parametrize("way", WAYS_IN)
async def test_every_role_works_with(dsn: str, kafka: KafkaServer, certificates: Path, way: str) -> None:
    listener, variables = WAYS_IN[way]
    # The first server is nobody: several are given so that one may be down.
    servers = f"127.0.0.1:1,{kafka.listener(listener)}"
    async with deployment(dsn, servers, topic_name(), **variables(certificates)) as deployed, running_sink() as sink:
        code, output = await deployed.command("topics")
        assert code == 0, output
        assert "12 partitions, replication 1" in output
        for role in ROLES:
            await deployed.start(role)
        await deployed.ready()
        async with under_load(deployed, sink, senders=2) as load:
            await load.more(50)
        await load.proven(exactly_once=True, servers=kafka.servers)


@pytest.mark.parametrize("command", ["topics", "relay", "runner", "projector"])
async def test_what_will_not_heal_is_one_line_and_an_exit_code(
    dsn: str, kafka: KafkaServer, certificates: Path, command: str
) -> None:
    for listener, variables, words in (
        ("SASL_PLAINTEXT", sasl("PLAIN", "guess"), "refuses user ada by PLAIN"),
        ("SASL_PLAINTEXT", sasl("SCRAM-SHA-256", "guess"), "refuses user ada by SCRAM-SHA-256"),
        ("SASL_SSL", sasl("PLAIN") | tls(certificates, authority="stranger"), "TLS with the Kafka broker"),
        ("SSL", tls(certificates, authority="missing"), "TRIGGERHUB_KAFKA_CA_FILE cannot be used: No such file"),
    ):
        await _fails(dsn, kafka.listener(listener), variables, command, words)


async def test_a_strange_client_certificate_and_a_wrong_protocol_are_told(
    dsn: str, kafka: KafkaServer, certificates: Path
) -> None:
    await _fails(dsn, kafka.listener("SSL"), tls(certificates, "strange"), "topics", "Kafka broker", code=None)
    await _fails(dsn, kafka.listener("PLAINTEXT"), tls(certificates), "topics", "Kafka broker", code=None)
    await _fails(dsn, "127.0.0.1:1", {}, "topics", "No Kafka broker answers", code=1)


async def _fails(
    dsn: str, servers: str, variables: Mapping[str, str], command: str, words: str, *, code: int | None = 2
) -> None:
    async with deployment(dsn, servers, topic_name(), **variables) as deployed:
        got, output = await deployed.command(command)
    assert got == code if code else got in {1, 2}, output
    lines = [line for line in output.splitlines() if line.startswith("triggerhub: ")]
    assert len(lines) == 1, output
    assert words in lines[0]
    assert "guess" not in output
    assert "Traceback" not in output


async def test_topics_are_made_as_configured_and_found_again(dsn: str, kafka: KafkaServer) -> None:
    variables = {"TRIGGERHUB_KAFKA_PARTITIONS": "3", "TRIGGERHUB_KAFKA_RETENTION_HOURS": "48"}
    async with deployment(dsn, kafka.servers, topic_name(), **variables) as deployed:
        code, output = await deployed.command("topics")
        assert (code, "created" in output, "retention.ms=172800000" in output) == (0, True, True), output
        code, output = await deployed.command("topics")
        assert (code, "found" in output) == (0, True), output
        deployed.environment["TRIGGERHUB_KAFKA_PARTITIONS"] = "4"
        for command in ("topics", "relay"):
            code, output = await deployed.command(command)
            assert code == 2, output
            assert "has 3 partitions, TRIGGERHUB_KAFKA_PARTITIONS says 4" in output


async def test_a_missing_topic_and_an_absent_broker_are_waited_for(dsn: str, kafka: KafkaServer) -> None:
    async with deployment(dsn, kafka.servers, topic_name(), TRIGGERHUB_KAFKA_CREATE_TOPIC="off") as deployed:
        relay = await deployed.start("relay")
        await deployed.says(relay, "`triggerhub topics` creates it")
        await _topics(deployed)
        await deployed.says(relay, "relay.leading")
        lonely = await deployed.start("relay", TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
        await deployed.says(lonely, "No Kafka broker answers")


async def _topics(deployed: Deployment) -> None:
    code, output = await deployed.command("topics")
    assert code == 0, output
