"""Proofs from the log, for whoever wants to check them elsewhere: of one event, and between two checkpoints."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from domain.log.errors import NotFound, WrongStatus
from domain.proof.merkle import micros
from sql.log.hashing import preimage
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries
from sql.proof.tree import Tree

_queries = Queries("queries/tree.sql")

EARLIER, LATER = timedelta(seconds=10), timedelta(seconds=60)
"""How far the time in an event's id may be from the time when it was recorded."""
MOST_LOOKED_AT = 200_000
"""Events among which one id is looked for."""


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """What the log was: its first `size` events. `note` is the checkpoint as signed, `key` the verifier's key."""

    size: int
    signed_at: datetime
    note: str
    key: str


class EventProof(msgspec.Struct, frozen=True, kw_only=True):
    """Proves that an event is in the log that a checkpoint was made of.

    `event` is what the event's hash is made of, null where its payload was forgotten; `inclusion` the audit path
    (RFC 9162). Hashes and bytes are in base64.
    """

    format: str = "triggerhub-event-proof-1"
    position: int
    version: int
    recorded_us: int
    event: str | None
    event_hash: str
    inclusion: list[str]
    checkpoint: str
    key: str


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """Proves that the log of one checkpoint is the beginning of that of another (RFC 9162)."""

    format: str = "triggerhub-consistency-proof-1"
    from_: str = msgspec.field(name="from")
    to: str
    consistency: list[str]
    key: str


class Proofs(msgspec.Struct, frozen=True):
    """The proofs of one log."""

    pool: Pool

    async def checkpoints(self, before: int | None, limit: int) -> list[SignedCheckpoint]:
        """The newest ones, before one of some size."""
        return [SignedCheckpoint(*row) for row in await self.pool.fetch(_queries["checkpoints"], before, limit)]

    async def latest(self) -> SignedCheckpoint:
        """Raises NotFound while there is none."""
        found = await self.checkpoints(None, 1)
        if not found:
            raise NotFound("no checkpoint is signed yet: schedulers sign one where they have a key for that")
        return found[0]

    async def checkpoint(self, size: int) -> SignedCheckpoint:
        """The one over so many events. Raises NotFound."""
        row = await self.pool.fetchrow(_queries["checkpoint"], size)
        if row is None:
            raise NotFound(
                f"there is no checkpoint of the first {size} events: the list of checkpoints has their sizes"
            )
        return SignedCheckpoint(*row)

    async def of_event(self, tenant_id: UUID | None, position: int, size: int | None) -> EventProof:
        """The proof of a tenant's event (None: of anybody's), in a checkpoint or the newest.

        Raises NotFound, also for somebody else's and for what retention dropped; WrongStatus where the checkpoint ends
        before it.
        """
        event = await self.pool.fetchrow(_queries["event_to_prove"], position, tenant_id)
        if event is None:
            raise NotFound("no such event")
        signed = await (self.latest() if size is None else self.checkpoint(size))
        if signed.size < position:
            raise WrongStatus(f"the checkpoint ends at position {signed.size}: the event will be in a later one")
        path = await Tree(self.pool).inclusion(position, signed.size)
        return EventProof(
            position=position,
            version=event["version"],
            recorded_us=micros(event["recorded_at"]),
            event=None if event["forgotten"] else _text(preimage(event)),
            event_hash=_text(event["hash"]),
            inclusion=[_text(one) for one in path],
            checkpoint=signed.note,
            key=signed.key,
        )

    async def position_of(self, tenant_id: UUID, event_id: UUID) -> int:
        """Where a tenant's event is. Raises NotFound."""
        at = datetime.fromtimestamp((event_id.int >> 80) / 1000, tz=UTC)
        position: int | None = await self.pool.fetchval(
            _queries["position_of_event"], event_id, tenant_id, at - EARLIER, at + LATER, MOST_LOOKED_AT
        )
        if position is None:
            raise NotFound("no such event")
        return position

    async def between(self, old: int, new: int) -> ConsistencyProof:
        """The proof between the checkpoints of two sizes, the smaller one first. Raises NotFound."""
        first, second = await self.checkpoint(old), await self.checkpoint(new)
        path = await Tree(self.pool).consistency(old, new)
        return ConsistencyProof(
            from_=first.note, to=second.note, consistency=[_text(one) for one in path], key=second.key
        )


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
