"""All settings, read once from the environment; no other file looks there.

Every variable is the field's name in capitals behind `TRIGGERHUB_`; `.env.example` explains each.
An empty variable counts as absent, except OUTBOUND_ALLOW, where empty means "nothing".
"""

import base64
import hmac
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from app.config.data_dir import DataDir, Runtime
from app.config.errors import OperatorError
from domain.values.email import is_email
from domain.values.redaction import REDACTED
from sql.process import crash_points

PREFIX = "TRIGGERHUB_"
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOOPBACK = "127.0.0.0/8,::1/128"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LogFormat = Literal["console", "json"]
OnOff = Literal["on", "off"]
WhoMaySignUp = Literal["on", "first", "off"]
SmtpTls = Literal["off", "starttls", "tls"]
T = TypeVar("T")


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
    data_dir: Path = Path(".triggerhub")
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = "http://127.0.0.1:8000"
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
    user_per_minute: int = 0
    trusted_proxies: tuple[Network, ...] = ()
    broker_memory_limit: int = 96 * 2**20
    log_level: str = "info"
    log_format: LogFormat = "json"
    crash_at: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read and check every variable; raises SettingsError."""
        read = _Reader(env)
        host = read("HOST", "127.0.0.1", str)
        port = read("PORT", "8000", _integer(1, 65_535))
        database_url = Secret(read("DATABASE_URL", "", _database_url))
        bootstrap = read("KAFKA_BOOTSTRAP_SERVERS", "", _servers)
        local = _is_loopback(host) and not database_url and not bootstrap
        return cls(
            database_url=database_url,
            app_password=Secret(read("APP_PASSWORD", "", str)),
            kafka_bootstrap_servers=bootstrap,
            kafka_topic=read("KAFKA_TOPIC", "zap-events", _topic),
            kafka_partitions=read("KAFKA_PARTITIONS", "12", _integer(1, 10_000)),
            **_kafka_cluster(read),
            data_dir=read("DATA_DIR", ".triggerhub", lambda text: Path(text).expanduser().absolute()),
            host=host,
            port=port,
            public_url=read("PUBLIC_URL", _default_url(host, port), _public_url),
            jwt_secret=Secret(read("JWT_SECRET", "", _jwt_secrets)),
            encryption_key=Secret(read("ENCRYPTION_KEY", "", _encryption_keys)),
            message_key=Secret(read("MESSAGE_KEY", "", _encryption_keys)),
            outbound_allow=read("OUTBOUND_ALLOW", LOOPBACK if local else "", _networks, may_be_empty=True),
            **_smtp(read),
            signup=read("SIGNUP", "on", _signup),
            max_body=read("MAX_BODY", "10MB", parse_size),
            user_per_minute=read("USER_PER_MINUTE", "0", _integer(0, 10_000_000)),
            trusted_proxies=read("TRUSTED_PROXIES", "", _networks),
            broker_memory_limit=read("BROKER_MEMORY_LIMIT", "96MB", parse_size),
            log_level=read("LOG_LEVEL", "info", _one_of("debug", "info", "warning", "error")),
            log_format=read("LOG_FORMAT", "console" if sys.stderr.isatty() else "json", _log_format),
            crash_at=read("CRASH_AT", "", _crash_point),
        )

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


def _kafka_cluster(read: "_Reader") -> dict[str, Any]:
    """Settings for an external Kafka."""
    mechanism = read("KAFKA_SASL_MECHANISM", "", lambda text: text and _one_of(*SASL_MECHANISMS)(text).upper())
    username, password = read("KAFKA_USERNAME", "", str), read("KAFKA_PASSWORD", "", str)
    if bool(mechanism) != bool(username and password):
        raise SettingsError(
            f"{PREFIX}KAFKA_SASL_MECHANISM, {PREFIX}KAFKA_USERNAME and {PREFIX}KAFKA_PASSWORD go together: "
            "set all three or none."
        )
    ca, cert, key = (read(f"KAFKA_{name}_FILE", "", str) for name in ("CA", "CERT", "KEY"))
    tls = read("KAFKA_TLS", "on" if ca or cert else "off", _on_off)
    if tls == "off" and (ca or cert):
        raise SettingsError(f"{PREFIX}KAFKA_TLS is off, but certificates are set: set it to on, or leave them out.")
    return {
        "kafka_replication": read("KAFKA_REPLICATION", "1", _integer(1, 100)),
        "kafka_retention_hours": read("KAFKA_RETENTION_HOURS", "0", _integer(0, 1_000_000)),
        "kafka_create_topic": read("KAFKA_CREATE_TOPIC", "on", _on_off),
        "kafka_groups": read("KAFKA_GROUPS", "on", _on_off),
        "kafka_sasl_mechanism": mechanism,
        "kafka_username": username,
        "kafka_password": Secret(password),
        "kafka_tls": tls,
        "kafka_ca_file": ca,
        "kafka_cert_file": cert,
        "kafka_key_file": key,
    }


def _smtp(read: "_Reader") -> dict[str, Any]:
    """The mail server for alerts."""
    host, sender = read("SMTP_HOST", "", _host), read("SMTP_FROM", "", _email)
    if host and not sender:
        raise SettingsError(f"{PREFIX}SMTP_FROM is missing: set it to the address that mails come from.")
    username, password = read("SMTP_USERNAME", "", str), read("SMTP_PASSWORD", "", str)
    if bool(username) != bool(password):
        raise SettingsError(f"{PREFIX}SMTP_USERNAME and {PREFIX}SMTP_PASSWORD go together: set both or none.")
    return {
        "smtp_host": host,
        "smtp_port": read("SMTP_PORT", "587", _integer(1, 65_535)),
        "smtp_username": username,
        "smtp_password": Secret(password),
        "smtp_tls": read("SMTP_TLS", "starttls", _one_of("off", "starttls", "tls")),
        "smtp_from": sender,
    }


def unknown_variables(env: Mapping[str, str] | None = None) -> list[str]:
    """Variables with our prefix that no setting reads; most likely they are misspelt."""
    known = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    return sorted(n for n in (os.environ if env is None else env) if n.startswith(PREFIX) and n not in known)


def parse_size(text: str) -> int:
    """Bytes from "10MB", "512 KB", "1GB" or plain digits; the units are powers of 1024."""
    found = re.fullmatch(r"([0-9]{1,12})\s*(|B|KB|MB|GB)", text.strip(), re.IGNORECASE)
    if not found or int(found[1]) == 0:
        raise ValueError("give a size such as 10MB, 512KB or a number of bytes")
    return int(found[1]) * {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}[found[2].upper()]


class _Reader:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __call__(self, name: str, default: str, parse: Callable[[str], T], *, may_be_empty: bool = False) -> T:
        text = self._env.get(PREFIX + name)
        if text is None or (not text.strip() and not may_be_empty):
            text = default
        try:
            return parse(text.strip())
        except ValueError as error:
            # The reason is ours and never holds the value, which may be a secret.
            raise SettingsError(f"{PREFIX}{name} is not valid: {error}.") from None


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"give a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in {choice.lower() for choice in choices}:
            raise ValueError(f"give one of {', '.join(choices)}")
        return text.lower()

    return parse


def _on_off(text: str) -> OnOff:
    words: dict[str, OnOff] = {"on": "on", "true": "on", "1": "on", "off": "off", "false": "off", "0": "off"}
    if text.lower() not in words:
        raise ValueError("give on or off")
    return words[text.lower()]


def _signup(text: str) -> WhoMaySignUp:
    words: dict[str, WhoMaySignUp] = {"on": "on", "first": "first", "off": "off"}
    if text.lower() not in words:
        raise ValueError("give on, first (only the first person may) or off")
    return words[text.lower()]


def _log_format(text: str) -> LogFormat:
    return "json" if _one_of("console", "json")(text) == "json" else "console"


def _crash_point(text: str) -> str:
    if text:
        crash_points.parse(text)
    return text


def _database_url(text: str) -> str:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("give a URL such as postgresql://user:password@host:5432/database")
    return text


def _servers(text: str) -> str:
    servers = [server.strip() for server in text.split(",") if server.strip()]
    if not all(re.fullmatch(r"\S+:\d{1,5}", server) and "://" not in server for server in servers):
        raise ValueError("give host:port, several separated by commas")
    return ",".join(servers)


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,253}|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,}", text):
        raise ValueError("give the name or address of a server, without a port")
    return text


def _email(text: str) -> str:
    if text and not is_email(text):
        raise ValueError("give an e-mail address")
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("a topic name has letters, digits, dots, dashes and underscores only")
    return text


def _public_url(text: str) -> str:
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ValueError("give the address users see, such as https://hooks.example.com")
    return text.rstrip("/")


def _jwt_secrets(text: str) -> str:
    """One secret or several with commas between them: the first signs, each is believed."""
    secrets = [secret.strip() for secret in text.split(",")] if text else []
    if any(len(secret.encode()) < 32 for secret in secrets):
        raise ValueError(
            "it needs at least 32 bytes, and a comma begins another one; `openssl rand -base64 32` makes one"
        )
    return ",".join(secrets)


def _encryption_keys(text: str) -> str:
    """One key or several with commas between them: the first encrypts, each decrypts."""
    return ",".join(_encryption_key(key.strip()) for key in text.split(",")) if text else text


def _message_key(encryption_key: str) -> Secret:
    """What seals messages follows from the installation's secret, so that it is replaced with it (RFC 2104)."""
    keys = [base64.urlsafe_b64decode(key) for key in encryption_key.split(",") if key]
    derived = [hmac.digest(key, b"triggerhub messages", "sha256") for key in keys]
    return Secret(",".join(base64.urlsafe_b64encode(key).decode() for key in derived))


def _encryption_key(text: str) -> str:
    """Accepts both base64 alphabets, gives the URL-safe one with padding."""
    try:
        digits = text.rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("it must be 32 bytes in base64; `openssl rand -base64 32` makes one")
    return base64.urlsafe_b64encode(key).decode()


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("give networks such as 10.1.0.0/16,::1/128, separated by commas") from None


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
