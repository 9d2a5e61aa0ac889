"""Another commit of this project beside this one, with an environment of its own."""

import asyncio
import io
import os
import subprocess
import tarfile
from pathlib import Path

import msgspec

from tests.benchmarks.instance import ROOT

_FOLDER = ROOT / ".bench"


class Checkout(msgspec.Struct, frozen=True):
    """The files of one commit, or those that are here."""

    name: str
    path: Path

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.path / ".venv" / "bin" / "python"

    async def bench(self, name: str, *, quick: bool) -> str:
        """What its own `python -m tests.benchmarks NAME` prints: markdown."""
        process = await asyncio.create_subprocess_exec(
            *(str(self.python), "-m", "tests.benchmarks", name, *(("--quick",) if quick else ())),
            cwd=self.path,
            env=_environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, f"the benchmark {name} failed at {self.name}"
        return printed.decode()


def here() -> Checkout:
    """The files as they are now, committed or not."""
    return Checkout("this", ROOT)


def of_commit(base: str) -> Checkout:
    """Lay out a commit in an ignored folder and install it; at once where that was done before."""
    commit = _git("rev-parse", "--verify", f"{base}^{{commit}}").decode().strip()
    path = _FOLDER / commit[:12]
    if not (path / ".venv" / ".dev").exists():
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as files:
            files.extractall(path, filter="data")
        subprocess.run(("make", "-s", ".venv/.dev"), cwd=path, env=_environment(), check=True)
    return Checkout(commit[:7], path)


def _git(*arguments: str) -> bytes:
    return subprocess.run(("git", *arguments), cwd=ROOT, check=True, capture_output=True).stdout


def _environment() -> dict[str, str]:
    """Ours without what leads to our own environment and to the make that may have started us."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    return {name: value for name, value in os.environ.items() if name not in ours}
