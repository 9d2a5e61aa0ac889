"""Is it alive, and can it serve: /healthz and /readyz."""

from typing import Literal

import msgspec
from litestar import Response, get

from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.services import Services


class Health(msgspec.Struct, frozen=True):
    """`failing` names the checks that do not pass."""

    status: Literal["ok", "failing"]
    failing: list[str] = []


@get("/healthz", tags=["Health"], summary="Alive?", operation_id="getHealth")
async def healthz() -> Health:
    """200 for as long as the process serves requests."""
    return Health("ok")


@get("/readyz", tags=["Health"], summary="Ready?", operation_id="getReadiness", opt=notes(statuses={503: Health}))
async def readyz(services: Injected[Services]) -> Response[Health]:
    """503 with the names of failing checks while requests would not succeed."""
    failing = await services.readiness()
    return Response(Health("failing" if failing else "ok", failing), status_code=503 if failing else 200)
