"""Jobs on one archive: a tenant's runs are brought back, or held against what the log has kept of them."""

from collections.abc import Collection, Sequence
from typing import Literal
from uuid import UUID

from obstore.exceptions import BaseError

from consumers.jobs.kinds import Outcome, Refused
from consumers.scheduler.archives.archive import bring_back, check, place
from consumers.scheduler.archives.lines import NotAnArchive
from domain.job.job import LoadedJob
from domain.log.event import StreamKind
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

_queries = Queries("queries/archives.sql")
FILE = UUID(int=1)
"""In place of a run: the file."""


class OfArchive:
    """Takes the file as one thing."""

    read_models: Sequence[str] = ("audit",)
    stream_kinds: Collection[StreamKind] = ()
    leaves: str | None = None
    in_order: bool = False

    def __init__(self, kind: Literal["import", "check"], store: PgEventStore, url: str) -> None:
        self._kind = kind
        self._store = store
        self._url = url

    async def next(self, _loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The file, once."""
        return [FILE][:limit] if after is None else []

    async def do(self, loaded: LoadedJob, _batch: Sequence[UUID]) -> list[Outcome]:
        """What is asked for. A file whose runs came back before is left."""
        name, tenant_id = loaded.state.requested.archive, loaded.tenant_id
        row = await self._store.pool.fetchrow(_queries["of_file"], tenant_id, name)
        assert row is not None, "aggregates have one row"
        if self._kind == "import" and not row[1]:
            return [Refused("skipped", "all runs of this file are in the log")]
        if not self._url:
            return [Refused("failed", "this scheduler has no TRIGGERHUB_ARCHIVE")]
        try:
            work = bring_back if self._kind == "import" else check
            await work(self._store.dsn, place(self._url), name, tenant_id)
        except NotAnArchive as error:
            return [Refused("failed", str(error))]
        except (OSError, BaseError) as error:
            return [Refused("failed", f"the file cannot be read: {error}")]
        return [None]
