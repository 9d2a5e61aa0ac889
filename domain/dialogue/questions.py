"""What a connector may ask of servers that speak another protocol than HTTP: mail, databases, somebody else's Kafka.

consumers/dialogues is what stands behind the Protocol.
"""

from typing import Literal, Protocol, TypeAlias

import msgspec

from domain.connection.kinds import MailTls
from domain.dialogue.topic import TopicReading, TopicRequest
from domain.values.json import Json, JsonObject


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server is, and who logs in."""

    host: str
    port: int
    username: str
    password: str

    def __repr__(self) -> str:
        """Without its password: what is printed ends up in logs."""
        return f"{type(self).__name__}({self.host}:{self.port})"


class MailToSend(_Account, frozen=True, kw_only=True, tag="mail_to_send"):
    """A whole message (RFC 5322), and to whom it goes."""

    tls: MailTls
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    timeout_s: float


class MailTaken(msgspec.Struct, frozen=True, tag="mail_taken"):
    """The server has the mail. `refused`: the recipients that it would not take it for, and why."""

    refused: dict[str, str]
    answer: str


class MailboxRequest(_Account, frozen=True, kw_only=True, tag="mailbox_request"):
    """What is new in a folder behind `uid`, which counts while its UIDVALIDITY is `validity` (RFC 3501 §2.3.1.1).

    Without a validity it has not been read before: then `from_end` begins behind its last mail.
    """

    tls: MailTls
    folder: str
    validity: int = 0
    uid: int = 0
    from_end: bool = True
    max_mails: int
    timeout_s: float


class Mail(msgspec.Struct, frozen=True):
    """A mail as templates see it."""

    uid: int
    body: JsonObject


class MailboxReading(msgspec.Struct, frozen=True, kw_only=True, tag="mailbox_reading"):
    """Mails, the oldest first, and behind which one the folder is read next. `more`: there are more already.

    `restarted`: the folder has been numbered anew since, and is read from its end.
    """

    mails: tuple[Mail, ...]
    validity: int
    uid: int
    more: bool = False
    restarted: bool = False


class SqlQuery(_Account, frozen=True, kw_only=True, tag="sql_query"):
    """One statement with its parameters, in a transaction of its own."""

    database: str
    tls: Literal["verify", "require", "off"]
    read_only: bool
    sql: str
    parameters: list[Json]
    max_rows: int
    timeout_s: float


class SqlRows(msgspec.Struct, frozen=True, kw_only=True, tag="sql_rows"):
    """The rows, each by the names of its columns. `truncated`: there were more. `affected`: rows that were written."""

    rows: list[JsonObject]
    truncated: bool = False
    affected: int = 0


class TopicMessage(msgspec.Struct, frozen=True, kw_only=True, tag="topic_message"):
    """A message for a topic of somebody else's Kafka; without a partition the key decides, or chance."""

    servers: tuple[str, ...]
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timeout_s: float


class MessageTaken(msgspec.Struct, frozen=True, tag="message_taken"):
    """All replicas that have to have the message have it."""

    partition: int
    offset: int


Question: TypeAlias = TopicRequest | TopicMessage | MailToSend | MailboxRequest | SqlQuery


class Dialogue(Protocol):
    """Speaks with servers under the rules for outbound addresses, bounded in time and memory.

    Raises domain.connector.http_client.Unreachable, and nothing else.
    """

    async def read(self, request: TopicRequest) -> TopicReading: ...
    async def write(self, message: TopicMessage) -> MessageTaken: ...
    async def send(self, mail: MailToSend) -> MailTaken: ...
    async def look(self, request: MailboxRequest) -> MailboxReading: ...
    async def query(self, query: SqlQuery) -> SqlRows: ...
