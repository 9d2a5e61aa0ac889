"""Signs what the log is, again and again, and brings that to where the operator wants it: then nobody can make the log
anew without being found out.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from domain.connector.http_client import HttpClient, HttpRequest, Unreachable
from domain.log.ports import StoreUnavailable
from domain.proof.notes import Signer
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.postgres.queries import Queries
from sql.process.patience import rest
from sql.proof.tree import Incomplete, Tree

log = structlog.get_logger()
_queries = Queries("queries/tree.sql")

TIMEOUT_S = 10.0
MOST_UNDELIVERED = 100
"""Checkpoints that are delivered at once; each proves what the ones before it did."""


class Undelivered(Exception):
    """Who should be given a checkpoint does not take it."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Where checkpoints go: to the end of a file, and in a POST to a URL; an empty one is none."""

    http: HttpClient
    url: str = ""
    file: str = ""

    async def deliver(self, size: int, note: str) -> None:
        """Raises Undelivered."""
        if self.file:
            await asyncio.to_thread(_append, Path(self.file), note)
        if self.url:
            headers = {"content-type": "text/plain; charset=utf-8", "idempotency-key": f"checkpoint-{size}"}
            request = HttpRequest(method="POST", url=self.url, headers=headers, body=note.encode(), timeout_s=TIMEOUT_S)
            try:
                reply = await self.http.request(request)
            except Unreachable as error:
                raise Undelivered(str(error)) from None
            if not 200 <= reply.status < 300:
                raise Undelivered(f"{reply.status} was answered")


class Checkpoints:
    """Makes checkpoints while the log grows. Any number may race."""

    def __init__(
        self,
        store: PgEventStore,
        signer: Signer,
        delivery: Delivery,
        *,
        clock: Callable[[], datetime],
        every_s: float,
    ) -> None:
        self._store = store
        self._tree = Tree(store.pool)
        self._signer = signer
        self._delivery = delivery
        self._clock = clock
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Make one now and after each interval, until `stop`."""
        while not stop.is_set():
            try:
                await self.make()
                await self.deliver()
            except (*CONNECTION_ERRORS, StoreUnavailable, Incomplete, Undelivered, OSError) as error:
                log.warning("checkpoints.failed", error=repr(error))
            await rest(stop, self._every_s)

    async def make(self) -> None:
        """Sign the log as it is, unless it has not grown. Raises Incomplete, and what the store raises."""
        head = await self._store.head()
        newest = await self._store.pool.fetchrow(_queries["checkpoints"], None, 1)
        if head <= (newest["size"] if newest else 0):
            return
        await self._tree.grow(head)
        note = self._signer.sign(head, await self._tree.root(head))
        key, wanted = self._signer.verifier.key, bool(self._delivery.url or self._delivery.file)
        await self._store.pool.execute(_queries["add_checkpoint"], head, self._clock(), note, key, not wanted)
        log.info("checkpoints.signed", size=head)

    async def deliver(self) -> None:
        """Give away what has not been. Raises Undelivered, OSError, and what the store raises."""
        for size, note in await self._store.pool.fetch(_queries["undelivered"], MOST_UNDELIVERED):
            await self._delivery.deliver(size, note)
            await self._store.pool.execute(_queries["delivered"], size)


def _append(path: Path, note: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(note)
