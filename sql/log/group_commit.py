"""Appends by group commit: what all tasks of a process have to say to the log goes into few calls.

Commands queue up; one writer sends as many as are waiting in one call of es.append. That shares one lock and one
fsync among them, which is what makes a globally ordered log fast. Large commands have a writer of their own, and a
call each: the others wait neither for their way to the server nor behind a batch of them.
"""

import asyncio
from collections.abc import Sequence

from domain.log.event import Append, AppendResult, encode_metadata
from domain.log.ports import AppendRefused
from domain.registry import encode, event_type
from sql.log.hashing import event_hash
from sql.log.writer import Row, Waiting, Writer

LARGE = 32 * 1024
"""Bytes of payload above which a command goes its own way, and is hashed in a thread. es.append has the same bound."""
APPEND_TIMEOUT_S = 2.0
"""How long a command may wait for its answer before the caller is told to try again later."""


class GroupCommit:
    """The ways to the log: one for large commands, one for all others."""

    def __init__(self, dsn: str, name: str, patience_s: float) -> None:
        self._small = Writer(dsn, f"{name} writer", patience_s)
        self._large = Writer(dsn, f"{name} large writer", patience_s, most_bytes=1)

    def open(self) -> None:
        """Begin to write."""
        self._small.open()
        self._large.open()

    async def close(self) -> None:
        """Stop writing, and refuse what waits."""
        await self._small.close()
        await self._large.close()

    async def append(self, command: Append) -> AppendResult:
        """See domain.log.ports.EventStore. A caller that is cancelled leaves its command to the writer."""
        writer, waiting = await self._prepared(command)
        writer.add(waiting)
        return await waiting.result

    async def append_each(self, commands: Sequence[Append]) -> list[AppendResult]:
        """Likewise. One that goes another way than those before it does so once these are in the log."""
        sent: list[asyncio.Future[AppendResult]] = []
        last: Writer | None = None
        for command in commands:
            writer, waiting = await self._prepared(command)
            if writer is not last:
                await asyncio.gather(*sent)
            writer.add(waiting)
            sent.append(waiting.result)
            last = writer
        return await asyncio.gather(*sent)

    async def _prepared(self, command: Append) -> tuple[Writer, Waiting]:
        """The command as it goes to the log, and on which way."""
        self._small.require_room(command.tenant_id)
        try:
            payloads = [encode(new.event) for new in command.events]
        except UnicodeEncodeError as error:
            raise AppendRefused(f"the events cannot be written as UTF-8: {error}") from error
        size = sum(map(len, payloads))
        if size <= LARGE:
            writer, rows = self._small, _rows(command, payloads)
        else:
            writer, rows = self._large, await asyncio.to_thread(_rows, command, payloads)
        return writer, Waiting(command, rows, size, asyncio.get_running_loop().create_future())


def _rows(command: Append, payloads: Sequence[bytes]) -> tuple[Row, ...]:
    if not payloads:
        raise ValueError("an append needs at least one event")
    meta = encode_metadata(command.metadata)
    rows = []
    for new, data in zip(command.events, payloads, strict=True):
        kind = event_type(new.event)
        digest = event_hash(
            kind=command.kind,
            stream_id=command.stream_id,
            tenant_id=command.tenant_id,
            ordering_key=command.ordering_key,
            event_id=new.event_id,
            type_=kind.name,
            schema_version=kind.schema_version,
            meta=meta,
            data=data,
        )
        rows.append((new.event_id, kind.name, kind.schema_version, meta, data, digest, new.due_at))
    return tuple(rows)
