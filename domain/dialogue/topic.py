"""What a trigger may ask of a topic of somebody else's Kafka; see domain.dialogue.questions."""

from collections.abc import Mapping

import msgspec

from domain.values.json import Json


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The offset of a partition that is read next. `era`: how often the partition has been seen to start over."""

    offset: int
    era: int = 0


class TopicRequest(msgspec.Struct, frozen=True, kw_only=True, tag="topic_request"):
    """Which messages are asked for. A partition without a position is read from its end where `from_end`.

    `max_bytes` bounds the key, value and headers of one message, `max_messages` the messages of this answer.
    """

    servers: tuple[str, ...]
    topic: str
    positions: Mapping[int, Position] = {}
    from_end: bool = False
    max_bytes: int
    max_messages: int


class Message(msgspec.Struct, frozen=True):
    """A message as templates see it. `key` names it, and no other message of the topic."""

    key: str
    body: Json


class Skipped(msgspec.Struct, frozen=True):
    """Something that starts no run, and why. `key` is the same whenever it is found."""

    key: str
    reason: str


class TopicReading(msgspec.Struct, frozen=True, kw_only=True, tag="topic_reading"):
    """What was found, and where each partition is read next. `more`: there is more already."""

    messages: tuple[Message, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    positions: Mapping[int, Position] = {}
    more: bool = False
