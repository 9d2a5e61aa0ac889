"""Senders that wait for a run: one that is cut off learns where its run is, as the run is stored."""

import asyncio
from typing import Any, cast
from uuid import UUID

from app.intake.run_watch import RunWatch


class _Store:
    async def versions(self, _kind: object, _ids: object) -> dict[UUID, int]:
        return {}


async def test_a_sender_that_waits_while_the_server_stops_is_not_told_to_try_again() -> None:
    waiting = asyncio.create_task(RunWatch(cast(Any, _Store())).outcome(UUID(int=1), 60))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await waiting is None
