"""What is on record of runs whose time was over: they are gone from the log, and nothing else of it is."""

from uuid import UUID

import msgspec

from domain.log.event import Event


class Dropped(msgspec.Struct, frozen=True):
    """How many runs of a zap were dropped, by how they had ended."""

    zap_id: UUID
    runs: dict[str, int]


class RunsDropped(Event, frozen=True, kw_only=True):
    """Runs of a month (UTC, `2026-01`) left the log, as the settings of their zaps say; the statistics keep them.

    A stream of its own holds this. `events`: how many went. `digest`: SHA-256 over, of each of them in order, position
    (8 bytes), version (4) and hash; those stay on record, so chain and tree go on to hold. `archive`: the file that has
    the events, where one was written.
    """

    month: str
    zaps: list[Dropped]
    events: int
    digest: str
    archive: str = ""
