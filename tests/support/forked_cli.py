"""The command line in processes that are forked where it is loaded: a start is most of what a short command takes."""

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

from app.cli import demo, doctor, operator  # noqa: F401 - loaded once, not in each child
from app.cli.commands import main
from app.roles import startup  # noqa: F401

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def forked(arguments: tuple[str, ...], env: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """What `triggerhub` with these arguments does, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        child = _context.Process(target=_run, args=(arguments, env, out, err))
        child.start()
        child.join(timeout_s)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(arguments, timeout_s)
        return subprocess.CompletedProcess(arguments, child.exitcode, out.read_text(), err.read_text())


def _run(arguments: tuple[str, ...], env: dict[str, str], out: Path, err: Path) -> None:
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(env)
    main(arguments, prog_name="triggerhub")
