"""All settings, read once from the environment; no other file looks there.

Every variable is the field's name in capitals behind `TRIGGERHUB_`; `.env.example` explains each.
An empty variable counts as absent, except OUTBOUND_ALLOW, where empty means "nothing".
"""

import base64
import hmac
import ipaddress
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from app.config import parsers
from app.config.data_dir import DataDir, Runtime
from app.config.errors import OperatorError
from app.config.parsers import LogFormat, Network, OnOff, SmtpTls, WhoMaySignUp
from domain.values.redaction import REDACTED

PREFIX = "TRIGGERHUB_"
LOOPBACK = "127.0.0.0/8,::1/128"
DEFAULT_HOST, DEFAULT_PORT, DEFAULT_DATA_DIR = "127.0.0.1", 8000, ".triggerhub"


class SettingsError(OperatorError):
    """A setting is missing or wrong. The message names the variable and the remedy, never the value."""

    exit_code = 2


class Secret(str):
    """Text that must not be shown: `repr` does not; only its use as a string gives the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return REDACTED


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes are bytes; a user_per_minute of 0 is no limit.

    Empty database_url or kafka_bootstrap_servers: `up` brings its own server.
    """

    database_url: Secret = Secret("")
    app_password: Secret = Secret("")
    kafka_bootstrap_servers: str = ""
    kafka_topic: str = "zap-events"
    kafka_partitions: int = 12
    kafka_replication: int = 1
    kafka_retention_hours: int = 0
    kafka_create_topic: OnOff = "on"
    kafka_groups: OnOff = "on"
    kafka_sasl_mechanism: str = ""
    kafka_username: str = ""
    kafka_password: Secret = Secret("")
    kafka_tls: OnOff = "off"
    kafka_ca_file: str = ""
    kafka_cert_file: str = ""
    kafka_key_file: str = ""
    data_dir: Path = Path(DEFAULT_DATA_DIR)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    public_url: str = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    jwt_secret: Secret = Secret("")
    encryption_key: Secret = Secret("")
    message_key: Secret = Secret("")
    outbound_allow: tuple[Network, ...] = ()
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_username: str = ""
    smtp_password: Secret = Secret("")
    smtp_tls: SmtpTls = "starttls"
    smtp_from: str = ""
    signup: WhoMaySignUp = "on"
    max_body: int = 10 * 2**20
    max_held: int = 256 * 2**20
    max_file: int = 256 * 2**20
    max_files: int = 10 * 2**30
    files: str = ""
    user_per_minute: int = 0
    requests_days: int = 90
    checkpoint_key: Secret = Secret("")
    checkpoint_minutes: int = 10
    checkpoint_url: str = ""
    checkpoint_file: str = ""
    archive: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    broker_memory_limit: int = 96 * 2**20
    api_key: Secret = Secret("")
    log_level: str = "info"
    log_format: LogFormat = "json"
    crash_at: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read and check every variable; raises SettingsError. What is absent has its field's default, or follows."""
        given: dict[str, Any] = {}
        for field in msgspec.structs.fields(cls):
            text = env.get(PREFIX + field.name.upper())
            if text is None or (not text.strip() and field.name not in _MAY_BE_EMPTY):
                continue
            value = _parsed(field.name, text.strip())
            given[field.name] = Secret(value) if field.type is Secret else value
        return cls(**_derived(given) | given).checked()

    def checked(self) -> Self:
        """These settings. Raises SettingsError where two of them contradict each other."""
        sasl = (self.kafka_sasl_mechanism, self.kafka_username, self.kafka_password)
        if any(sasl) and not all(sasl):
            raise SettingsError(
                f"{PREFIX}KAFKA_SASL_MECHANISM, {PREFIX}KAFKA_USERNAME and {PREFIX}KAFKA_PASSWORD go together: "
                "set all three or none."
            )
        if self.kafka_tls == "off" and (self.kafka_ca_file or self.kafka_cert_file):
            raise SettingsError(f"{PREFIX}KAFKA_TLS is off, but certificates are set: set it to on, or leave them out.")
        if self.smtp_host and not self.smtp_from:
            raise SettingsError(f"{PREFIX}SMTP_FROM is missing: set it to the address that mails come from.")
        if bool(self.smtp_username) != bool(self.smtp_password):
            raise SettingsError(f"{PREFIX}SMTP_USERNAME and {PREFIX}SMTP_PASSWORD go together: set both or none.")
        return self

    @property
    def message_keys(self) -> tuple[bytes, ...]:
        """The keys that seal messages on the topic, the one in use first; an empty one where there is no secret."""
        return tuple(base64.urlsafe_b64decode(key) for key in self.message_key.split(","))

    @property
    def is_public_url_set(self) -> bool:
        """Whether somebody said where users reach this installation."""
        return self.public_url != _default_url(self.host, self.port)

    @classmethod
    def load(cls) -> Self:
        """The settings of this process."""
        return cls.from_env(os.environ)

    def to_env(self) -> dict[str, str]:
        """The variables that `from_env` turns into exactly these settings."""
        return {PREFIX + name.upper(): _text(getattr(self, name)) for name in self.__struct_fields__}

    def only(self, *names: str) -> Self:
        """These settings and what every process gets; the others as if nobody had set them."""
        return type(self)(**{name: getattr(self, name) for name in (*_EVERYBODYS, *names)})

    def child_env(self) -> dict[str, str]:
        """The environment for a child process that shall run with these settings, and know of no others."""
        # Where this package lies comes first, so that the child runs the same code wherever it is started.
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return {**inherited, **self.to_env(), "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}

    def with_message_key(self) -> Self:
        """The message key follows from the encryption key, unless it was set."""
        if self.message_key:
            return self
        return msgspec.structs.replace(self, message_key=_message_key(self.encryption_key))

    def resolve(self, *needs: str, as_owner: bool = False) -> Self:
        """Fill what is absent from the data directory of a running `up`.

        `needs` are field names, for instance "database_url"; raises SettingsError when one stays empty. `as_owner`:
        with the database's owner, where `up` brought the database.
        """
        directory = DataDir(self.data_dir)
        try:
            running = directory.runtime()
        except PermissionError:
            raise SettingsError(f"{self.data_dir} belongs to another user: run as that user.") from None
        resolved = msgspec.structs.replace(
            self,
            database_url=self.database_url or _found_database(running, as_owner),
            kafka_bootstrap_servers=self.kafka_bootstrap_servers
            or (running.kafka_bootstrap_servers if running else ""),
            jwt_secret=self.jwt_secret or Secret(directory.existing_secret("jwt_secret")),
            encryption_key=self.encryption_key or Secret(directory.existing_secret("encryption_key")),
            checkpoint_key=self.checkpoint_key or Secret(directory.existing_secret("checkpoint_key")),
        ).with_message_key()
        if running and not self.database_url:
            resolved = msgspec.structs.replace(
                resolved, host=running.host, port=running.port, public_url=running.public_url
            )
        for name in needs:
            if not getattr(resolved, name):
                raise SettingsError(_remedy(name, self.data_dir))
        return resolved


_EVERYBODYS = ("data_dir", "log_level", "log_format", "crash_at")


def _found_database(running: Runtime | None, as_owner: bool) -> Secret:
    if running is None:
        return Secret("")
    return Secret((as_owner and running.owner_url) or running.database_url)


_MAY_BE_EMPTY = ("outbound_allow",)
_PARSERS: Mapping[str, Callable[[str], object]] = {
    "database_url": parsers.database_url,
    "kafka_bootstrap_servers": parsers.servers,
    "kafka_topic": parsers.topic,
    "kafka_partitions": parsers.integer(1, 10_000),
    "kafka_replication": parsers.integer(1, 100),
    "kafka_retention_hours": parsers.integer(0, 1_000_000),
    "kafka_create_topic": parsers.on_off,
    "kafka_groups": parsers.on_off,
    "kafka_sasl_mechanism": parsers.sasl_mechanism,
    "kafka_tls": parsers.on_off,
    "data_dir": parsers.directory,
    "port": parsers.integer(1, 65_535),
    "public_url": parsers.public_url,
    "jwt_secret": parsers.jwt_secrets,
    "encryption_key": parsers.encryption_keys,
    "message_key": parsers.encryption_keys,
    "outbound_allow": parsers.networks,
    "smtp_host": parsers.host,
    "smtp_port": parsers.integer(1, 65_535),
    "smtp_tls": parsers.one_of("off", "starttls", "tls"),
    "smtp_from": parsers.email,
    "signup": parsers.signup,
    "max_body": parsers.parse_size,
    "max_held": parsers.parse_size,
    "max_file": parsers.parse_size,
    "max_files": parsers.parse_size,
    "files": parsers.archive,
    "user_per_minute": parsers.integer(0, 10_000_000),
    "requests_days": parsers.integer(7, 36_500),
    "checkpoint_key": parsers.encryption_key,
    "checkpoint_minutes": parsers.integer(1, 1_440),
    "checkpoint_url": parsers.public_url,
    "checkpoint_file": parsers.file,
    "archive": parsers.archive,
    "trusted_proxies": parsers.networks,
    "broker_memory_limit": parsers.parse_size,
    "log_level": parsers.one_of("debug", "info", "warning", "error"),
    "log_format": parsers.log_format,
    "crash_at": parsers.crash_point,
}
"""By field; any other field is text as it is."""


def _parsed(name: str, text: str) -> Any:
    try:
        return _PARSERS.get(name, str)(text)
    except ValueError as error:
        # The reason is ours and never holds the value, which may be a secret.
        raise SettingsError(f"{PREFIX}{name.upper()} is not valid: {error}.") from None


def _derived(given: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the settings that are given, for those that are not."""
    host, port = given.get("host", DEFAULT_HOST), given.get("port", DEFAULT_PORT)
    all_local = _is_loopback(host) and not {"database_url", "kafka_bootstrap_servers"} & given.keys()
    return {
        "kafka_tls": "on" if {"kafka_ca_file", "kafka_cert_file"} & given.keys() else "off",
        "data_dir": parsers.directory(DEFAULT_DATA_DIR),
        "public_url": _default_url(host, port),
        "outbound_allow": parsers.networks(LOOPBACK if all_local else ""),
        "log_format": "console" if sys.stderr.isatty() else "json",
    }


def unknown_variables(env: Mapping[str, str] | None = None) -> list[str]:
    """Variables with our prefix that no setting reads; most likely they are misspelt."""
    known = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    return sorted(n for n in (os.environ if env is None else env) if n.startswith(PREFIX) and n not in known)


def _message_key(encryption_key: str) -> Secret:
    """What seals messages follows from the installation's secret, so that it is replaced with it (RFC 2104)."""
    keys = [base64.urlsafe_b64decode(key) for key in encryption_key.split(",") if key]
    derived = [hmac.digest(key, b"triggerhub messages", "sha256") for key in keys]
    return Secret(",".join(base64.urlsafe_b64encode(key).decode() for key in derived))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _default_url(host: str, port: int) -> str:
    # Nobody can open the wildcard address in a browser.
    shown = "localhost" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{shown}:{port}"


def _text(value: object) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def _remedy(name: str, data_dir: Path) -> str:
    variable = PREFIX + name.upper()
    if name == "message_key":
        return f"{variable} is missing: set it as for the API, or {PREFIX}ENCRYPTION_KEY, from which it follows."
    if name in {"jwt_secret", "encryption_key"}:
        return f"{variable} is missing: set it to the output of `openssl rand -base64 32`, the same everywhere."
    return f"Nothing is running with {data_dir}: start `triggerhub up`, or set {variable}."
