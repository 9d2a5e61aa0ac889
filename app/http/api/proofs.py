"""Proofs that the log is as it was written: /api/v1/audit."""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter

from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.services import Services
from domain.log.errors import Invalid
from sql.log.sparing import SparingVerifier


class LogHead(msgspec.Struct, frozen=True):
    """The last position that was reached, and the hash of the chain there, in hex."""

    position: int
    hash: str


class FirstProblem(msgspec.Struct, frozen=True):
    """The first position that does not fit, and why."""

    position: int
    reason: str


class Verification(msgspec.Struct, frozen=True):
    """Whether the chain holds, over so many events up to `head`."""

    holds: bool
    events: int
    head: LogHead
    first_problem: FirstProblem | None
    duration_ms: float


class ProofController(Controller):
    """Proves the log."""

    path = "/audit"
    tags = ("Audit",)

    @get("/verify", summary="Verify the hash chain", operation_id="verifyLog", opt=notes("invalid", "busy"))
    async def verify(
        self,
        services: Injected[Services],
        verifier: Injected[SparingVerifier],
        from_: Annotated[
            int | None, QueryParameter(name="from", ge=1, le=2**62, description="A position, inclusive")
        ] = None,
        to: Annotated[int | None, QueryParameter(ge=1, le=2**62, description="A position, inclusive")] = None,
    ) -> Verification:
        """Recomputes every hash, of all tenants' events, and names the first position that does not fit.

        Of a log with more than a million events the newest million, or a range; whole commits are checked. A range
        believes the hash before it, so the ranges of a long log together prove it all.
        """
        head = await services.store.head()
        if from_ is not None and from_ > min(head, to or head):
            raise Invalid(f"there is nothing from {from_} to {to or head}: the log ends at {head}")
        found = await verifier.verify(from_, to, head)
        report = found.report
        problem = None if report.broken_at is None else FirstProblem(report.broken_at, report.reason)
        reached = LogHead(report.position, report.hash)
        return Verification(problem is None, report.events, reached, problem, found.duration_ms)
