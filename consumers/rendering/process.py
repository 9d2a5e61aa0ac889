"""A process that works for a role, as that sees it: it is started when needed, and again after it ended."""

import asyncio
import signal
from contextlib import suppress

from consumers.rendering.frames import HEAD, MAX_FRAME, head
from sql.process.child import python

WALL_S = 10.0
"""A process that has not answered by then is stuck."""
_LIMITS = {-signal.SIGVTALRM, -signal.SIGPROF, -signal.SIGXCPU, -signal.SIGABRT}
"""SIGABRT: a library in Rust that is out of memory."""


class Died(Exception):
    """The process ended without an answer; `by_limit` where one of its own limits ended it."""

    def __init__(self, reason: str, *, by_limit: bool) -> None:
        super().__init__(reason)
        self.by_limit = by_limit


class Process:
    """At most one child at a time, and one job in it.

    The module is what it runs. It has `wall_s` seconds for an answer (WALL_S, unless given), of so many bytes at most.
    """

    def __init__(self, module: str, wall_s: float | None = None, max_answer: int = MAX_FRAME) -> None:
        self._module = module
        self._wall_s = wall_s
        self._max_answer = max_answer
        self._child: asyncio.subprocess.Process | None = None

    async def ask(self, frame: bytes) -> bytes:
        """The answer to a job. Raises Died."""
        child, wall_s = await self._started(), self._wall_s or WALL_S
        try:
            async with asyncio.timeout(wall_s):
                return await _exchange(child, frame, self._max_answer)
        except TimeoutError:
            await self.aclose()
            raise Died(f"no answer within {wall_s:g} s", by_limit=True) from None
        except (asyncio.IncompleteReadError, OSError):
            await self.aclose()
            raise Died(f"exit code {child.returncode}", by_limit=child.returncode in _LIMITS) from None
        except asyncio.CancelledError:
            await self.aclose()  # otherwise its answer would be taken for that of the next job
            raise

    async def aclose(self) -> None:
        """Kill the child, if there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._child is None or self._child.returncode is not None:
            self._child = await python(self._module, limit=self._max_answer)
        return self._child


async def _exchange(child: asyncio.subprocess.Process, frame: bytes, max_answer: int) -> bytes:
    """Raises IncompleteReadError and OSError when the child ends."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(head(frame))
    child.stdin.write(frame)
    await child.stdin.drain()
    length = int.from_bytes(await child.stdout.readexactly(HEAD))
    if length > max_answer:
        raise asyncio.IncompleteReadError(b"", length)
    return await child.stdout.readexactly(length)
