"""Approvals that runs wait for: /api/v1/approvals, and the answer to one: /api/v1/runs/{id}/approvals/{step_id}."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, JSONBody, QueryParameter

from app.accounts.auth import AuthedRequest
from app.commands.approvals import MAX_COMMENT, Approvals, Reply
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command, notes
from app.http.paging import MinPosition, Page, Paging, is_fresh, marked
from app.http.services import Services
from domain.flow.approvals import Verdict
from domain.run.links import Links
from domain.values.json import Json
from projections.approvals import ListedApproval, State, list_approvals

Wanted = Annotated[State | None, QueryParameter(name="state", description="Only those in this state")]
ForRun = Annotated[UUID | None, QueryParameter(description="Only those of this run")]


class ApprovalAnswer(Input, frozen=True):
    """The answer. `data` is the form of the approval, filled in; who rejects may leave it out."""

    decision: Verdict
    comment: Annotated[str, msgspec.Meta(max_length=MAX_COMMENT, pattern=r"^[^\x00]*\Z")] = ""
    data: Mapping[str, Json] = {}


class RecordedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer as it was recorded. `open`: more have to approve."""

    run_id: UUID
    step_id: str
    decision: Verdict
    by: str
    at: datetime
    open: bool
    position: int


class ApprovalRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """One of those who are asked, and what they have answered. `mail`: why the mail did not go out, empty once it did.

    `url` is their page, for those who may answer.
    """

    email: str | None
    role: str | None
    url: str | None
    mail: str | None
    decision: Verdict | None = None
    by: str | None = None
    at: datetime | None = None
    comment: str | None = None
    form: Mapping[str, Json] | None = None


class ApprovalOut(msgspec.Struct, frozen=True, kw_only=True):
    """An approval. `url` is the page of the first who has not answered; null where these credentials may not answer.

    `required` of the recipients have to approve; one who rejects decides for all. `decision`, `by` and `at` are those
    of the answer that decided.
    """

    id: UUID
    run_id: UUID
    zap_id: UUID
    step_id: str
    title: str
    message: str
    form: Mapping[str, Json] | None
    state: State
    required: int
    recipients: list[ApprovalRecipient]
    decision: Verdict | None
    by: str | None
    at: datetime | None
    asked_at: datetime
    deadline: datetime
    url: str | None
    position: int


class ApprovalController(Controller):
    """Approvals of the workspace."""

    tags = ("Approvals",)

    @get("/approvals", summary="List approvals", operation_id="listApprovals", opt=notes(headers=("Stale",)))
    async def approvals(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        links: Injected[Links],
        paging: Injected[Paging],
        *,
        state_: Wanted = None,
        run_id: ForRun = None,
        min_position: MinPosition = None,
    ) -> Response[Page[ApprovalOut]]:
        """Newest first. `expired`: the deadline has passed; `withdrawn`: the run has ended meanwhile."""
        pool = services.store.pool
        fresh = await is_fresh(pool, "approvals", min_position)
        items = await list_approvals(
            pool,
            request.user.tenant_id,
            state=state_,
            run_id=run_id,
            moment=services.now(),
            before=paging.before,
            limit=paging.enough,
        )
        may_answer = "write" in request.user.scopes
        shown = [_shown(item, links, may_answer) for item in items]
        return marked(paging.page(shown, lambda item: item.id), fresh=fresh)

    @command(
        "/runs/{run_id:uuid}/approvals/{step_id:str}",
        "decideApproval",
        "Approve or reject",
        "already_decided",
        "gone",
        "invalid",
    )
    async def decide(
        self,
        run_id: FromPath[UUID],
        step_id: FromPath[str],
        request: AuthedRequest,
        approvals: Injected[Approvals],
        data: JSONBody[ApprovalAnswer],
    ) -> RecordedAnswer:
        """A member answers for the address that is theirs, else for a role, else for whoever has not answered yet."""
        reply = Reply(decision=data.decision, comment=data.comment, data=dict(data.data))
        run = await approvals.answer_as(request.user, run_id, step_id, reply)
        approval = run.state.approvals[step_id]
        given = next(one for one in reversed(approval.answers) if one.user_id == request.user.user_id)
        return RecordedAnswer(
            run_id=run_id,
            step_id=step_id,
            decision=given.decision,
            by=given.by,
            at=given.at,
            open=approval.settled is None,
            position=run.last.position,
        )


def _shown(listed: ListedApproval, links: Links, may_answer: bool) -> ApprovalOut:
    recipients = [_recipient(listed, number, links, may_answer) for number in range(len(listed.recipients))]
    settled = listed.answers[-1] if listed.state == "decided" else None
    waiting = [one.url for one in recipients if one.decision is None]
    return ApprovalOut(
        id=listed.id,
        run_id=listed.run_id,
        zap_id=listed.zap_id,
        step_id=listed.step_id,
        title=listed.title,
        message=listed.message,
        form=listed.form or None,
        state=listed.state,
        required=listed.required,
        recipients=recipients,
        decision=settled.decision if settled else None,
        by=settled.by if settled else None,
        at=settled.at if settled else None,
        asked_at=listed.asked_at,
        deadline=listed.deadline,
        url=waiting[0] if waiting else recipients[0].url,
        position=listed.position,
    )


def _recipient(listed: ListedApproval, number: int, links: Links, may_answer: bool) -> ApprovalRecipient:
    asked = listed.recipients[number]
    given = next((answer for answer in listed.answers if answer.recipient == number), None)
    url = links.approval_url(listed.run_id, listed.step_id, number, asked.token_sha256) if may_answer else None
    return ApprovalRecipient(
        email=asked.email or None,
        role=asked.role or None,
        url=url,
        mail=listed.mails.get(asked.email) if asked.email else None,
        decision=given.decision if given else None,
        by=given.by if given else None,
        at=given.at if given else None,
        comment=given.comment if given else None,
        form=given.form if given else None,
    )
