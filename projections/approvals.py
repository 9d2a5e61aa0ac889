"""The approvals that runs have asked for, newest first: what is asked, of whom, and what they have answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from domain.flow.approvals import Verdict
from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run.events import RunCancelled, RunTimedOut
from domain.run.waits import ApprovalAnswered, ApprovalAsked, ApprovalMailed, Asked
from domain.values.json import Json
from projections.engine.projection import Projection
from projections.engine.rows import execute, forgotten_apart, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/approvals.sql")
State: TypeAlias = Literal["open", "decided", "expired", "withdrawn"]
"""`withdrawn`: the run has ended meanwhile."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the `recipient`-th of those who were asked."""

    recipient: int
    by: str
    decision: Verdict
    comment: str
    form: Mapping[str, Json]
    at: datetime


class ListedApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `mails`: by address an empty text once the mail server took the mail, or why it did not."""

    id: UUID
    run_id: UUID
    zap_id: UUID
    step_id: str
    title: str
    message: str
    form: Mapping[str, Json]
    state: State
    required: int
    recipients: tuple[Asked, ...]
    answers: tuple[Given, ...]
    mails: Mapping[str, str]
    asked_at: datetime
    deadline: datetime
    position: int


async def list_approvals(
    pool: Pool,
    tenant_id: UUID,
    *,
    state: State | None,
    run_id: UUID | None,
    moment: datetime,
    before: UUID | None,
    limit: int,
) -> list[ListedApproval]:
    """A page of a tenant's approvals as they stand at a moment, newest first."""
    query = _queries["page_undecided" if state in ("open", "expired") else "page"]
    rows = await pool.fetch(query, tenant_id, before, limit, moment, run_id, state)
    return [_listed(row) for row in rows]


def _listed(row: "asyncpg.Record") -> ListedApproval:
    decoded = [msgspec.json.decode(part) for part in (row[6], *row[9:12])]
    values = [*row[:6], decoded[0], *row[7:9], *decoded[1:], *row[12:]]
    fields = dict(zip(ListedApproval.__struct_fields__, values, strict=True))
    return msgspec.convert(fields, ListedApproval)


async def mails_due(connection: Connection, moment: datetime, limit: int) -> list[tuple[UUID, str]]:
    """Runs and steps whose mails are to be sent, the longest due first."""
    rows = await connection.fetch(_queries["mail_due"], moment, limit)
    return [(row[0], row[1]) for row in rows]


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    ended: dict[UUID, int] = {}
    happened, forgotten = forgotten_apart(events)
    for stored in sorted(happened, key=lambda event: event.stream_id):
        event = decode(stored.type, stored.schema_version, stored.data)
        match event:
            case ApprovalAsked():
                await connection.execute(_queries["insert"], *_inserted(stored, event))
            case ApprovalAnswered():
                await connection.execute(
                    _queries["answered"],
                    stored.stream_id,
                    event.step_id,
                    _json([_given(event)]),
                    event.until is None,
                    stored.position,
                )
            case ApprovalMailed():
                await connection.execute(
                    _queries["mailed"],
                    stored.stream_id,
                    event.step_id,
                    _json(event.results),
                    event.retry_at,
                    stored.position,
                )
            case RunCancelled(code="rejected"):
                pass  # the approval itself has ended the run, by an answer or at its deadline
            case RunCancelled() | RunTimedOut():
                ended[stored.stream_id] = stored.position
    await execute(connection, _queries["withdrawn"], sorted(ended.items()))
    await execute(connection, _queries["forget"], [(stored.tenant_id, event.run_id) for stored, event in forgotten])


def _inserted(stored: StoredEvent, asked: ApprovalAsked) -> tuple[object, ...]:
    mail_due_at = stored.recorded_at if any(one.email for one in asked.to) else None
    return (
        stored.tenant_id, stored.event_id, stored.stream_id, storable(asked.step_id), asked.zap_id,
        storable(asked.title), storable(asked.message), _json(asked.form), asked.required, _json(asked.to),
        stored.recorded_at, asked.until, mail_due_at, stored.position,
    )  # fmt: skip


def _given(event: ApprovalAnswered) -> Given:
    return Given(
        recipient=event.recipient,
        by=event.by,
        decision=event.decision,
        comment=event.comment,
        form=event.form,
        at=event.at,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


APPROVALS = Projection(
    name="approvals",
    definition=3,
    handles=frozenset(
        {
            "zap.run.approval_asked",
            "zap.run.approval_answered",
            "zap.run.approval_mailed",
            "zap.run.cancelled",
            "zap.run.timed_out",
            "run.forgotten",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
