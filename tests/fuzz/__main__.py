"""The fuzz targets, one after the other, for as long as is asked: guided by coverage where atheris is installed.

`make fuzz-parsers MINUTES=10` installs it where there is one for this Python. Without it, Hypothesis makes the inputs.
An input that fails is written to `.fuzz/`, its traceback to the console; the exit code counts the targets that failed.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from tests.support.fuzz_targets import TARGETS, TOKENS

FOUND = Path(".fuzz")
LONGEST_S = 5
"""An input that takes longer is a finding."""


def main() -> int:
    """Each target in a process of its own."""
    arguments = argparse.ArgumentParser(prog="make fuzz-parsers")
    arguments.add_argument("--minutes", type=float, default=5)
    arguments.add_argument("--target", choices=TARGETS)
    asked = arguments.parse_args()
    names = [asked.target] if asked.target else list(TARGETS)
    FOUND.mkdir(exist_ok=True)
    (FOUND / "tokens").write_text("".join(_quoted(token) for token in TOKENS if token))
    guided = importlib.util.find_spec("atheris") is not None
    seconds = max(1, int(asked.minutes * 60 / len(names)))
    failed = [name for name in names if _tried(name, seconds, guided=guided)]
    print(f"{len(names)} targets, {seconds} s each, with {'atheris' if guided else 'Hypothesis'}: "  # noqa: T201
          f"{', '.join(failed) or 'none'} failed")  # fmt: skip
    return len(failed)


def _tried(name: str, seconds: int, *, guided: bool) -> bool:
    """Whether a target failed."""
    print(f"-- {name}", flush=True)  # noqa: T201
    module = "tests.fuzz.guided" if guided else "tests.fuzz.generated"
    limits = [f"-max_total_time={seconds}", f"-timeout={LONGEST_S}", "-rss_limit_mb=1500", "-max_len=8000",
              f"-dict={FOUND / 'tokens'}", f"-artifact_prefix={FOUND / name}-", "-print_final_stats=1", "-verbosity=0",
              "-close_fd_mask=0"]  # fmt: skip
    command = [sys.executable, "-m", module, name, *(limits if guided else [str(seconds)])]
    began = time.monotonic()
    done = subprocess.run(command, check=False)
    print(f"   {name}: exit code {done.returncode} after {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    return done.returncode != 0


def _quoted(token: bytes) -> str:
    """As libFuzzer's dictionaries have it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n'


if __name__ == "__main__":
    sys.exit(main())
