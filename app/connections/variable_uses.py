"""Which zaps name a variable: found in their definitions when somebody asks, as few ask."""

import re
from collections.abc import Iterator
from typing import Literal
from uuid import UUID

from domain.aggregates import ZAP
from domain.flow.contents import sources
from domain.log.stream import load_many
from domain.zap.definition import Definition
from domain.zap.zap import Zap
from projections.connection_uses import ConnectionUse
from projections.zap_list import list_zaps
from sql.log.event_store import PgEventStore

AT_ONCE = 200
"""Zaps whose streams are read at a time."""


async def variable_uses(store: PgEventStore, tenant_id: UUID, name: str, limit: int) -> list[ConnectionUse]:
    """The tenant's zaps that name it, newest first, each with its draft behind its live version."""
    wanted = re.compile(rf"\bvars\s*(?:\.\s*{re.escape(name)}\b|\[\s*['\"]{name}['\"]\s*\])")
    found: list[ConnectionUse] = []
    before: UUID | None = None
    while len(found) < limit:
        items = await list_zaps(store.pool, tenant_id, before=before, limit=AT_ONCE)
        loaded = await load_many(store, ZAP, [item.id for item in items])
        for zap_id in [item.id for item in items if item.id in loaded]:
            found += _uses(zap_id, loaded[zap_id].state, wanted)
        if len(items) < AT_ONCE:
            break
        before = items[-1].id
    return found[:limit]


def _uses(zap_id: UUID, zap: Zap, wanted: re.Pattern[str]) -> Iterator[ConnectionUse]:
    live = zap.version(zap.live).definition if zap.live else None
    where: tuple[tuple[Literal["live", "draft"], Definition | None], ...] = (("live", live), ("draft", zap.draft))
    for version, definition in where:
        places = list(_places(definition, wanted)) if definition else []
        if places:
            yield ConnectionUse(zap_id=zap_id, name=zap.name, status=zap.status, version=version, places=places)


def _places(definition: Definition, wanted: re.Pattern[str]) -> Iterator[str]:
    """The ids of steps with a template or a condition that names it."""
    for _path, step in definition.all_steps():
        if any(wanted.search(text) for text in sources(step)):
            yield step.id
