"""Proofs that the log is as it was written: /api/v1/audit."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import QueryParameter

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.paging import Page, Paging
from app.http.services import Services
from domain.log.errors import Invalid
from sql.proof.proofs import ConsistencyProof, EventProof, Proofs, SignedCheckpoint
from sql.proof.sparing import SparingVerifier

MOST = 2**62


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


class CheckpointSummary(msgspec.Struct, frozen=True):
    """A signed state of the log: its first `size` events. `note`: a C2SP tlog-checkpoint, `key`: its verifier's."""

    id: UUID
    size: int
    signed_at: datetime
    note: str
    key: str

    @classmethod
    def of(cls, signed: SignedCheckpoint) -> Self:
        """With an id, for lists."""
        return cls(UUID(int=signed.size), signed.size, signed.signed_at, signed.note, signed.key)


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
            int | None, QueryParameter(name="from", ge=1, le=MOST, description="A position, inclusive")
        ] = None,
        to: Annotated[int | None, QueryParameter(ge=1, le=MOST, description="A position, inclusive")] = None,
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

    @get("/checkpoints", summary="List signed checkpoints", operation_id="listCheckpoints")
    async def checkpoints(self, proofs: Injected[Proofs], paging: Injected[Paging]) -> Page[CheckpointSummary]:
        """Newest first. Keep them elsewhere: whoever makes the log anew contradicts every one of them."""
        found = await proofs.checkpoints(paging.before_number, paging.enough)
        return paging.page([CheckpointSummary.of(one) for one in found], lambda one: one.id)

    @get(
        "/checkpoints/latest", summary="Read the newest checkpoint", operation_id="getLatestCheckpoint",
        opt=notes("not_found", answer=str, media_type="text/plain"), media_type="text/plain",
    )  # fmt: skip
    async def latest(self, proofs: Injected[Proofs]) -> Response[str]:
        """As plain text: a C2SP tlog-checkpoint in a signed note, for any tool that knows those."""
        return Response((await proofs.latest()).note, media_type="text/plain; charset=utf-8")

    @get(
        "/proof", summary="Prove an event", operation_id="proveEvent",
        opt=notes("invalid", "not_found", "wrong_status"),
    )  # fmt: skip
    async def proof(
        self,
        request: AuthedRequest,
        proofs: Injected[Proofs],
        *,
        position: Annotated[int | None, QueryParameter(ge=1, le=MOST, description="Where the event is")] = None,
        event_id: Annotated[UUID | None, QueryParameter(description="Or its id")] = None,
        checkpoint: Annotated[
            int | None, QueryParameter(ge=1, le=MOST, description="`size` of a checkpoint; without it the newest")
        ] = None,
    ) -> EventProof:
        """That one of your events is in the log, as it was written: checked by `/docs/assets/verify_proof.py`.

        The event's bytes come along. Of other tenants' events there are only hashes.
        """
        if (position is None) == (event_id is None):
            raise Invalid("give either position or event_id")
        tenant_id = request.user.tenant_id
        if position is None and event_id is not None:
            position = await proofs.position_of(tenant_id, event_id)
        return await proofs.of_event(tenant_id, position or 0, checkpoint)

    @get(
        "/consistency", summary="Prove that the log only grew", operation_id="proveConsistency",
        opt=notes("invalid", "not_found"),
    )  # fmt: skip
    async def consistency(
        self,
        proofs: Injected[Proofs],
        from_: Annotated[int, QueryParameter(name="from", ge=1, le=MOST, description="`size` of a checkpoint")],
        to: Annotated[int, QueryParameter(ge=1, le=MOST, description="`size` of a later one")],
    ) -> ConsistencyProof:
        """That the log of one checkpoint is the beginning of the log of a later one."""
        if from_ > to:
            raise Invalid("from is after to")
        return await proofs.between(from_, to)
