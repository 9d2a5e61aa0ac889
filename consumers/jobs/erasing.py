"""The job that forgets one person: all runs and requests that carry that person's data, in the log and in archives."""

from collections.abc import Collection, Sequence
from uuid import UUID

from consumers.jobs.archived import ArchivedRuns, Wanted
from consumers.jobs.erasures import Erasures
from consumers.jobs.kinds import Outcome, Refused, metadata_of, tried
from consumers.scheduler.archives.lines import NotAnArchive
from domain.job.job import LoadedJob
from domain.log.event import StreamKind
from domain.log.ports import NewId
from projections.run_keys import of_subject
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

_queries = Queries("queries/jobs.sql")
REQUESTS, ARCHIVES = UUID(int=2**128 - 2), UUID(int=2**128 - 1)
"""In place of a run: all requests that became none, and all archives. They come after every run."""


class EraseSubject:
    """Forgets runs as `Erasures` does, oldest first, then requests that became none, then runs in archives.

    Runs under way count as failed.
    """

    read_models: Sequence[str] = ("run_list", "run_keys", "request_list", "zap_list")
    stream_kinds: Collection[StreamKind] = (StreamKind.RUN,)
    leaves: str | None = "run.forgotten"
    in_order: bool = False

    def __init__(self, store: PgEventStore, new_id: NewId, erasures: Erasures, archive: str) -> None:
        self._store = store
        self._erasures = erasures
        self._archived = ArchivedRuns(store, new_id, archive, erasures.erase_run) if archive else None

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The ids that follow one, in order."""
        runs = await of_subject(
            self._store.pool, loaded.tenant_id, _hashed(loaded), after=after, before=loaded.id, limit=limit
        )
        rest = [REQUESTS, ARCHIVES] if self._archived else [REQUESTS]
        return runs or [one for one in rest if after is None or one > after][:1]

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """Forget each, with what came of it, which counts, too; a repeat finds them forgotten."""
        if ARCHIVES in batch:
            return await self._in_archives(loaded)
        if REQUESTS in batch:
            work = self._erasures.erase_requests(loaded.tenant_id, _hashed(loaded), metadata_of(loaded))
            gone = await tried(work)
            return [gone] if isinstance(gone, Refused) else [*[None] * gone.count, *map(_released, gone.released)]
        outcomes: list[Outcome] = []
        for run_id in batch:
            erased = await tried(self._erasures.erase_run(loaded.tenant_id, run_id, metadata_of(loaded)))
            outcomes += [erased] if isinstance(erased, Refused) else [None] * erased.runs
        return outcomes

    async def _in_archives(self, loaded: LoadedJob) -> list[Outcome]:
        assert self._archived is not None, "else this is not on the list"
        rows = await self._store.pool.fetch(
            _queries["forgotten_by"], loaded.first.position, loaded.tenant_id, loaded.first.event_id
        )
        of = frozenset(row[0] for row in rows)
        wanted = Wanted(loaded.tenant_id, _hashed(loaded), of, metadata_of(loaded))
        try:
            erased = await tried(self._archived.erase(wanted))
        except NotAnArchive as error:
            return [Refused("failed", f"an archive cannot be read: {error}")]
        return [erased] if isinstance(erased, Refused) else [None] * erased


def _released(request_id: UUID) -> Refused:
    return Refused("failed", f"the request {request_id} was released meanwhile: ask again, once its run has ended")


def _hashed(loaded: LoadedJob) -> bytes:
    return bytes.fromhex(loaded.state.requested.subject)
