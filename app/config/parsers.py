"""What a setting's text may be, and the value that it stands for. The reasons of refusals never hold the text."""

import base64
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from domain.values.email import is_email
from sql.process import crash_points

SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
LogFormat = Literal["console", "json"]
OnOff = Literal["on", "off"]
WhoMaySignUp = Literal["on", "first", "off"]
SmtpTls = Literal["off", "starttls", "tls"]


def parse_size(text: str) -> int:
    """Bytes from "10MB", "512 KB", "1GB" or plain digits; the units are powers of 1024."""
    found = re.fullmatch(r"([0-9]{1,12})\s*(|B|KB|MB|GB)", text.strip(), re.IGNORECASE)
    if not found or int(found[1]) == 0:
        raise ValueError("give a size such as 10MB, 512KB or a number of bytes")
    return int(found[1]) * {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}[found[2].upper()]


def integer(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number within these bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"give a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Reads one of these words, in small letters."""

    def parse(text: str) -> str:
        if text.lower() not in {choice.lower() for choice in choices}:
            raise ValueError(f"give one of {', '.join(choices)}")
        return text.lower()

    return parse


def on_off(text: str) -> OnOff:
    """on or off, which true, false, 1 and 0 mean, too."""
    words: dict[str, OnOff] = {"on": "on", "true": "on", "1": "on", "off": "off", "false": "off", "0": "off"}
    if text.lower() not in words:
        raise ValueError("give on or off")
    return words[text.lower()]


def signup(text: str) -> WhoMaySignUp:
    """Who may sign up."""
    words: dict[str, WhoMaySignUp] = {"on": "on", "first": "first", "off": "off"}
    if text.lower() not in words:
        raise ValueError("give on, first (only the first person may) or off")
    return words[text.lower()]


def log_format(text: str) -> LogFormat:
    """The format of log lines."""
    return "json" if one_of("console", "json")(text) == "json" else "console"


def crash_point(text: str) -> str:
    """A named crash point, for tests; see sql.process.crash_points."""
    if text:
        crash_points.parse(text)
    return text


def database_url(text: str) -> str:
    """A URL of a PostgreSQL database."""
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("give a URL such as postgresql://user:password@host:5432/database")
    return text


def servers(text: str) -> str:
    """Where to bootstrap: host:port, several separated by commas."""
    servers = [server.strip() for server in text.split(",") if server.strip()]
    if not all(re.fullmatch(r"\S+:\d{1,5}", server) and "://" not in server for server in servers):
        raise ValueError("give host:port, several separated by commas")
    return ",".join(servers)


def host(text: str) -> str:
    """The name or address of a server."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,253}|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,}", text):
        raise ValueError("give the name or address of a server, without a port")
    return text


def email(text: str) -> str:
    """An e-mail address."""
    if text and not is_email(text):
        raise ValueError("give an e-mail address")
    return text


def topic(text: str) -> str:
    """A topic's name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("a topic name has letters, digits, dots, dashes and underscores only")
    return text


def public_url(text: str) -> str:
    """Where users reach this installation, without a slash at the end."""
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ValueError("give the address users see, such as https://hooks.example.com")
    return text.rstrip("/")


def jwt_secrets(text: str) -> str:
    """One secret or several with commas between them: the first signs, each is believed."""
    secrets = [secret.strip() for secret in text.split(",")] if text else []
    if any(len(secret.encode()) < 32 for secret in secrets):
        raise ValueError(
            "it needs at least 32 bytes, and a comma begins another one; `openssl rand -base64 32` makes one"
        )
    return ",".join(secrets)


def encryption_key(text: str) -> str:
    """One key, of 32 bytes."""
    return _encryption_key(text) if text else text


def encryption_keys(text: str) -> str:
    """One key or several with commas between them: the first encrypts, each decrypts."""
    return ",".join(_encryption_key(key.strip()) for key in text.split(",")) if text else text


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


def networks(text: str) -> tuple[Network, ...]:
    """Networks, separated by commas."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("give networks such as 10.1.0.0/16,::1/128, separated by commas") from None


def directory(text: str) -> Path:
    """A folder, as an absolute path."""
    return Path(text).expanduser().absolute()


def file(text: str) -> str:
    """A file, as an absolute path."""
    return str(directory(text)) if text else text


def archive(text: str) -> str:
    """A directory, as an absolute path, or a place in an S3-compatible store."""
    if "://" not in text:
        return file(text)
    if not re.fullmatch(r"s3://[^/\s]+(/\S*)?", text):
        raise ValueError("must be a directory or s3://BUCKET/PREFIX")
    return text


def sasl_mechanism(text: str) -> str:
    """How to log in to the broker."""
    return one_of(*SASL_MECHANISMS)(text).upper()
