"""Reads topics for a role, in a few processes that can be killed. Tenants take turns at them."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from consumers.outbound.addresses import Network
from consumers.rendering.process import Died, Process
from consumers.topics.frames import Answer, Job, NotRead, Read
from domain.connector.http_client import Unreachable
from domain.connector.topic import TopicReader, TopicReading, TopicRequest
from sql.process.sharing import Shared

log = structlog.get_logger()
PROCESSES = 8
"""At once: each reads for ten seconds at most, so nobody waits for long, whatever the brokers of others do."""
_answers: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)


class TopicReaders:
    """The processes start when the first topic is read, and end when none is. Close it when the role stops."""

    def __init__(self, allowed: Sequence[Network], processes: int = PROCESSES) -> None:
        self._allowed = tuple(map(str, allowed))
        self._all = tuple(Process("consumers.topics.worker") for _ in range(processes))
        self._processes = Shared(self._all)

    def of(self, tenant_id: UUID) -> TopicReader:
        """Topics as one tenant reads them."""
        return _Reader(self, tenant_id)

    async def read(self, tenant_id: UUID, request: TopicRequest) -> TopicReading:
        """See domain.connector.topic.TopicReader."""
        frame = msgspec.json.encode(Job(request, self._allowed))
        async with self._processes.one(tenant_id) as process:
            body = await _asked(process, frame)
        answer = await asyncio.to_thread(_answers.decode, body)
        match answer:
            case Read(reading):
                return reading
            case NotRead(code, message):
                raise Unreachable(code, message)

    async def aclose(self) -> None:
        """End the processes; readings under way fail."""
        for process in self._all:
            await process.aclose()


class _Reader(msgspec.Struct, frozen=True):
    readers: TopicReaders
    tenant_id: UUID

    async def read(self, request: TopicRequest) -> TopicReading:
        """See domain.connector.topic.TopicReader."""
        return await self.readers.read(self.tenant_id, request)


async def _asked(process: Process, frame: bytes) -> bytes:
    """The answer of a process, which may have ended while it was idle. Raises Unreachable."""
    try:
        return await process.ask(frame)
    except Died as died:
        log.info("topics.process_ended", reason=str(died), killed_by_limit=died.by_limit)
        if not died.by_limit:
            try:
                return await process.ask(frame)
            except Died:
                pass
    raise Unreachable("too_much", "what the brokers send takes more time or memory than there is for it")
