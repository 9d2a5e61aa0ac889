"""`python -m tests.benchmarks.start [ROLE...]`: `triggerhub up` with these roles only, none for the servers alone."""

import asyncio
import sys

from app.config import log
from app.config.settings import Settings
from app.local.supervisor import up

if __name__ == "__main__":
    settings = Settings.load()
    log.configure("up", "warning", settings.log_format)
    asyncio.run(up(settings, roles=sys.argv[1:]))
