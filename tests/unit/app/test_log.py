"""Logging: secrets never reach a line, and every line names its role."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from app.config import log
from app.config.parsers import LogFormat
from app.config.settings import Secret
from domain.values.redaction import REDACTED


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level
    structlog.reset_defaults()


def test_json_lines_have_role_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("relay", "info", "json")
    structlog.get_logger().info("started", partitions=3)
    structlog.get_logger().debug("not shown")
    line = json.loads(capsys.readouterr().err)
    assert line["role"] == "relay"
    assert (line["event"], line["level"], line["partitions"]) == ("started", "info", 3)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_secrets_are_blotted_out(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("api", "info", log_format)
    structlog.get_logger().info(
        "called",
        password="hunter2",
        headers={"Authorization": "hunter2", "X-Api-Key": "hunter2", "Host": "shown"},
        parts=[Secret("hunter2")],
        database=Secret("hunter2"),
    )
    logging.getLogger("aiokafka").warning("from a library")
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert "shown" in shown
    assert "from a library" in shown


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_local_values(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("api", "info", log_format)

    def fail(secret: str) -> None:
        raise RuntimeError("broken" + secret[:0])

    try:
        fail("hunter" + str(2))
    except RuntimeError:
        structlog.get_logger().exception("failed")
        logging.getLogger("x").exception("failed too")
    shown = capsys.readouterr().err
    assert shown.count("RuntimeError: broken") == 2
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "key", ["jwt", "sig", "X-Api-Key", "smtp_password", "database_dsn", "credentials", "refresh_token"]
)
def test_what_is_not_shown_to_users_is_not_logged_either(key: str) -> None:
    assert log.redact(None, "info", {key: "hunter2"}) == {key: REDACTED}


@pytest.mark.parametrize("key", ["token_count", "author", "signal", "zap_id"])
def test_keys_that_only_look_alike_are_logged(key: str) -> None:
    assert log.redact(None, "info", {key: "plain"}) == {key: "plain"}


EVIL = "\x1b[2J\x1b]0;owned\x07 \x9b31m \u202e \r over \x7f \ud800"


class Strange(Exception):
    """Its text is a stranger's."""

    def __repr__(self) -> str:
        return EVIL


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_text_of_strangers_moves_the_cursor(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("api", "info", log_format)
    logger = structlog.get_logger()
    logger.info(EVIL, value=EVIL, nested={EVIL: [EVIL]}, other=Strange(), **{f"key {EVIL}": 1})
    try:
        try:
            exec(compile(f"raise ValueError({EVIL!r})", EVIL[:-1], "exec"))
        except ValueError as error:
            error.add_note(EVIL)
            raise ExceptionGroup(EVIL, [Strange(EVIL)]) from error
    except ExceptionGroup:
        logger.exception("failed")
        logging.getLogger("x").exception("failed %s", EVIL)
    shown = capsys.readouterr().err
    assert shown.count("owned") >= 10
    assert not set(shown) & set(EVIL) - set("[2J]0;owned 31m over")


def test_a_log_that_nobody_reads_is_no_reason_to_fail() -> None:
    """The reader of a pipe or a terminal goes; then each write fails, and the process has to go on all the same."""
    program = (
        "import logging, structlog\n"
        "from app.config.log import configure\n"
        "configure('test', 'info', 'console')\n"
        "for _ in range(1_000):\n"
        "    structlog.get_logger().info('said', to='nobody')\n"
        "    logging.getLogger('library').warning('said')\n"
        "print('went on')\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, timeout=30, check=False
    )
    os.close(writer)
    assert done.stdout == b"went on\n"
