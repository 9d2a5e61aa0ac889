"""Mails to people whose approval a run waits for: one each, with a link of their own.

What is due comes from a read model, and what counts is the run itself. Mails are recorded after they were sent: a crash
between the two sends them again, with the same id and the same link.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import msgspec
import structlog

from consumers.notifier.mail import MailFailed
from consumers.notifier.recipients import NotMailed, Recipients
from domain.aggregates import RUN
from domain.log.event import Metadata
from domain.log.ports import EventStore, NewId
from domain.log.stream import handle, load
from domain.run.answers import mailed, written
from domain.run.links import Links
from domain.run.state import ActiveRun, LoadedRun
from domain.run.waits import Approval, ApprovalMailed
from projections.approvals import mails_due
from sql.postgres.pool import Connection

log = structlog.get_logger()
AT_A_TIME = 100
ATTEMPTS_AFTER_S = (10.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, *[6 * 3_600.0] * 28)
"""Seconds from a failed attempt to the next one; when the list ends, after a week, it is given up.

The owner of an address may take a while to confirm it.
"""
MAX_REASON = 300


class ApprovalMails(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sends them."""

    store: EventStore
    recipients: Recipients
    links: Links
    new_id: NewId
    sending: dict[UUID, asyncio.Task[None]] = msgspec.field(default_factory=dict)

    async def check(self, connection: Connection, moment: datetime) -> None:
        """Begin to send what is due. Raises what the store and the connection raise, also while mails were sent."""
        for run_id, step_id in await mails_due(connection, moment, AT_A_TIME):
            if run_id not in self.sending:
                self.sending[run_id] = asyncio.create_task(self._send(run_id, step_id, moment))
        done = [run_id for run_id, task in self.sending.items() if task.done()]
        for error in [self.sending.pop(run_id).exception() for run_id in done]:
            if error:
                raise error

    async def _send(self, run_id: UUID, step_id: str, moment: datetime) -> None:
        run = await load(self.store, RUN, run_id)
        if run is None or not isinstance(run.state, ActiveRun) or run.state.waits_at != step_id:
            return
        approval = run.state.approvals[step_id]
        before = approval.mailed
        if before is not None and (before.retry_at is None or before.retry_at > moment):
            return  # the read model lags
        numbers = approval.undelivered
        results = await asyncio.gather(*(self._mail(run, approval, number, moment) for number in numbers))
        addresses = [approval.asked.to[number].email for number in numbers]
        await self._record(run, approval, dict(zip(addresses, results, strict=True)), moment)

    async def _record(self, run: LoadedRun, approval: Approval, results: Mapping[str, str], moment: datetime) -> None:
        before = approval.mailed
        attempt = before.attempt + 1 if before else 1
        again = self.recipients.has_server and any(results.values()) and attempt <= len(ATTEMPTS_AFTER_S)
        sent = ApprovalMailed(
            step_id=approval.asked.step_id,
            attempt=attempt,
            results={**(before.results if before else {}), **results},
            retry_at=moment + timedelta(seconds=ATTEMPTS_AFTER_S[attempt - 1]) if again else None,
        )
        failed = sum(bool(reason) for reason in results.values())
        log.info("approval.mailed", run_id=str(run.id), step_id=sent.step_id, attempt=attempt, failed=failed)
        metadata = Metadata(actor="notifier", correlation_id=run.id)
        await handle(self.store, self.new_id, run, lambda state: mailed(state, sent), metadata)

    async def _mail(self, run: LoadedRun, approval: Approval, number: int, moment: datetime) -> str:
        """Send to one of those who are asked. Gives an empty text, or why it failed."""
        asked = approval.asked
        url = self.links.approval_url(run.id, asked.step_id, number, asked.to[number].token_sha256)
        if not self.recipients.has_server:
            return "no mail server is set up: the operator sets TRIGGERHUB_SMTP_HOST"
        if url is None:
            return "the key with which this link was made is not set any more"
        message_id = uuid5(run.id, f"approval {asked.step_id} {number}")
        try:
            await self.recipients.write(
                run.tenant_id,
                asked.to[number].email,
                subject(approval),
                text(approval, url),
                message_id=message_id,
                at=moment,
            )
        except (MailFailed, NotMailed) as error:
            return str(error)[:MAX_REASON].encode("utf-8", "replace").decode().replace("\0", "")
        return ""


def subject(approval: Approval) -> str:
    """One line for the inbox."""
    return " ".join(approval.asked.title.split())


def text(approval: Approval, url: str) -> str:
    """What is asked, for people."""
    asked = approval.asked
    message = f"{asked.message.strip()}\n\n" if asked.message.strip() else ""
    return (
        f"{asked.title.strip()}\n\n{message}"
        f"To approve or reject, open this page until {written(asked.until)}:\n{url}\n\n"
        "The link is yours alone: whoever has it can answer in your place.\n"
    )
