"""Kafka as the settings describe it: security, creating the topic, and clear errors."""

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import click
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from app.config.errors import OperatorError
from app.config.settings import PREFIX, Settings, SettingsError
from relay.topic import KafkaConfig, create_topic, describe_topic, topic_settings

if TYPE_CHECKING:
    from faststream.security import BaseSecurity

_TIMEOUT_S = 5.0
_REFUSALS = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)


class Refused(OperatorError):
    """The brokers reject our credentials or our TLS. Waiting does not help; other settings do."""

    exit_code = 2


class Unreachable(OperatorError):
    """No broker answers. One may, later."""


def client_security(settings: Settings) -> dict[str, Any]:
    """What aiokafka's clients need for a password or TLS. Reads the certificates. Raises SettingsError."""
    transport = "SSL" if settings.kafka_tls == "on" else "PLAINTEXT"
    options = {
        "security_protocol": f"SASL_{transport}" if settings.kafka_sasl_mechanism else transport,
        "ssl_context": _tls(settings),
    }
    if settings.kafka_sasl_mechanism:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password,
        }
    return options


def consumer_security(settings: Settings) -> "BaseSecurity":
    """The same in FastStream's words, which only consumers load. Raises SettingsError."""
    from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

    context = _tls(settings)
    if not settings.kafka_sasl_mechanism:
        return BaseSecurity(ssl_context=context)
    kinds = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
    kind = kinds[settings.kafka_sasl_mechanism]
    return kind(settings.kafka_username, settings.kafka_password, ssl_context=context)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.kafka_tls == "off":
        return None
    name = "CA"
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file or None)
        name = "CERT"
        if settings.kafka_cert_file:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file or None, password="")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{PREFIX}KAFKA_{name}_FILE cannot be used: {_reason(error)}.") from None
    return context


def config(settings: Settings) -> KafkaConfig:
    """For the relay, and for making the topic."""
    return KafkaConfig(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        topic=settings.kafka_topic,
        partitions=settings.kafka_partitions,
        replication_factor=settings.kafka_replication,
        retention_hours=settings.kafka_retention_hours,
        create=settings.kafka_create_topic == "on",
        security=client_security(settings),
        message_key=settings.message_keys[0],
    )


async def check_access(settings: Settings) -> int:
    """Connect to each bootstrap server. Returns how many accept our credentials. Raises Refused, Unreachable."""
    security = client_security(settings)
    problems: list[Exception] = []
    servers = settings.kafka_bootstrap_servers.split(",")
    for server in servers:
        try:
            await _try_connect(server, security)
        except Refused:
            raise
        except (OSError, KafkaError, TimeoutError) as error:
            problems.append(error)
    if len(problems) == len(servers):
        raise Unreachable(f"No Kafka broker answers at {settings.kafka_bootstrap_servers}: {_reason(problems[-1])}.")
    return len(servers) - len(problems)


async def _try_connect(server: str, security: dict[str, Any]) -> None:
    host, port = server.rsplit(":", 1)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            connection = await create_conn(
                host.strip("[]"),
                int(port),
                request_timeout_ms=int(_TIMEOUT_S * 1000),
                **security,
            )
    except ssl.SSLError as error:
        raise Refused(f"TLS with the Kafka broker {server} fails: {_reason(error)}. See {PREFIX}KAFKA_TLS.") from None
    except _REFUSALS as error:
        mechanism = security.get("sasl_mechanism")
        who = f"user {security['sasl_plain_username']} by {mechanism}" if mechanism else "whoever has no password"
        raise Refused(f"The Kafka broker {server} refuses {who}: {_reason(error)}.") from None
    connection.close()


async def check_topic(settings: Settings) -> str:
    """Says that the topic is missing; empty when it exists. Raises Refused for any other problem, and KafkaError."""
    found = await describe_topic(config(settings))
    if found is None:
        return f"there is no topic {settings.kafka_topic}: `triggerhub topics` creates it"
    if found.partitions != settings.kafka_partitions:
        raise Refused(
            f"Topic {settings.kafka_topic} has {found.partitions} partitions, "
            f"{PREFIX}KAFKA_PARTITIONS says {settings.kafka_partitions}: set it to what the topic has."
        )
    return ""


async def topics(settings: Settings) -> None:
    """Create the topic where it is missing, and show what the brokers have. Raises OperatorError."""
    await check_access(settings)
    try:
        made = await create_topic(config(settings))
        found = await describe_topic(config(settings))
        if found is not None:
            shown = await topic_settings(config(settings))
            click.echo(
                f"{'created' if made else 'found'} {settings.kafka_topic}: {found.partitions} partitions, "
                f"replication {found.replication_factor}{''.join(f', {name}={shown[name]}' for name in sorted(shown))}"
            )
        if problem := await check_topic(settings):
            raise OperatorError(f"The brokers do not show the topic yet: {problem}.")
    except KafkaError as error:
        raise OperatorError(f"The topic cannot be created: {_reason(error)}.") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).rstrip(".")
