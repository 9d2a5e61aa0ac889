"""Zaps as their streams say they are, for processes that are not the API; and what these decide about them."""

from datetime import datetime
from uuid import UUID

import msgspec

from domain.log.event import Append, Appended, Metadata, NewEvent, StreamKind
from domain.log.ports import EventStore, NewId
from domain.registry import decode
from domain.zap import zap
from domain.zap.settings import DEFAULT, ZapSettings
from domain.zap.zap import Zap, ZapCommand, ZapEnabled, ZapEvent, ZapPublished, ZapState, ZapUnflagged


class StoredZap(msgspec.Struct, frozen=True):
    """A zap and whose it is. `version` counts the events of its stream.

    `trusted_since`: when somebody, or a run that completed, last said that it should work.
    """

    id: UUID
    owner: UUID
    zap: Zap
    version: int
    trusted_since: datetime

    @property
    def behaviour(self) -> ZapSettings:
        """The settings of the version that new runs use."""
        return self.zap.version(self.zap.live).definition.behaviour if self.zap.live else DEFAULT


async def load_zap(store: EventStore, zap_id: UUID) -> StoredZap | None:
    """The zap as it is now, deleted ones included; None where there never was one. Raises StoreUnavailable."""
    state: ZapState = zap.INITIAL
    trusted_since = None
    events = await store.read_stream(StreamKind.CORE, zap_id)
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        if not isinstance(event, ZapEvent):
            return None
        state = zap.evolve(state, event)
        if trusted_since is None or isinstance(event, ZapPublished | ZapEnabled | ZapUnflagged):
            trusted_since = stored.recorded_at
    if not isinstance(state, Zap) or trusted_since is None:
        return None
    return StoredZap(zap_id, events[0].tenant_id, state, events[-1].version, trusted_since)


async def command_zap(store: EventStore, new_id: NewId, stored: StoredZap, command: ZapCommand, actor: str) -> bool:
    """Decide and record; False when that changes nothing, or somebody else was quicker.

    Raises what the decision and the store raise.
    """
    events = zap.decide(command, stored.zap)
    if not events:
        return False
    result = await store.append(
        Append(
            kind=StreamKind.CORE,
            stream_id=stored.id,
            expected=stored.version,
            tenant_id=stored.owner,
            ordering_key=stored.id,
            events=tuple(NewEvent(new_id(), event) for event in events),
            metadata=Metadata(actor=actor),
        )
    )
    return isinstance(result, Appended)
