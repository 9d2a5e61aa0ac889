"""The results of backtests: a comparison of each run with what a draft would have done. They can be made again."""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.run.state import RunStatus
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/backtests.sql")
Counted: TypeAlias = tuple[str, RunStatus, RunStatus, int]
"""A verdict, the status then and now, and how many runs have them."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run. `steps`: those in which anything differs; `comparison` is JSON."""

    run_id: UUID
    verdict: str
    then_status: str
    now_status: str
    steps: list[str]
    comparison: bytes


class Backtests:
    """The table. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, job_id: UUID, tenant_id: UUID, results: Sequence[Result]) -> None:
        """Store results of a job; those that are there are replaced."""
        if results:
            rows = [
                (one.run_id, one.verdict, one.then_status, one.now_status, msgspec.json.encode(one.steps).decode(),
                 one.comparison) for one in sorted(results, key=lambda one: one.run_id)
            ]  # fmt: skip
            await self._pool.execute(_queries["put"], job_id, tenant_id, *map(list, zip(*rows, strict=True)))
            await self.drop_erased([one.run_id for one in results])

    async def drop_erased(self, run_ids: Sequence[UUID]) -> None:
        """Drop the results of those runs that were erased. Who puts results and who erases asks for it afterwards, so
        that the later one does it.
        """
        await self._pool.execute(_queries["drop_erased"], run_ids)

    async def page(
        self, job_id: UUID, tenant_id: UUID, *, verdict: str | None, after: UUID | None, limit: int
    ) -> list[bytes]:
        """Comparisons of a job, oldest run first, as JSON."""
        rows = await self._pool.fetch(_queries["page"], job_id, tenant_id, verdict, after, limit)
        return [row[0] for row in rows]

    async def counts(self, job_id: UUID, tenant_id: UUID) -> list[Counted]:
        """How many runs went which way, then and now; the most frequent first."""
        rows = await self._pool.fetch(_queries["counts"], job_id, tenant_id)
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    async def steps(self, job_id: UUID, tenant_id: UUID) -> list[tuple[str, int]]:
        """In how many runs a step differs; the most frequent first."""
        rows = await self._pool.fetch(_queries["steps"], job_id, tenant_id)
        return [(row[0], row[1]) for row in rows]
