"""What a role and a process that speaks with servers say to each other, as JSON."""

from typing import TypeAlias

import msgspec

from domain.dialogue.questions import MailboxReading, MailTaken, MessageTaken, Question, SqlRows
from domain.dialogue.topic import TopicReading


class Job(msgspec.Struct, frozen=True):
    """Ask a server; `allowed` are the networks that the operator allows beside public ones."""

    question: Question
    allowed: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why there is no answer. `permanent`: another try would not heal it."""

    code: str
    message: str
    permanent: bool = False


Answer: TypeAlias = TopicReading | MessageTaken | MailTaken | MailboxReading | SqlRows | Failure
