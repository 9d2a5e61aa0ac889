"""The command line in processes that are forked where it is loaded: a start is most of what a short command takes."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import cast

from app.cli.commands import main
from app.local.child import Child, OnLine, Service

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.loaded_roles"])
_PR_SET_PDEATHSIG = 1
COMMAND = (sys.executable, "-m", "app.cli")
"""What the arguments of a service begin with that is started here."""


def forked(arguments: tuple[str, ...], env: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """What `triggerhub` with these arguments does, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        child = _context.Process(target=_run_once, args=(arguments, env, out, err))
        child.start()
        child.join(timeout_s)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(arguments, timeout_s)
        return subprocess.CompletedProcess(arguments, child.exitcode, out.read_text(), err.read_text())


async def started(service: Service, on_line: OnLine) -> Child:
    """A service whose program is COMMAND, as Child starts it."""
    assert service.argv[: len(COMMAND)] == COMMAND
    read, write = _context.Pipe(duplex=False)
    given = (service.argv[len(COMMAND) :], dict(service.env or {}), service.cwd, write)
    process = _context.Process(target=_serve, args=given, daemon=True)
    process.start()
    write.close()
    watched = cast(asyncio.subprocess.Process, _Process(process))
    return Child(service, watched, asyncio.create_task(_pump(service.name, read, on_line)))


async def command(arguments: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    """A command's exit code, and all that it wrote."""
    lines: list[str] = []
    service = Service(name="command", argv=(*COMMAND, *arguments), env=env, cwd=cwd)
    child = await started(service, lambda _name, line: lines.append(line))
    try:
        return await child.wait(), "\n".join(lines)
    finally:
        child.signal(signal.SIGKILL)


class _Process:
    """What Child asks of a process."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode if self._ended.done() else None

    async def wait(self) -> int:
        code: int = await asyncio.shield(self._ended)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._ended.set_result(self._process.exitcode)


async def _pump(name: str, pipe: Connection, on_line: OnLine) -> None:
    lines = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    with os.fdopen(os.dup(pipe.fileno()), "rb", 0) as file:
        pipe.close()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), file)
        async for line in lines:
            on_line(name, line.decode(errors="replace").rstrip("\n"))
        transport.close()


def _run_once(arguments: tuple[str, ...], env: dict[str, str], out: Path, err: Path) -> None:
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    _run(arguments, env)


def _serve(arguments: tuple[str, ...], env: dict[str, str], cwd: Path, output: Connection) -> None:
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # whoever forks ends with the tests
    os.chdir(cwd)
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    _run(arguments, env)


def _run(arguments: tuple[str, ...], env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    main(arguments, prog_name="triggerhub")
