"""How large this installation is, how it grows, and what lags: /api/v1/system."""

import msgspec
from litestar import Controller, get

from app.http.inputs import Injected
from app.http.services import Services
from sql.postgres.queries import Queries

_queries = Queries("queries/doctor.sql")


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


class SystemState(msgspec.Struct, frozen=True):
    """Sizes with indexes. `events_of_last_day`: how many came; `relay_behind`: how many the topic does not have yet."""

    log_bytes: int
    read_model_bytes: int
    rest_bytes: int
    events: int
    events_of_last_day: int
    relay_behind: int
    read_models: list[ReadModelState]
    dead_rows: list[DeadRows]


class SystemController(Controller):
    """What an operator looks at."""

    path = "/system"
    tags = ("System",)

    @get("/", summary="See sizes and lags", operation_id="getSystem")
    async def state(self, services: Injected[Services]) -> SystemState:
        """Of the whole installation, all users together; `triggerhub doctor` says the same and what to do."""
        pool = services.store.pool
        sizes = await pool.fetchrow(_queries["sizes"])
        log, read_models, rest, events, of_last_day = tuple(sizes) if sizes else (0, 0, 0, 0, 0)
        return SystemState(
            log_bytes=log,
            read_model_bytes=read_models,
            rest_bytes=rest,
            events=events or 0,
            events_of_last_day=of_last_day or 0,
            relay_behind=await pool.fetchval(_queries["behind"]) or 0,
            read_models=[ReadModelState(*row) for row in await pool.fetch(_queries["read_models"])],
            dead_rows=[DeadRows(*row) for row in await pool.fetch(_queries["dead_rows"])],
        )
