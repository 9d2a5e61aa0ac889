"""Statistics: /api/v1/stats."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromQuery, QueryParameter

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected, Moment
from app.http.openapi.notes import notes
from app.http.paging import MinPosition, is_fresh, marked
from app.http.services import Services
from domain.log.errors import Invalid
from projections.stats import WIDTHS, Width
from projections.stats_query import Asked, Bucket, read_stats

MAX_BUCKETS = 1_500
"""Of one answer: a day by minutes, two months by hours."""


class Stats(msgspec.Struct, frozen=True):
    """Buckets, oldest first; those in which nothing was requested are left out."""

    items: list[Bucket]


class StatsController(Controller):
    """How much was requested, what became of it, and how long that took."""

    path = "/stats"
    tags = ("Runs",)

    @get("/", summary="Read statistics", operation_id="readStats", opt=notes("invalid", headers=("Stale",)))
    async def read(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        *,
        zap_id: FromQuery[UUID | None] = None,
        from_: Annotated[Moment, QueryParameter(name="from", description="Inclusive")],
        to: Annotated[Moment, QueryParameter(description="Exclusive")],
        bucket: Annotated[Width, QueryParameter(description="How long each bucket is, in UTC")] = "hour",
        by: Annotated[
            Literal["step"] | None, QueryParameter(description="`step`: a bucket for each step, about its attempts")
        ] = None,
        min_position: MinPosition = None,
    ) -> Response[Stats]:
        """Of one zap, or of all. Runs count at the moment of their request, whenever they end.

        Durations are percentiles that are off by less than 5 %. Statistics stay when the events that they came from
        are dropped.
        """
        _require_few(from_.at, to.at, bucket)
        pool = services.store.pool
        fresh = await is_fresh(pool, "stats", min_position)
        tenant_id = request.user.tenant_id
        asked = Asked(zap_id=zap_id, width=bucket, since=from_.at, until=to.at, by_step=by == "step")
        items = await read_stats(pool, tenant_id, asked)
        return marked(Stats(items), fresh=fresh)


def _require_few(since: datetime, until: datetime, bucket: Width) -> None:
    count = (until - since) / WIDTHS[bucket]
    if count <= 0:
        problem = "to", "must be later than `from`"
    elif count > MAX_BUCKETS:
        problem = "from", f"at most {MAX_BUCKETS:,} buckets at once: a longer `bucket`, or a shorter time"
    else:
        return
    path, reason = problem
    raise Invalid(f"{path}: {reason}", errors=[{"path": path, "reason": reason}])
