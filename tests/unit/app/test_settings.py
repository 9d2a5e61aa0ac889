"""Settings: defaults, checks, secrets that stay secret, and what a running `up` adds."""

import base64
import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.data_dir import DataDir, Runtime
from app.config.parsers import parse_size
from app.config.settings import PREFIX, Secret, Settings, SettingsError, unknown_variables
from domain.values.redaction import REDACTED

ROOT = Path(__file__).parents[3]
KEY = base64.b64encode(b"\xfb\xff" * 16).decode()


def settings(**variables: str) -> Settings:
    return Settings.from_env({PREFIX + name: value for name, value in variables.items()})


def test_nothing_set_means_everything_local() -> None:
    got = settings()
    assert (got.database_url, got.kafka_bootstrap_servers) == ("", "")
    assert (got.host, got.port, got.public_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert (got.kafka_topic, got.kafka_partitions, got.max_body) == ("zap-events", 12, 10 * 2**20)
    assert got.data_dir == Path.cwd() / ".triggerhub"


def test_an_empty_variable_counts_as_absent() -> None:
    assert settings(PORT="", DATABASE_URL=" ", KAFKA_TOPIC="") == settings()


@pytest.mark.parametrize(
    ("variables", "allowed"),
    [
        ({}, ("127.0.0.0/8", "::1/128")),
        ({"HOST": "::1"}, ("127.0.0.0/8", "::1/128")),
        ({"HOST": "0.0.0.0"}, ()),
        ({"DATABASE_URL": "postgresql://db/x"}, ()),
        ({"KAFKA_BOOTSTRAP_SERVERS": "k:9092"}, ()),
        ({"OUTBOUND_ALLOW": ""}, ()),
        ({"OUTBOUND_ALLOW": "10.0.0.0/8, fd00::/8"}, ("10.0.0.0/8", "fd00::/8")),
    ],
)
def test_loopback_may_be_called_only_when_all_is_local(variables: dict[str, str], allowed: tuple[str, ...]) -> None:
    assert settings(**variables).outbound_allow == tuple(ip_network(network) for network in allowed)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://localhost:9000"), ("::1", "http://[::1]:9000"), ("hub", "http://hub:9000")],
)
def test_public_url_follows_host_and_port(host: str, url: str) -> None:
    assert settings(HOST=host, PORT="9000").public_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("KAFKA_BOOTSTRAP_SERVERS", "hunter2"),
        ("KAFKA_BOOTSTRAP_SERVERS", "http://hunter2:9092"),
        ("KAFKA_TOPIC", "hunter 2"),
        ("KAFKA_PARTITIONS", "-77"),
        ("PORT", "hunter2"),
        ("PORT", "65536"),
        ("PORT", "²"),
        ("PUBLIC_URL", "hunter2"),
        ("PUBLIC_URL", "http://[hunter2"),
        ("JWT_SECRET", "hunter2"),
        ("JWT_SECRET", "x" * 32 + ",hunter2"),
        ("ENCRYPTION_KEY", "hunter2"),
        ("ENCRYPTION_KEY", "é" * 32),
        ("OUTBOUND_ALLOW", "hunter2"),
        ("MAX_BODY", "hunter2"),
        ("MAX_BODY", "0KB"),
        ("LOG_LEVEL", "hunter2"),
        ("LOG_FORMAT", "hunter2"),
        ("SMTP_HOST", "hunter2:25"),
        ("SMTP_PORT", "hunter2"),
        ("SMTP_TLS", "hunter2"),
        ("SMTP_FROM", "hunter2"),
    ],
)
def test_a_wrong_value_is_named_but_never_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(**{name: value})
    assert PREFIX + name in str(raised.value)
    assert value not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"SMTP_HOST": "mail"}, "SMTP_FROM"),
        ({"SMTP_HOST": "mail", "SMTP_FROM": "hub@example.com", "SMTP_USERNAME": "hub"}, "SMTP_PASSWORD"),
        ({"SMTP_PASSWORD": "hunter2"}, "SMTP_USERNAME"),
    ],
)
def test_what_mail_needs_goes_together(variables: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError, match=PREFIX + missing) as raised:
        settings(**variables)
    assert "hunter2" not in str(raised.value)


