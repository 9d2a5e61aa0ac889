"""What a run asks people, and what they have answered, as the run's detail shows it."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from domain.flow.approvals import Verdict
from domain.run import waits
from domain.values.json import Json


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What one of those who were asked has answered; `for_` is who was asked, which `by` may have answered for."""

    for_: str = msgspec.field(name="for")
    by: str
    decision: Verdict
    comment: str
    form: Mapping[str, Json]
    at: datetime


class Asking(msgspec.Struct, kw_only=True):
    """An approval: what is asked, who is asked, and what they have answered so far.

    `mails`: by address an empty text where the mail server took it, or why not.
    """

    title: str
    message: str
    to: list[str]
    required: int
    form: Mapping[str, Json]
    deadline: datetime
    answers: list[Answered] = []
    mails: dict[str, str] = {}


def asking(asked: waits.ApprovalAsked) -> Asking:
    """What was asked, before anybody has answered."""
    return Asking(
        title=asked.title,
        message=asked.message,
        to=[one.name for one in asked.to],
        required=asked.required,
        form=asked.form,
        deadline=asked.until,
        answers=[],
        mails={},
    )


def answered(asked: Asking, event: waits.ApprovalAnswered) -> Answered:
    """An answer to it."""
    return Answered(
        for_=asked.to[event.recipient],
        by=event.by,
        decision=event.decision,
        comment=event.comment,
        form=event.form,
        at=event.at,
    )
