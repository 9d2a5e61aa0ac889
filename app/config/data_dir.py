"""The directory of one installation: its lock, its secrets, its ports, and where its servers listen.

Every file is written whole or not at all, so that a crash never leaves half a file behind.
"""

import base64
import contextlib
import fcntl
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from app.config.errors import OperatorError

# Below Linux's ephemeral range: an outgoing connection can never sit on the port of a server that restarts.
PORTS = range(20_000, 32_000)


class Busy(OperatorError):
    """Another `triggerhub up` holds this data directory."""


class Unusable(OperatorError):
    """The data directory can not be made or written."""

    exit_code = 2

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        super().__init__(f"{path} can not be used ({reason}): set TRIGGERHUB_DATA_DIR to a folder that you may write.")


class Runtime(msgspec.Struct, frozen=True):
    """Where a running `up` listens, for commands started beside it. Holds passwords of the database.

    `owner_url` is for `migrate`, and empty where the database is not ours. `kafka_groups` off: its broker serves one
    runner and one projector, which run.
    """

    database_url: str
    kafka_bootstrap_servers: str
    host: str
    port: int
    public_url: str
    kafka_groups: str = "on"
    owner_url: str = ""


class DataDir:
    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def create(self) -> None:
        """Make the directory; only its owner may list it. Under root PostgreSQL's user may pass through.

        Raises Unusable.
        """
        try:
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(self.path, error) from None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory alone for as long as the block runs; raises Busy and Unusable.

        The kernel drops the lock with the process, however it dies. Children do not inherit it.
        """
        try:
            handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unusable(self.path, error) from None
        try:
            # `in_use` holds the lock for an instant only; after a few tries it is somebody else.
            for _ in range(10):
                if _locked(handle, fcntl.LOCK_EX):
                    break
                time.sleep(0.03)
            else:
                raise Busy(f"Another `triggerhub up` runs with {self.path}: stop it, or set TRIGGERHUB_DATA_DIR.")
            yield
        finally:
            os.close(handle)

    def in_use(self) -> bool:
        """Whether a `triggerhub up` holds the directory now. Raises PermissionError."""
        try:
            handle = os.open(self._lock_path, os.O_RDONLY)
        except PermissionError:
            raise
        except OSError:
            return False
        try:
            return not _locked(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    def runtime(self) -> Runtime | None:
        """Where the running `up` listens; None when none runs here. Raises PermissionError."""
        try:
            content = (self.path / "runtime.json").read_bytes()
        except PermissionError:
            raise
        except OSError:  # there is none, or there can be none
            return None
        return msgspec.json.decode(content, type=Runtime) if self.in_use() else None

    def secret(self, name: str) -> str:
        """The secret kept under this name: 32 random bytes in base64, made on first use."""
        path = self.path / name
        if not path.exists():
            self.write(name, base64.urlsafe_b64encode(secrets.token_bytes(32)))
        return path.read_text().strip()

    def existing_secret(self, name: str) -> str:
        """The secret kept under this name, empty when there is none or it is not ours to read."""
        try:
            return (self.path / name).read_text().strip()
        except OSError:
            return ""

    def port(self, name: str) -> int:
        """The loopback port remembered under this name while it is free, else a new one."""
        ports = self._ports()
        if name not in ports or not port_is_free("127.0.0.1", ports[name]):
            taken = set(ports.values())
            ports[name] = next(port for port in free_ports() if port not in taken)
            self.write_json("ports.json", ports)
        return ports[name]

    def write_json(self, name: str, content: Mapping[str, object] | msgspec.Struct) -> None:
        self.write(name, msgspec.json.format(msgspec.json.encode(content)) + b"\n")

    def write(self, name: str, content: bytes) -> None:
        """Replace a file in one step; only the owner may read it."""
        target, new = self.path / name, self.path / f".{name}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    @property
    def _lock_path(self) -> Path:
        return self.path / "lock"

    def _ports(self) -> dict[str, int]:
        try:
            return msgspec.json.decode((self.path / "ports.json").read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}


def _locked(handle: int, mode: int) -> bool:
    """Try to take the lock without waiting. Returns whether it succeeded."""
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports() -> Iterator[int]:
    """Ports on loopback where a server can start, some seconds from now too.

    The system's own chance: where tests seed `random`, several processes would take the same port.
    """
    return (port for port in random.SystemRandom().sample(PORTS, 200) if port_is_free("127.0.0.1", port))
