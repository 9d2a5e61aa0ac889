"""Paths that runs have: /api/v1/runs/paths, for whoever writes a search."""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.services import Services
from domain.log.errors import Invalid
from domain.search.query import ROOTS
from domain.values.path import MAX_PATH, Path, parse_path, written
from projections.run_keys import known_keys
from projections.search.asking import KINDS, Kind, known_paths

KEYS = "keys"
"""Below it are search keys."""
Under = Annotated[
    str | None, QueryParameter(max_length=MAX_PATH, description="Only what is there or below, such as `trigger.body`")
]


class KnownPath(msgspec.Struct, frozen=True):
    """A path as `where` takes it, and the types of what stands there; `other` is true, false and null."""

    path: str
    types: list[Kind]


class KnownPaths(msgspec.Struct, frozen=True):
    """In the order of the alphabet, at most 500."""

    items: list[KnownPath]


class RunPathController(Controller):
    """What there is to search for."""

    path = "/runs/paths"
    tags = ("Runs",)

    @get("/", summary="List paths to search by", operation_id="listRunPaths", opt=notes("invalid"))
    async def paths(self, request: AuthedRequest, services: Injected[Services], *, under: Under = None) -> KnownPaths:
        """Paths of values that your newest runs have, as `where` of the list takes them. Of lists, the first item's.

        Search keys are among them, as `keys.NAME`, each with the type that one run has there.
        """
        pool, tenant_id = services.store.pool, request.user.tenant_id
        found = {} if under == KEYS else await known_paths(pool, tenant_id, _parsed(under) if under else ())
        known = {name: types for path, types in found.items() if (name := written(path))}
        if under in (None, KEYS):
            known |= {f"{KEYS}.{name}": {KINDS[kind]} for name, kind in await known_keys(pool, tenant_id)}
        return KnownPaths([KnownPath(path, sorted(known[path])) for path in sorted(known)])


def _parsed(under: str) -> Path:
    try:
        path = parse_path(under)
    except ValueError as error:
        reason = str(error)
    else:
        if path[0] in ROOTS:
            return path
        reason = f"a path begins with one of {', '.join(ROOTS)}, or is `{KEYS}`"
    raise Invalid(f"under: {reason}", errors=[{"path": "under", "reason": reason, "code": "unknown_path"}])
