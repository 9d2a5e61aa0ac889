"""What a role and its reader of topics say to each other, as JSON."""

from typing import TypeAlias

import msgspec

from domain.connector.topic import TopicReading, TopicRequest


class Job(msgspec.Struct, frozen=True):
    """Read a topic; `allowed` are the networks that the operator allows beside public ones."""

    request: TopicRequest
    allowed: tuple[str, ...]


class Read(msgspec.Struct, frozen=True, tag="read"):
    """What was found."""

    reading: TopicReading


class NotRead(msgspec.Struct, frozen=True, tag="not_read"):
    """Why nothing was."""

    code: str
    message: str


Answer: TypeAlias = Read | NotRead
