"""The log files of embedded servers."""

import os
import sys
from pathlib import Path

from app.local.child import Child, Service


async def test_only_the_owner_reads_what_a_server_writes(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("before\n")
    log.chmod(0o644)
    before = os.umask(0o022)
    try:
        service = Service(name="server", argv=(sys.executable, "-c", "print('after')"), log_file=log)
        child = await Child.start(service, lambda _name, _line: None)
        assert await child.wait() == 0
    finally:
        os.umask(before)
    assert log.read_text() == "before\nafter\n"
    assert log.stat().st_mode & 0o777 == 0o600
