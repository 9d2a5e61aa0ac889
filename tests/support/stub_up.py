"""`triggerhub up` with stand-in roles: `stub_up.py ROLE...`."""

import asyncio
import sys
from pathlib import Path

from app.config import log
from app.config.errors import OperatorError
from app.config.settings import Settings
from app.local.supervisor import up

STUB = str(Path(__file__).with_name("stub_role.py"))


def main(roles: list[str]) -> None:
    settings = Settings.load()
    log.configure("up", settings.log_level, settings.log_format)
    try:
        asyncio.run(up(settings, roles=roles, command=lambda role: (sys.executable, STUB, role)))
    except OperatorError as error:
        sys.exit(f"triggerhub: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
