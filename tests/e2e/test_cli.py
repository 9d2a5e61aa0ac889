"""The command line as an operator meets it: quick help, one clear line per error, never a stack trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.local.supervisor import ROLES

COMMANDS = (*ROLES, "up", "migrate", "rebuild", "verify", "demo", "doctor")


def triggerhub(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    shown = triggerhub("--help").stdout
    assert all(f"  {command} " in shown for command in COMMANDS)
    code = "import sys, app.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"litestar", "faststream", "asyncpg", "aiohttp", "structlog"} & set(loaded.split())


@pytest.mark.parametrize("command", [*ROLES, "migrate", "verify", "demo"])
def test_nothing_running_is_one_line_and_exit_code_2(command: str, tmp_path: Path) -> None:
    done = triggerhub(command, TRIGGERHUB_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("triggerhub: Nothing is running")


@pytest.mark.parametrize("command", ["up", "api", "verify", "doctor"])
def test_a_wrong_setting_is_one_line_without_its_value(command: str) -> None:
    done = triggerhub(command, TRIGGERHUB_JWT_SECRET="hunter2")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "TRIGGERHUB_JWT_SECRET" in done.stderr
    assert "hunter2" not in done.stderr


def test_doctor_says_what_is_missing_and_hides_secrets(tmp_path: Path) -> None:
    done = triggerhub(
        "doctor",
        TRIGGERHUB_DATA_DIR=str(tmp_path),
        TRIGGERHUB_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x",
        TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        TRIGGERHUB_PROT="8000",
    )
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("fail")]
    assert failed == ["database:", "broker:", "variables:"]
    assert "TRIGGERHUB_PROT" in done.stdout


def test_an_unreachable_database_is_one_line() -> None:
    done = triggerhub("migrate", TRIGGERHUB_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "triggerhub doctor" in done.stderr
    assert "Traceback" not in done.stderr
