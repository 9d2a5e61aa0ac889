"""The command line as an operator meets it: quick help, one clear line per error, never a stack trace."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.roles.roles import ROLES
from tests.support.forked_cli import forked

COMMANDS = (*ROLES, "up", "migrate", "rebuild", "verify", "rotate-keys", "demo", "doctor")


def triggerhub(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")}
    return forked(arguments, env | variables, timeout_s=30)


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    command = [sys.executable, "-m", "app.cli", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(f"  {command} " in shown for command in COMMANDS)
    assert not {"litestar", "faststream", "asyncpg", "aiohttp", "structlog"} & _loaded("app.cli.commands")


@pytest.mark.parametrize(
    ("modules", "others"),
    [
        ("app.roles.startup, app.config.kafka, relay.relay", {"liquid", "re2", "aiohttp", "faststream", "litestar"}),
        ("app.roles.startup, app.roles.server", {"aiokafka", "faststream", "pydantic", "markdown_it"}),
    ],
)
def test_a_role_loads_nothing_that_others_need(modules: str, others: set[str]) -> None:
    assert not others & _loaded(modules)


def _loaded(modules: str) -> set[str]:
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(loaded.split())


@pytest.mark.parametrize("command", [*ROLES, "migrate", "verify", "rotate-keys", "demo"])
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


def unusable_folders(tmp_path: Path) -> list[Path]:
    file = tmp_path / "file"
    file.write_text("not a folder")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere" / "at all")
    return [Path("/proc/x"), file, file / "below", dangling, Path("/dev/null/x"), tmp_path / ("x" * 300)]


def test_a_data_directory_that_can_not_be_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    for folder in unusable_folders(tmp_path):
        done = triggerhub("up", TRIGGERHUB_DATA_DIR=str(folder), TRIGGERHUB_PORT="65001")
        assert done.returncode == 2, folder
        assert done.stderr.count("\n") == 1, done.stderr
        assert "set TRIGGERHUB_DATA_DIR" in done.stderr


@pytest.mark.parametrize("command", ["demo", "verify", "runner", "doctor"])
def test_commands_beside_an_unusable_data_directory_leave_no_traceback(command: str, tmp_path: Path) -> None:
    for folder in unusable_folders(tmp_path):
        done = triggerhub(command, TRIGGERHUB_DATA_DIR=str(folder))
        assert done.returncode in {1, 2}, folder
        assert "Traceback" not in done.stderr


def test_the_demo_makes_no_account_on_an_installation_that_was_not_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0)
        port = str(stranger.getsockname()[1])
        done = triggerhub("demo", TRIGGERHUB_DATA_DIR=str(tmp_path), TRIGGERHUB_PORT=port)
        assert done.returncode == 2
        assert f"Nothing is running with {tmp_path}" in done.stderr
        assert "--url" in done.stderr
        with pytest.raises(BlockingIOError):
            stranger.accept()


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://127.0.0.1:1"])
def test_the_demo_of_a_url_where_nothing_is_says_so(url: str, tmp_path: Path) -> None:
    done = triggerhub("demo", "--url", url, TRIGGERHUB_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert url.rstrip("/") in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("month", ["2026-13", "January"])
def test_a_month_that_is_none_is_told_by_an_example(month: str) -> None:
    done = triggerhub("archive", month)
    assert done.returncode == 2
    assert f"Invalid value for 'MONTH': '{month}' is no month such as 2026-01." in done.stderr
    assert "%" not in done.stderr + triggerhub("archive", "--help").stdout


def test_a_range_that_ends_before_it_begins_is_not_called_whole() -> None:
    done = triggerhub("verify", "--from", "8", "--to", "5")
    assert done.returncode == 2
    assert "--from 8 is behind --to 5" in done.stderr
