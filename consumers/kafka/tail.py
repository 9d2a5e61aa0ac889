"""What the log took a moment ago, straight from the log, for a consumer that has caught up with the topic.

An event would otherwise wake the relay, the broker and the consumer's fetch one after the other. Here the log's NOTIFY
wakes the consumer at once, while the topic brings the same event later, to be dropped as a repeat. Several consumers
that share the partitions would each read all of the log, so with much to do they read the topic only. For a NOTIFY that
was lost the log's head is asked for from time to time. Who has lost the broker, and with it perhaps its partitions,
waits for the topic.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from consumers.kafka.hints import listen
from consumers.kafka.watermark import Watermarks
from domain.envelope import MAX_INLINE_DATA
from domain.log.event import StoredEvent
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.patience import rest

_events = Queries("queries/events.sql")
_tail = Queries("queries/tail.sql")

LUMP = 300
"""Events after which the topic is read, too: who loses the lead has at most so many repeats to get over first."""
PORTION = 200
"""Events of the log that are looked through in one go: at most 50 MiB, as larger payloads stay behind."""
BUSY_PER_S = 1_000
"""Events a second from which on consumers that share the partitions read the topic only, or from a portion on."""
FEW = 10
PACE_S = 0.005
"""Between two portions where more than a few events came: many small questions cost everybody on the machine more."""
LOOK_S = 0.8
"""How long a NOTIFY that was lost may delay an event."""
RETRY_S = 0.25
"""How often a consumer that reads the topic looks whether it has caught up."""

Take = Callable[[Sequence[StoredEvent], int], Awaitable[bool]]
_offsets = msgspec.json.Decoder(dict[int, tuple[int, int]])


class Published(msgspec.Struct, frozen=True):
    """How far the relay has come: its position, the last position by partition; and the log's head."""

    position: int
    last: Mapping[int, int]
    head: int

    def seen_by(self, marks: Watermarks) -> bool:
        """Whether a consumer has seen all of it, in its partitions."""
        return all(mark.seen >= self.last.get(partition, 0) for partition, mark in marks.by_partition.items())


async def published(connection: Connection) -> Published:
    """What the relay has published. Raises what connections raise."""
    row = await connection.fetchrow(_tail["published"])
    assert row is not None, "the migration inserts the relay's row"
    last = {partition: position for partition, (_offset, position) in _offsets.decode(row[1]).items()}
    return Published(row[0], last, row[2])


class Tail:
    """Follows the end of the log. `take` gets events of `types`, and up to which position these are all.

    It says whether it took them.

    `may_lead`: whether its partitions are surely this consumer's. `shares`: whether others have some, too. `behind` is
    called when the topic is to be read: without rest where this consumer depends on it.
    """

    def __init__(
        self,
        dsn: str,
        marks: Watermarks,
        types: Callable[[], Sequence[str]],
        take: Take,
        *,
        may_lead: Callable[[], bool],
        shares: Callable[[], bool],
        behind: Callable[[], None],
    ) -> None:
        self._dsn = dsn
        self._marks = marks
        self._types = types
        self._take = take
        self._may_lead = may_lead
        self._shares = shares
        self._behind = behind
        self._position: int | None = None
        self._loads = 0
        self._head = 0
        self._repeated = 0
        self._hint = asyncio.Event()
        self._window = (float("-inf"), 0)

    @property
    def leads(self) -> bool:
        """Whether this consumer has events from here, so that the topic has nothing new for it."""
        return self._position is not None and self._loads == self._marks.loads and self._may_lead()

    async def run(self) -> None:
        """Follow for as long as the task lives, through outages of the database."""
        await listen(self._dsn, "tail", self._hinted, self._follow)

    async def _follow(self, connection: Connection) -> None:
        connection.add_termination_listener(lambda _: self._hint.set())
        try:
            while not connection.is_closed():
                if not self.leads:
                    await asyncio.sleep(RETRY_S)
                    await self._catch_up(connection)
                else:
                    await self._wait(connection)
                    self._hint.clear()
                    await self._go_on(connection)
        finally:
            self._position = None
            self._behind()

    async def _wait(self, connection: Connection) -> None:
        """Wait until the log may have grown."""
        if not await rest(self._hint, LOOK_S):
            head: int = await connection.fetchval(_events["head"])
            if not self._hint.is_set():  # one that came meanwhile is newer
                self._head = head

    def _hinted(self, head: int) -> None:
        self._head = head
        self._hint.set()
        if not self.leads:
            self._behind()

    async def _catch_up(self, connection: Connection) -> None:
        """Lead from where the relay is, if this consumer has seen all that was published until there."""
        loads = self._marks.loads
        sent = await published(connection)
        if self._marks.by_partition and sent.seen_by(self._marks) and self._keeps_up(sent.position, sent.head):
            self._position, self._loads = sent.position, loads
            self._head = sent.head
            self._hint.set()
        elif sent.position < sent.head:
            await connection.execute(_tail["hurry"])

    async def _go_on(self, connection: Connection) -> None:
        """Take what is new. Out of the lead when that is too much, or the log went back in time."""
        head, position = self._head, self._position
        if position is None or not self.leads or not self._keeps_up(position, head):
            self._position = None
            self._behind()
            await connection.execute(_tail["hurry"])
        elif head > position:
            await self._take_portion(connection, position, min(head, position + PORTION))

    async def _take_portion(self, connection: Connection, after: int, until: int) -> None:
        rows = await connection.fetch(_tail["after"], after, until, self._types(), MAX_INLINE_DATA)
        taken = await self._take([StoredEvent(*row) for row in rows], until)
        self._position = until if taken else None
        if until - self._repeated >= LUMP:
            self._repeated = until
            self._behind()
        if until < self._head:
            self._hint.set()
        if until - after > FEW:
            await asyncio.sleep(PACE_S)

    def _keeps_up(self, position: int, head: int) -> bool:
        """Whether this is the cheaper way: among several, while the log is little ahead and grows slowly."""
        now, (at, then) = asyncio.get_running_loop().time(), self._window
        if now - at >= 1:
            self._window = (now, head)
        is_calm = head - position <= PORTION and head - then <= BUSY_PER_S * max(1.0, now - at)
        return head >= position and (is_calm or not self._shares())
