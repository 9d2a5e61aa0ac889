"""Answers to what runs ask: of members who are signed in, and of whoever has a link."""

from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from domain.aggregates import RUN
from domain.flow.approvals import Verdict
from domain.flow.forms import wrong
from domain.log.errors import Invalid, NotFound
from domain.log.event import Metadata, Via
from domain.log.ports import Clock, EventStore, NewId
from domain.log.stream import handle, load, load_of
from domain.run.answers import Run, answer, asked_at
from domain.run.events import RunEvent
from domain.run.links import run_of, token_hash
from domain.run.state import LoadedRun
from domain.run.waits import Approval, ApprovalAnswered
from domain.values.email import canonical
from domain.values.json import Json, JsonObject
from sql.tables.identity import Identity

MAX_COMMENT = 2_000
"""Characters."""
MAX_DATA = 64 * 1024
"""Bytes of what somebody fills in."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody answers. `data` is the form, filled in."""

    decision: Verdict
    comment: str = ""
    data: JsonObject = {}


class Opened(msgspec.Struct, frozen=True):
    """The approval behind a link, and which of those who were asked the link belongs to."""

    run: LoadedRun
    approval: Approval
    recipient: int


class Approvals:
    """Approvals of all tenants."""

    def __init__(self, store: EventStore, identity: Identity, now: Clock, new_id: NewId) -> None:
        self._store = store
        self._identity = identity
        self._now = now
        self._new_id = new_id

    async def open(self, token: str) -> Opened:
        """What a link leads to. Raises NotFound."""
        run_id = run_of(token)
        run = await load(self._store, RUN, run_id) if run_id else None
        known = token_hash(token)
        for approval in run.state.approvals.values() if run else ():
            for recipient, asked in enumerate(approval.asked.to):
                if run and asked.token_sha256 == known:
                    return Opened(run, approval, recipient)
        raise NotFound("there is nothing to approve at this address")

    async def answer_link(self, opened: Opened, reply: Reply, via: Via) -> LoadedRun:
        """The answer of whoever has the link. Raises AlreadyDecided, TooLate and Invalid."""
        asked = opened.approval.asked
        by = asked.to[opened.recipient].name
        given = self._given(asked.step_id, opened.recipient, by, reply, via)
        return await self._record(opened.run, given, Metadata(actor="link", via=via))

    async def answer_as(self, principal: Principal, run_id: UUID, step_id: str, reply: Reply) -> LoadedRun:
        """The answer of a member: for the address that is theirs, else for a role, else for whoever has not answered.

        Raises NotFound, AlreadyDecided, TooLate and Invalid.
        """
        run = await load_of(self._store, RUN, run_id, principal.tenant_id)
        user = await self._identity.user_by_id(principal.user_id)
        if user is None:
            raise NotFound("this account does not exist any more")
        recipient = _place_of(asked_at(run.state, step_id), canonical(user.email))
        given = self._given(step_id, recipient, user.name, reply, principal.via)
        given = msgspec.structs.replace(given, user_id=user.id)
        return await self._record(run, given, principal.metadata)

    def _given(self, step_id: str, recipient: int, by: str, reply: Reply, via: Via) -> ApprovalAnswered:
        return ApprovalAnswered(
            step_id=step_id,
            recipient=recipient,
            by=by,
            decision=reply.decision,
            comment=reply.comment,
            form=reply.data,
            at=self._now(),
            ip=via.ip,
            user_agent=via.user_agent,
        )

    async def _record(self, run: LoadedRun, given: ApprovalAnswered, metadata: Metadata) -> LoadedRun:
        def decided(state: Run) -> list[RunEvent]:
            events = answer(state, given)
            _require_fitting(asked_at(state, given.step_id), given)
            return events

        caused = msgspec.structs.replace(metadata, correlation_id=run.id)
        return await handle(self._store, self._new_id, run, decided, caused)


def _place_of(approval: Approval, email: str) -> int:
    """For which of those who were asked a member answers."""
    asked = list(enumerate(approval.asked.to))
    own = [number for number, one in asked if one.email and canonical(one.email) == email]
    roles = [number for number, one in asked if one.role and approval.of(number) is None]
    others = [number for number, _one in asked if approval.of(number) is None]
    return [*own, *roles, *others, 0][0]


def _require_fitting(approval: Approval, given: ApprovalAnswered) -> None:
    """Raises Invalid for what does not fit the form. To reject, nobody has to fill it in."""
    found = wrong(approval.asked.form, dict(given.form), complete=given.decision == "approve")
    if found:
        errors: list[Json] = [
            {"path": f"data{at.replace('/', '.')}", "pointer": f"/data{at}", "code": "invalid", "reason": reason}
            for at, reason in found
        ]
        raise Invalid(f"data{found[0][0].replace('/', '.')}: {found[0][1]}", errors=errors)
    if len(msgspec.json.encode(given.form)) > MAX_DATA:
        raise Invalid(f"data may have {MAX_DATA:,} bytes")
