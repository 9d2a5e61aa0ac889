"""`triggerhub up`: one child process per role and, where no URL is given, per embedded server.

It starts them in order, restarts what dies, passes their output on, and takes all of them down with it.
Kept light on purpose: nothing of the web or the stream stack is imported here.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import psutil
import structlog

from app.config.data_dir import DataDir, Runtime, port_is_free
from app.config.settings import Secret, Settings
from app.local.child import Child, OnLine, Service, StartError
from app.local.embedded import EmbeddedBroker, EmbeddedPostgres
from app.local.http_probe import answers_ok
from app.local.output import Output
from app.roles.roles import MIGRATION, ROLES
from sql.process.memory import MALLOC
from sql.process.patience import BackOff, rest
from sql.process.readiness import READY_FD

FIRST_PAUSE_S, LONGEST_PAUSE_S, HEALTHY_AFTER_S = 0.2, 5.0, 10.0
GRACE_S, READY_WITHIN_S, MEMORY_CHECK_S = 15.0, 60.0, 2.0

Command = Callable[[str], tuple[str, ...]]
T = TypeVar("T")
log = structlog.get_logger()


def role_command(role: str) -> tuple[str, ...]:
    """The command line of a role. `-P`: a folder `app` in the working directory must not take our place."""
    return (sys.executable, "-P", "-m", "app.cli", role)


RUNNER_READY_WITHIN_S = 6.0
"""The longest that the API waits for the runner; it accepts webhooks without one, too."""


async def up(settings: Settings, *, roles: Sequence[str] = tuple(ROLES), command: Command = role_command) -> None:
    """Run everything until SIGINT or SIGTERM; raises OperatorError when it cannot start.

    `roles` and `command` are for tests: which processes to run, and the command line of each.
    """
    directory = DataDir(settings.data_dir)
    directory.create()
    with directory.held():
        await _Supervisor(settings, directory, command).run(roles)


class _Stopped(Exception):
    """A signal came before everything had started."""


class _Keeper:
    """Keeps one service running: starts it again, with growing pauses, whenever it ends."""

    def __init__(self, make: Callable[[], Service], on_line: OnLine, on_change: Callable[[], None]) -> None:
        self._make = make
        self._on_line = on_line
        self._on_change = on_change
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.name = make().name
        self.child: Child | None = None
        self._renewed: Child | None = None

    async def start(self) -> None:
        await self._launch()
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        self._stopping.set()
        if self.child is not None:
            await self.child.stop(GRACE_S)
        if self._task is not None:
            await self._task

    def renew(self) -> None:
        """End it, to have it started again at once."""
        if self.child is not None:
            self._renewed = self.child
            self.child.signal(signal.SIGKILL)

    def kill(self) -> None:
        self._stopping.set()
        if self.child is not None:
            self.child.signal(self.child.service.kill)

    async def _launch(self) -> None:
        self.child = await Child.start(self._make(), self._on_line)
        self._on_change()

    async def _keep(self) -> None:
        back_off, started = BackOff(FIRST_PAUSE_S, LONGEST_PAUSE_S), time.monotonic()
        while self.child is not None:
            code = await self.child.wait()
            if self._stopping.is_set():
                return
            if self.child is self._renewed:
                self._renewed = None
                await self._launch_again()
                continue
            if time.monotonic() - started > HEALTHY_AFTER_S:
                back_off.heal()
            pause_s = back_off.pause_s()
            log.warning("process ended, starting it again", process=self.name, exit_code=code, pause_s=pause_s)
            if await rest(self._stopping, pause_s):
                return
            started = time.monotonic()
            await self._launch_again()

    async def _launch_again(self) -> None:
        try:
            await self._launch()
        except OSError as error:  # out of processes or memory: the ended child stays, and the next round tries again
            log.warning("process cannot be started", process=self.name, error=str(error))
        if self._stopping.is_set() and self.child is not None:
            await self.child.stop(GRACE_S)  # a signal came while it started


class _Supervisor:
    def __init__(self, settings: Settings, directory: DataDir, command: Command) -> None:
        self._settings = settings
        self._owner = settings
        """The settings with the database's owner."""
        self._directory = directory
        self._command = command
        self._output = Output(sys.stdout, prefix=settings.log_format == "console")
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._ready_fd = -1
        self._servers: list[_Keeper] = []
        self._roles: list[_Keeper] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, roles: Sequence[str]) -> None:
        _check_port(self._settings)
        self._directory.remove("runtime.json")  # of one that was killed
        with self._signals(), self._told_ready():
            try:
                await self._start_servers(self._with_secrets(self._settings))
                await self._or_stopped(self._migrate())
                # The API comes last: once it answers, a webhook finds a runner that is at work already.
                for role in sorted(roles, key="api".__eq__):
                    if role == "api" and "runner" in roles:
                        await self._or_stopped(self._runner_ready())
                    await self._start(self._roles, partial(self._role, role))
                self._tasks.append(asyncio.create_task(self._announce()))
                await self._stop.wait()
            except _Stopped:
                pass
            finally:
                await self._take_down()

    def _with_secrets(self, settings: Settings) -> Settings:
        """Generate secrets for the embedded database only: those of another database must outlive this directory."""
        if settings.database_url:
            return settings.resolve("jwt_secret", "encryption_key")
        return msgspec.structs.replace(
            settings,
            jwt_secret=settings.jwt_secret or Secret(self._directory.secret("jwt_secret")),
            encryption_key=settings.encryption_key or Secret(self._directory.secret("encryption_key")),
            checkpoint_key=settings.checkpoint_key or Secret(self._directory.secret("checkpoint_key")),
        ).with_message_key()

    async def _start_servers(self, settings: Settings) -> None:
        """Start the servers that have no URL, and keep the settings that lead to them."""
        self._owner = settings
        if not settings.database_url:
            postgres = EmbeddedPostgres(self._directory)
            postgres.prepare()
            await self._start(self._servers, postgres.service)
            self._owner = msgspec.structs.replace(
                settings, database_url=postgres.owner_url, app_password=postgres.app_password
            )
            settings = msgspec.structs.replace(settings, database_url=postgres.app_url)
        if not settings.kafka_bootstrap_servers:
            broker = EmbeddedBroker(self._directory)
            await self._start(self._servers, broker.service)
            self._tasks.append(asyncio.create_task(self._bound_memory(self._servers[-1])))
            settings = msgspec.structs.replace(
                settings, kafka_bootstrap_servers=broker.bootstrap_servers, kafka_groups="off"
            )
        for server in self._servers:
            if server.child is not None:
                await self._or_stopped(server.child.wait_ready(READY_WITHIN_S))
        self._directory.write_json(
            "runtime.json",
            Runtime(
                database_url=str(settings.database_url),
                kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
                host=settings.host,
                port=settings.port,
                public_url=settings.public_url,
                kafka_groups=settings.kafka_groups,
                owner_url="" if self._owner.database_url == settings.database_url else str(self._owner.database_url),
            ),
        )
        self._settings = settings

    async def _runner_ready(self) -> None:
        """Wait until the runner says that it has its partitions; joining a consumer group takes seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RUNNER_READY_WITHIN_S):
                await self._ready.wait()

    @contextlib.contextmanager
    def _told_ready(self) -> Iterator[None]:
        """The pipe on which the runner says that it is at work."""
        reader, self._ready_fd = os.pipe()

        def heard() -> None:
            os.read(reader, 64)
            self._ready.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(reader, heard)
        try:
            yield
        finally:
            loop.remove_reader(reader)
            os.close(reader)
            os.close(self._ready_fd)

    async def _migrate(self) -> None:
        child = await Child.start(self._service("migrate", self._owner.only(*MIGRATION)), self._output.line)
        try:
            code = await child.wait()
        finally:
            await child.stop(GRACE_S)
        if code != 0:
            raise StartError(f"The database could not be migrated (exit code {code}); the reason is above.")

    def _role(self, role: str) -> Service:
        names = ROLES[role].settings if role in ROLES else ()  # tests have others
        service = self._service(role, self._settings.only(*names))
        if role != "runner":
            return service
        env = {**(service.env or {}), READY_FD: str(self._ready_fd)}
        return msgspec.structs.replace(service, env=env, files=(self._ready_fd,))

    def _service(self, name: str, settings: Settings) -> Service:
        return Service(name=name, argv=self._command(name), env={**MALLOC, **settings.child_env()})

    async def _start(self, keepers: list[_Keeper], make: Callable[[], Service]) -> None:
        keeper = _Keeper(make, self._output.line, self._write_pids)
        keepers.append(keeper)
        await keeper.start()

    def _write_pids(self) -> None:
        running = {k.name: k.child.pid for k in [*self._servers, *self._roles] if k.child and k.child.alive}
        self._directory.write_json("pids.json", {"supervisor": os.getpid(), **running})

    async def _announce(self) -> None:
        """Say where everything is, once the API is ready."""
        while not await answers_ok(self._settings.host, self._settings.port, "/readyz"):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.1)
        url = self._settings.public_url
        self._output.banner(
            f"TriggerHub is up: open {url}",
            f"API      {url}/api/v1",
            f"docs     {url}/docs",
            f"health   {url}/healthz",
            f"data     {self._directory.path}",
            "Ctrl-C stops it.",
        )

    async def _bound_memory(self, broker: _Keeper) -> None:
        """The broker keeps every record in memory: restart it when it is too large. The relay publishes again."""
        while True:
            await asyncio.sleep(MEMORY_CHECK_S)
            with contextlib.suppress(psutil.Error):
                if broker.child is None or not broker.child.alive:
                    continue
                used = psutil.Process(broker.child.pid).memory_info().rss
                if used > self._settings.broker_memory_limit:
                    log.info("broker recycled", used_bytes=used, limit_bytes=self._settings.broker_memory_limit)
                    broker.renew()

    async def _take_down(self) -> None:
        """Roles first, all at once; then the servers they use."""
        self._stop.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for keepers in (self._roles, self._servers):
            await asyncio.gather(*(keeper.stop() for keeper in keepers))
        for name in ("runtime.json", "pids.json"):
            self._directory.remove(name)

    async def _or_stopped(self, work: Coroutine[object, object, T]) -> T:
        """The result of `work`, unless a signal comes first."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            for pending in (task, stop):
                pending.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first signal stops everything in order, the second at once."""

        def handle() -> None:
            if not self._stop.is_set():
                self._stop.set()
                log.info("stopping; once more to stop at once")
                return
            for keeper in [*self._roles, *self._servers]:
                keeper.kill()

        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, handle)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _check_port(settings: Settings) -> None:
    if not port_is_free(settings.host, settings.port):
        raise StartError(
            f"Port {settings.port} on {settings.host} is taken or not ours to use: stop what uses it, "
            "or set TRIGGERHUB_PORT."
        )
