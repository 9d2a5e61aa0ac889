"""One import, in a process of its own that ends with it: whatever a document does, it does it there."""

import asyncio
import os
import sys
from contextlib import suppress

import msgspec

from consumers.importing.frames import Answer, Listed, Refused, Told, Wanted
from domain.imported.document import Unusable, Wish

WALL_S = 60.0
MAX_ANSWER = 64 * 2**20

_answers: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)
AT_ONCE = asyncio.Semaphore(1)
"""Imports of this process at a time: each may take a whole CPU and hundreds of megabytes."""


async def imported(content: bytes, wish: Wish) -> Listed:
    """The connector of a document. Raises Unusable."""
    async with AT_ONCE:
        answer = await _ask(msgspec.json.encode(Wanted(wish, len(content))) + b"\n" + content)
    match answer:
        case Listed():
            return answer
        case Refused(reason, errors):
            raise Unusable(reason, list(errors))
        case Told(reason):
            raise Unusable(reason)


async def _ask(frame: bytes) -> Answer:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consumers.importing.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_ANSWER,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # without this process's secrets
    )
    try:
        async with asyncio.timeout(WALL_S):
            output, _nothing = await child.communicate(frame)
        return _answers.decode(output)
    except (TimeoutError, msgspec.DecodeError, ConnectionError):
        return Told("reading the document takes more time or memory than there is for it")
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
