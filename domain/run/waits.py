"""What happens while a run waits for somebody: an approval, or a callback.

While it waits, one timer is set: that of the deadline, with the id of the last event. Whatever else is recorded
meanwhile moves the timer on to itself: `until` says when it fires, None where the run waits no more.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from domain.flow.approvals import Verdict
from domain.hook.request import Request
from domain.log.event import Event
from domain.values.json import Json


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of those who are asked, by `email` or by `role`. Of the secret in their link the log has the hash, in hex."""

    email: str = ""
    role: str = ""
    token_sha256: str = ""

    @property
    def name(self) -> str:
        """Who that is, in words."""
        return self.email or f"the role {self.role}"


class ApprovalAsked(Event, frozen=True, kw_only=True):
    """People were asked whether the run may go on. `required` of them have to approve, until the deadline `until`."""

    zap_id: UUID
    step_id: str
    title: str
    message: str = ""
    to: tuple[Asked, ...]
    required: int = 1
    form: Mapping[str, Json] = {}
    until: datetime


class ApprovalAnswered(Event, frozen=True, kw_only=True):
    """One of those who were asked has answered: the `recipient`-th, counted from 0.

    `by` is the name or address of the one who did, `user_id` the member who was signed in, if one was.
    """

    step_id: str
    recipient: int
    by: str
    user_id: UUID | None = None
    decision: Verdict
    comment: str = ""
    form: Mapping[str, Json] = {}
    at: datetime
    ip: str = ""
    user_agent: str = ""
    until: datetime | None = None


class ApprovalMailed(Event, frozen=True, kw_only=True):
    """What an attempt to send the mails came to: by address an empty text, or why it failed."""

    step_id: str
    attempt: int
    results: Mapping[str, str]
    retry_at: datetime | None = None
    until: datetime | None = None


class CallbackAwaited(Event, frozen=True, kw_only=True):
    """The run came to a step that waits for its callback, until the deadline `until`."""

    step_id: str
    until: datetime


class CallbackReceived(Event, frozen=True, kw_only=True):
    """The first request to a step's own URL; it may come before the run does."""

    step_id: str
    request: Request
    at: datetime
    until: datetime | None = None


WaitEvent = ApprovalAsked | ApprovalAnswered | ApprovalMailed | CallbackAwaited | CallbackReceived


class Approval(msgspec.Struct, frozen=True):
    """An approval as it stands."""

    asked: ApprovalAsked
    answers: tuple[ApprovalAnswered, ...] = ()
    mailed: ApprovalMailed | None = None

    @property
    def settled(self) -> ApprovalAnswered | None:
        """The answer that decided; None while it is open. One rejection decides, or as many approvals as it takes."""
        if self.answers and self.answers[-1].decision == "reject":
            return self.answers[-1]
        return self.answers[-1] if len(self.answers) >= self.asked.required else None

    def of(self, recipient: int) -> ApprovalAnswered | None:
        """The answer of one of those who were asked."""
        return next((answer for answer in self.answers if answer.recipient == recipient), None)

    @property
    def undelivered(self) -> list[int]:
        """Those who have neither answered nor got their mail, where they are to have one."""
        results = self.mailed.results if self.mailed else {}
        return [
            number
            for number, asked in enumerate(self.asked.to)
            if asked.email and self.of(number) is None and results.get(asked.email, "unsent")
        ]