def test_secrets_do_not_show() -> None:
    shown = settings(JWT_SECRET="x" * 32, ENCRYPTION_KEY=KEY, DATABASE_URL="postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(shown)
    assert "xxxx" not in repr(shown)
    assert KEY not in repr(shown)
    assert repr(Secret("hunter2")) == REDACTED
    assert str(shown.jwt_secret) == "x" * 32


@pytest.mark.parametrize("key", [KEY, KEY.rstrip("="), KEY.replace("+", "-").replace("/", "_")])
def test_encryption_key_in_any_base64(key: str) -> None:
    assert settings(ENCRYPTION_KEY=key).encryption_key == KEY.replace("+", "-").replace("/", "_")


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("512KB", 512 * 1024), ("10 mb", 10 * 2**20), ("1GB", 2**30), ("3b", 3)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@given(st.text())
def test_a_size_is_read_or_refused(text: str) -> None:
    try:
        assert parse_size(text) > 0
    except ValueError as error:
        assert "give a size" in str(error)  # noqa: PT017 - both outcomes are right


def test_children_read_the_very_same_settings() -> None:
    parent = settings(
        HOST="0.0.0.0", JWT_SECRET="x" * 40, ENCRYPTION_KEY=KEY, MAX_BODY="1MB", OUTBOUND_ALLOW="10.0.0.0/8",
        SMTP_HOST="mail", SMTP_FROM="hub@example.com", SMTP_USERNAME="hub", SMTP_PASSWORD="x", SMTP_TLS="off",
    )  # fmt: skip
    assert Settings.from_env(parent.to_env()) == parent


def test_a_crash_point_is_a_known_one() -> None:
    assert settings(CRASH_AT="runner.after_action:3").crash_at == "runner.after_action:3"
    for wrong in ("runner.nowhere", "runner.after_action:0", "runner.after_action:x"):
        with pytest.raises(SettingsError, match="TRIGGERHUB_CRASH_AT is not valid: give"):
            settings(CRASH_AT=wrong)


def test_misspelt_variables_are_found() -> None:
    assert unknown_variables({"TRIGGERHUB_PROT": "1", "TRIGGERHUB_PORT": "1", "PATH": ""}) == ["TRIGGERHUB_PROT"]


def test_example_file_lists_every_setting() -> None:
    listed = re.findall(rf"^#?{PREFIX}(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert [name.lower() for name in listed] == list(Settings.__struct_fields__)


def test_example_values_are_the_defaults() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line.startswith(PREFIX))
    assert Settings.from_env(example) == settings()


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    directory = DataDir(tmp_path)
    directory.write_json(
        "runtime.json",
        Runtime(
            database_url="postgresql://embedded/x",
            kafka_bootstrap_servers="127.0.0.1:9",
            host="127.0.0.1",
            port=8123,
            public_url="http://127.0.0.1:8123",
        ),
    )
    return directory


def test_a_running_up_is_found(directory: DataDir) -> None:
    with directory.held():
        got = settings(DATA_DIR=str(directory.path)).resolve("database_url", "kafka_bootstrap_servers")
    assert (got.database_url, got.kafka_bootstrap_servers) == ("postgresql://embedded/x", "127.0.0.1:9")
    assert got.port == 8123


def test_what_is_set_wins_over_a_running_up(directory: DataDir) -> None:
    with directory.held():
        got = settings(DATA_DIR=str(directory.path), DATABASE_URL="postgresql://mine/x").resolve("database_url")
    assert got.database_url == "postgresql://mine/x"
    assert got.port == 8000


def test_a_dead_up_is_not_believed(directory: DataDir) -> None:
    with pytest.raises(SettingsError, match=r"Nothing is running with .*TRIGGERHUB_DATABASE_URL"):
        settings(DATA_DIR=str(directory.path)).resolve("database_url")


@pytest.mark.parametrize("name", ["jwt_secret", "encryption_key"])
def test_a_missing_secret_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}{name.upper()} is missing") as raised:
        settings(DATA_DIR=str(tmp_path)).resolve(name)
    assert raised.value.exit_code == 2


def test_a_kafka_of_ones_own_needs_all_parts_of_its_password() -> None:
    whole = {"KAFKA_SASL_MECHANISM": "scram-sha-512", "KAFKA_USERNAME": "ada", "KAFKA_PASSWORD": "hunter2"}
    got = settings(**whole)
    assert (got.kafka_sasl_mechanism, got.kafka_tls) == ("SCRAM-SHA-512", "off")
    assert "hunter2" not in repr(got)
    assert Settings.from_env(got.to_env()) == got
    for missing in whole:
        with pytest.raises(SettingsError, match="go together"):
            settings(**{name: value for name, value in whole.items() if name != missing})


def test_a_certificate_turns_tls_on_and_contradicts_off() -> None:
    assert settings(KAFKA_CA_FILE="/ca.pem").kafka_tls == "on"
    assert settings(KAFKA_TLS="true").kafka_tls == "on"
    with pytest.raises(SettingsError, match="KAFKA_TLS is off"):
        settings(KAFKA_CA_FILE="/ca.pem", KAFKA_TLS="off")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_TLS", "maybe"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("KAFKA_REPLICATION", "0"),
        ("KAFKA_CREATE_TOPIC", "x"),
    ],
)
def test_kafka_settings_are_checked(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings(**{name: value})
