"""Speaks with servers for a role, in a few processes that can be killed. Tenants take turns at them."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog

from consumers.dialogues.frames import Answer, Failure, Job
from consumers.outbound.addresses import Network
from consumers.rendering.process import Died, Process
from domain.connector.http_client import Unreachable
from domain.dialogue.questions import (
    Dialogue,
    MailboxReading,
    MailboxRequest,
    MailTaken,
    MailToSend,
    MessageTaken,
    Question,
    SqlQuery,
    SqlRows,
    TopicMessage,
)
from domain.dialogue.topic import TopicReading, TopicRequest
from sql.process.sharing import Shared

log = structlog.get_logger()
A = TypeVar("A")
PROCESSES = 8
"""At once: they end when they are idle."""
SPARE = 2
"""... of which so many are for tenants that have none: servers that hang keep theirs for half a minute."""
WALL_S = 40.0
"""Each question has a time limit of its own; one that passes it by so much is stuck."""
_answers: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)


class Dialogues:
    """The processes start when the first question is asked, and end when there are none. Close it with the role."""

    def __init__(self, allowed: Sequence[Network], processes: int = PROCESSES) -> None:
        self._allowed = tuple(map(str, allowed))
        self._all = tuple(Process("consumers.dialogues.worker", WALL_S) for _ in range(processes))
        self._processes = Shared(self._all, spare=min(SPARE, processes - 1))

    def of(self, tenant_id: UUID) -> Dialogue:
        """The servers as one tenant speaks with them."""
        return _Dialogue(self, tenant_id)

    async def ask(self, tenant_id: UUID, question: Question, kind: type[A], *, again: bool) -> A:
        """The answer. `again`: to ask twice does no harm. Raises Unreachable."""
        frame = await asyncio.to_thread(msgspec.json.encode, Job(question, self._allowed))
        async with self._processes.one(tenant_id) as process:
            body = await _asked(process, frame, again=again)
        answer = await asyncio.to_thread(_answers.decode, body)
        if isinstance(answer, Failure):
            raise Unreachable(answer.code, answer.message, permanent=answer.permanent)
        assert isinstance(answer, kind), "each question has its own kind of answer"
        return answer

    async def aclose(self) -> None:
        """End the processes; dialogues under way fail."""
        for process in self._all:
            await process.aclose()


class _Dialogue(msgspec.Struct, frozen=True):
    """See domain.dialogue.questions.Dialogue."""

    dialogues: Dialogues
    tenant_id: UUID

    async def read(self, request: TopicRequest) -> TopicReading:
        return await self.dialogues.ask(self.tenant_id, request, TopicReading, again=True)

    async def write(self, message: TopicMessage) -> MessageTaken:
        return await self.dialogues.ask(self.tenant_id, message, MessageTaken, again=False)

    async def send(self, mail: MailToSend) -> MailTaken:
        return await self.dialogues.ask(self.tenant_id, mail, MailTaken, again=False)

    async def look(self, request: MailboxRequest) -> MailboxReading:
        return await self.dialogues.ask(self.tenant_id, request, MailboxReading, again=True)

    async def query(self, query: SqlQuery) -> SqlRows:
        return await self.dialogues.ask(self.tenant_id, query, SqlRows, again=False)


async def _asked(process: Process, frame: bytes, *, again: bool) -> bytes:
    """The answer of a process, which may have ended while it was idle. Raises Unreachable."""
    try:
        return await process.ask(frame)
    except Died as died:
        log.info("dialogues.process_ended", reason=str(died), killed_by_limit=died.by_limit)
        limit = died.by_limit
    if again and not limit:
        try:
            return await process.ask(frame)
        except Died:
            limit = True
    if limit:
        raise Unreachable("too_much", "what the server sends takes more time or memory than there is for it")
    raise Unreachable("broken", "the dialogue broke before there was an answer")
