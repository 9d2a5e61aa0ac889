"""Of which zaps runs are: as the events at hand say, or others that passed lately, or the first ones of the runs."""

from collections.abc import Sequence
from uuid import UUID

from domain.log.event import StoredEvent, StreamKind
from projections.search.reading import FIRST, first_of
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.recent import Recent

_queries = Queries("projections/run_zaps.sql")
KEPT_BYTES, EACH_BYTES = 4 * 2**20, 400
"""About what a process remembers, and of each run: most end within the seconds in which thousands of others begin."""


_passed: Recent[UUID, UUID] = Recent(KEPT_BYTES, size=lambda _zap_id: EACH_BYTES)
"""By run. That never changes."""


async def zaps_of(connection: Connection, events: Sequence[StoredEvent]) -> dict[UUID, UUID]:
    """The zaps of the runs of which these events tell, as far as the log knows them yet."""
    found: dict[UUID, UUID] = {}
    unknown: set[UUID] = set()
    for event in events:
        run_id = event.stream_id
        if event.type == FIRST:
            found[run_id] = first_of(event.data).zap_id
            _passed.put(run_id, found[run_id])
        elif run_id not in found:
            unknown.add(run_id)
    for run_id in unknown - found.keys():
        zap_id = _passed.get(run_id)
        if zap_id is not None:
            found[run_id] = zap_id
    missing = unknown - found.keys()
    if missing:
        rows = await connection.fetch(_queries["zaps_of"], StreamKind.RUN, sorted(missing))
        found |= {row[0]: row[1] for row in rows}
    return found
