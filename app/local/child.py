"""One child process: how it is started, watched and stopped.

The supervisor and the tests start PostgreSQL, the broker and the roles through this.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from app.config.errors import OperatorError

POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

OnLine = Callable[[str, str], None]
"""Takes (name of the process, one line of its output)."""


class StartError(OperatorError):
    """A process did not come up; the message says which, why and what to do."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A program that stays in the foreground.

    `uid` and `gid`: run as that user (we must be root). `log_file`: its output goes there, otherwise line by
    line to the caller. Signals: `stop` asks it to end, `kill` ends it at once, `orphan` is what the kernel
    sends it when we are killed ourselves. `ready` tells whether it serves yet. `files`: open files that it inherits.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    uid: int | None = None
    gid: int | None = None
    log_file: Path | None = None
    stop: int = signal.SIGTERM
    kill: int = signal.SIGKILL
    orphan: int = signal.SIGTERM
    ready: Callable[[], Awaitable[bool]] | None = None
    files: tuple[int, ...] = ()


class Child:
    """A running Service. Make it with `Child.start`."""

    def __init__(self, service: Service, process: asyncio.subprocess.Process, output: asyncio.Task[None]) -> None:
        self.service = service
        self._process = process
        self._output = output

    @classmethod
    async def start(cls, service: Service, on_line: OnLine) -> Self:
        """Start the program in a session of its own, so that Ctrl-C in the terminal reaches only us."""
        # Named only where it is needed, as uvloop knows nothing of users.
        user: dict[str, Any] = (
            {} if service.uid is None else {"user": service.uid, "group": service.gid, "extra_groups": []}
        )
        with contextlib.ExitStack() as stack:
            target = asyncio.subprocess.PIPE
            if service.log_file is not None:
                target = stack.enter_context(_private(service.log_file)).fileno()
            process = await asyncio.create_subprocess_exec(
                *service.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=target,
                stderr=asyncio.subprocess.STDOUT,
                env=service.env,
                cwd=service.cwd,
                **user,
                start_new_session=True,
                pass_fds=service.files,
                preexec_fn=_die_with_parent(service.orphan),
            )
        return cls(service, process, asyncio.create_task(_pump(service.name, process.stdout, on_line)))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end and its last line. Gives the exit code, negative for a signal."""
        code = await self._process.wait()
        # A grandchild may hold the pipe open for ever: its lines are not worth waiting for.
        await asyncio.wait({self._output}, timeout=1)
        return code

    async def stop(self, grace_s: float) -> int:
        """Ask it to end; kill it if it has not ended after `grace_s` seconds."""
        self.signal(self.service.stop)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self.signal(self.service.kill)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    def signal(self, number: int) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait_ready(self, within_s: float) -> None:
        """Wait until the service is ready. Raises StartError when it dies or takes too long."""
        deadline = time.monotonic() + within_s
        while self.service.ready is not None:
            if not self.alive:
                raise StartError(f"{self.service.name} ended with code {await self.wait()}{self._last_words()}")
            if await self.service.ready():
                return
            if time.monotonic() > deadline:
                raise StartError(f"{self.service.name} was not ready in {within_s:.0f} s{self._last_words()}")
            await asyncio.sleep(POLL_S)

    def _last_words(self) -> str:
        """The end of its log file, where there is one."""
        if self.service.log_file is None:
            return "."
        lines = self.service.log_file.read_text(errors="replace").splitlines()[-3:]
        return f"; {self.service.log_file} ends with:\n  " + "\n  ".join(lines)


@contextlib.asynccontextmanager
async def running(
    service: Service, *, on_line: OnLine | None = None, ready_within_s: float = 60, grace_s: float = 15
) -> AsyncIterator[Child]:
    """The service, ready, for as long as the block runs."""
    child = await Child.start(service, on_line or (lambda _name, _line: None))
    try:
        await child.wait_ready(ready_within_s)
        yield child
    finally:
        await child.stop(grace_s)


async def port_answers(host: str, port: int) -> bool:
    """Whether a server accepts TCP connections there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _private(path: Path) -> BinaryIO:
    """A file to append to, which only its owner may read: an error tells of the data that it came with."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "ab")


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """What the child runs before its program: have the kernel signal it when we die (Linux only)."""
    if _libc is None:
        return None
    prctl, parent = _libc.prctl, os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # we died between fork and prctl
            os._exit(1)

    return arrange


async def _pump(name: str, stream: asyncio.StreamReader | None, on_line: OnLine) -> None:
    """Hand on the output line by line, however long a line is."""
    rest = b""
    while stream is not None and (chunk := await stream.read(65_536)):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_line(name, line.decode(errors="replace"))
    if rest:
        on_line(name, rest.decode(errors="replace"))
