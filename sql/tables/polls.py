"""What is known of sources that are polled, beside the log: it changes with every poll, also when nothing is new."""

from datetime import datetime
from uuid import UUID

import msgspec

from domain.connector.poll import Place
from domain.zap.news import NOTHING, Known, dump, load
from domain.zap.polls import Course
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/polls.sql")
_place = msgspec.json.Decoder(Place)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a source after `version` polls. `beginning`: its first poll has not come to an end."""

    version: int = 0
    known: Known = NOTHING
    place: Place = Place()
    beginning: bool = True
    course: Course = Course()


class PollHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the polls of a source go. `problem` is that of the last one, after `failures` in a row."""

    trigger_id: str
    last_at: datetime | None
    last_ok_at: datetime | None
    last_new_at: datetime | None
    next_at: datetime | None
    failures: int
    problem: str


class Source(msgspec.Struct, frozen=True):
    """Whose source it is, and the fingerprint that stays while the source does."""

    zap_id: UUID
    tenant_id: UUID
    trigger_id: str
    fingerprint: bytes


class PollTables:
    """Memories of sources. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, source: Source) -> Memory:
        """What is known of a source; nothing for one that was never polled."""
        row = await self._pool.fetchrow(_queries["get"], source.zap_id, source.fingerprint)
        if row is None:
            return Memory()
        course = Course(**{name: row[name] for name in Course.__struct_fields__})
        return Memory(
            version=row["version"],
            known=load(row["known"]),
            place=_place.decode(row["place"]),
            beginning=row["beginning"],
            course=course,
        )

    async def save(self, source: Source, before: Memory, after: Memory, next_at: datetime) -> bool:
        """Replace what was known before; false where somebody else has polled the source meanwhile."""
        course = after.course
        version = await self._pool.fetchval(
            _queries["save"],
            source.zap_id,
            source.fingerprint,
            source.tenant_id,
            source.trigger_id,
            before.version,
            None if after.known is before.known and before.version else dump(after.known),
            msgspec.json.encode(after.place).decode().replace("\\u0000", ""),
            after.beginning,
            course.failures,
            course.problem.replace("\0", ""),
            *(course.last_at, course.last_ok_at, course.last_new_at),
            *(course.empties, course.empties_since, course.told, course.told_at),
            next_at,
        )
        return version is not None

    async def health(self, tenant_id: UUID, zap_id: UUID) -> list[PollHealth]:
        """How the polls of a zap go."""
        rows = await self._pool.fetch(_queries["health"], zap_id, tenant_id)
        return [PollHealth(**dict(row)) for row in rows]
