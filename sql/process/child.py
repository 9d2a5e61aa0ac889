"""A process that works for another one: heavy work that is to hold no event loop up, and may be ended at any moment."""

import asyncio
import os
import sys

from sql.process.memory import MALLOC


async def python(
    module: str, stdout: int = asyncio.subprocess.PIPE, limit: int = 2**16, also: str = "\0"
) -> asyncio.subprocess.Process:
    """A child that runs a module, without this process's secrets. `limit`: bytes of its output that are buffered.

    `also`: how the names of those variables begin that it needs all the same.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        limit=limit,
        env={
            # Those are an object store's own, and none of our settings.
            **{name: value for name, value in os.environ.items() if name.startswith(also)},  # noqa: TID251 - see above
            **MALLOC,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )
