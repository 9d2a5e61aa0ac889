"""Which zaps another version of a connector reaches: those whose drafts name what it changes or removes.

What is published keeps the version that it was published with, and so does a step that names one.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from domain.aggregates import ZAP
from domain.connector.catalog import wanted_of
from domain.flow.steps import ActionStep
from domain.log.stream import load_many
from domain.zap.definition import Definition
from domain.zap.zap import Zap, ZapStatus
from projections.zap_list import list_zaps
from sql.log.event_store import PgEventStore

AT_ONCE = 200
"""Zaps whose streams are read at a time."""


class AffectedZap(msgspec.Struct, frozen=True, kw_only=True):
    """A zap that uses the new version once it is published anew: the steps of its draft, and what they call."""

    zap_id: UUID
    name: str
    status: ZapStatus
    steps: Sequence[str]
    operations: Sequence[str]


async def affected_by(
    store: PgEventStore, tenant_id: UUID, connector: str, operations: Collection[str]
) -> list[AffectedZap]:
    """The tenant's zaps whose drafts name one of these operations of the connector, newest first."""
    found: list[AffectedZap] = []
    before: UUID | None = None
    while operations:
        items = await list_zaps(store.pool, tenant_id, before=before, limit=AT_ONCE)
        loaded = await load_many(store, ZAP, [item.id for item in items])
        for zap_id, zap in loaded.items():
            calls = _calls(zap.state.draft, connector, operations)
            if calls:
                found.append(_affected(zap_id, zap.state, calls))
        if len(items) < AT_ONCE:
            break
        before = items[-1].id
    return sorted(found, key=lambda one: one.zap_id, reverse=True)


def _affected(zap_id: UUID, zap: Zap, calls: Mapping[str, str]) -> AffectedZap:
    called = list(dict.fromkeys(calls.values()))
    return AffectedZap(zap_id=zap_id, name=zap.name, status=zap.status, steps=list(calls), operations=called)


def _calls(definition: Definition, connector: str, operations: Collection[str]) -> dict[str, str]:
    """The steps that call one of the operations, of whatever version is the newest, each with which."""
    found: dict[str, str] = {}
    for _path, step in definition.all_steps():
        wanted = wanted_of(step.type) if isinstance(step, ActionStep) else None
        if wanted and wanted.connector == connector and not wanted.version and wanted.action in operations:
            found[step.id] = wanted.action
    return found
