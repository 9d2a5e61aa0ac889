"""How much there is, how it grows, and what lags: /api/v1/system."""

from datetime import datetime

import msgspec
from litestar import Controller, get

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected
from app.http.services import Services
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/doctor.sql")
MOST_RUNS = 1_000_000
"""Runs that are counted."""


class ReadModelState(msgspec.Struct, frozen=True):
    """A read model: `behind` is how many positions of the log it has yet to take, `parked` what it could not take."""

    name: str
    bytes: int
    behind: int
    parked: int


class DeadRows(msgspec.Struct, frozen=True):
    """A table of which a fifth or more is space of rows that are gone."""

    table: str
    dead: int
    live: int


class Installation(msgspec.Struct, frozen=True):
    """Sizes with indexes. `events_of_last_day`: how many came; `relay_behind`: how many the topic does not have yet."""

    log_bytes: int
    read_model_bytes: int
    rest_bytes: int
    events: int
    events_of_last_day: int
    relay_behind: int
    read_models: list[ReadModelState]
    dead_rows: list[DeadRows]


class OwnState(msgspec.Struct, frozen=True):
    """What an account has. `runs` are counted up to a million; `run_bytes`: of one in the log, as the newest are."""

    runs: int
    runs_of_last_day: int
    oldest_run: datetime | None
    run_bytes: int
    file_bytes: int
    held_bytes: int


class SystemState(msgspec.Struct, frozen=True):
    """`installation`: of all accounts together, for the only one that there is; null where there are others."""

    own: OwnState
    installation: Installation | None


class SystemController(Controller):
    """What an operator looks at."""

    path = "/system"
    tags = ("System",)

    @get("/", summary="See sizes and lags", operation_id="getSystem")
    async def state(self, request: AuthedRequest, services: Injected[Services]) -> SystemState:
        """What your account has. Of the whole installation only while yours is its only account.

        The operator has that from `triggerhub doctor`, which says what to do, too.
        """
        pool = services.store.pool
        row = await pool.fetchrow(_queries["own"], request.user.tenant_id, MOST_RUNS)
        assert row is not None, "its parts have a row each"
        is_alone = await pool.fetchval(_queries["is_alone"])
        return SystemState(OwnState(*row), await _installation(pool) if is_alone else None)


async def _installation(pool: Pool) -> Installation:
    sizes = await pool.fetchrow(_queries["sizes"])
    log, read_models, rest, events, of_last_day = tuple(sizes) if sizes else (0, 0, 0, 0, 0)
    return Installation(
        log_bytes=log,
        read_model_bytes=read_models,
        rest_bytes=rest,
        events=events or 0,
        events_of_last_day=of_last_day or 0,
        relay_behind=await pool.fetchval(_queries["behind"]) or 0,
        read_models=[ReadModelState(*row) for row in await pool.fetch(_queries["read_models"])],
        dead_rows=[DeadRows(*row) for row in await pool.fetch(_queries["dead_rows"])],
    )
