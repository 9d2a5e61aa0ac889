"""`triggerhub up` with stand-in roles: `stub_up.py ROLE...`."""

import asyncio
import os
import sys
from pathlib import Path

from app.config import log
from app.config.errors import OperatorError
from app.config.settings import Settings
from app.local import supervisor

STUB = str(Path(__file__).with_name("stub_role.py"))


def main(roles: list[str]) -> None:
    settings = Settings.load()
    supervisor.RUNNER_READY_WITHIN_S = float(os.environ.get("STUB_PATIENCE_S", supervisor.RUNNER_READY_WITHIN_S))
    log.configure("up", settings.log_level, settings.log_format)
    try:
        asyncio.run(supervisor.up(settings, roles=roles, command=lambda role: (sys.executable, STUB, role)))
    except OperatorError as error:
        sys.exit(f"triggerhub: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
