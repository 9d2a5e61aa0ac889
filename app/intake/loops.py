"""A zap whose runs start one another is flagged, so that its owner hears of it."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import structlog

from domain.aggregates import ZAP
from domain.log.errors import DomainError
from domain.log.event import Metadata
from domain.log.ports import Clock, EventStore, NewId, StoreUnavailable
from domain.log.stream import handle, load
from domain.zap.events import Flag
from domain.zap.zap import FlagZap, decide
from sql.process.recent import Recent

log = structlog.get_logger()
AGAIN_S = 60.0
"""How long a flagged zap is not flagged again: a loop makes many requests."""
_REMEMBERED = 1_000

FlagLoop: TypeAlias = Callable[[UUID, UUID, str], Awaitable[None]]
"""Takes the zap, its owner, and what was seen."""


def loop_flags(store: EventStore, now: Clock, new_id: NewId) -> FlagLoop:
    """How this process flags zaps. It never raises: the request is refused even if the flag fails."""
    flagged = Recent[UUID, bool](_REMEMBERED, AGAIN_S)

    async def flag(zap_id: UUID, owner: UUID, detail: str) -> None:
        if flagged.get(zap_id):
            return
        flagged.put(zap_id, value=True)
        command = FlagZap(Flag(kind="loop", detail=detail, since=now()))
        try:
            zap = await load(store, ZAP, zap_id)
            if zap is not None and zap.tenant_id == owner:
                await handle(store, new_id, zap, lambda state: decide(command, state), Metadata(actor="hook"))
                log.warning("zap.flagged", zap_id=str(zap_id), kind="loop")
        except (StoreUnavailable, DomainError) as error:
            log.warning("zap.not_flagged", zap_id=str(zap_id), error=str(error))

    return flag
