"""`python -m tests.benchmarks.start [ROLE...]`: `triggerhub up` with these roles only, none for the servers alone."""

import asyncio
import sys

from app import log
from app.settings import Settings
from app.supervisor import up

if __name__ == "__main__":
    settings = Settings.load()
    log.configure("up", "warning", settings.log_format)
    asyncio.run(up(settings, roles=sys.argv[1:]))
