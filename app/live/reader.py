"""Reads the log for all listeners of a process, over one connection, which is there only while somebody listens.

Those who have been told everything are told what is new when the log's NOTIFY comes. Those who come again from an
earlier position get there by pages of the log, in turn with what is new: one page serves all who need it. Positions
have no gaps and become visible in order, so whatever was read up to a position is all there is up to it.
"""

import asyncio
import random
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec
import structlog

from app.live.listeners import Listener, News, news_of
from app.live.news import TYPES, LiveReset, Row, beginning, told
from consumers.kafka.hints import listen
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.patience import rest

log = structlog.get_logger()
_queries = Queries("queries/live.sql")

MAX_BEHIND = 100_000
"""Positions that a listener may be behind: it is told of no more, as reading them would take seconds."""
STRETCH = 10_000
"""Positions that one page looks at."""
PAGE = 500
"""Events of one page."""
PACE_S = 0.1
"""Between two looks at a log that grows all the time: what comes meanwhile is sent in one piece."""
LOOK_S = 0.8
"""How long a NOTIFY that was lost may delay an event."""
SLICE = 25
"""Listeners that are told something at once; then others have a turn on the event loop."""
REST_S = 0.01
KNOWN_RUNS = 20_000
"""Runs of which the zap is remembered."""
RETRY_MS = (1_000, 3_000)
"""When to come again once a stream ends, at random, so that not all come at once."""


class Reader:
    """Tells `listeners` what is new. `run` it while there are any."""

    def __init__(self, dsn: str, listeners: Collection[Listener]) -> None:
        self._dsn = dsn
        self._listeners = listeners
        self._woken = asyncio.Event()
        self._position: int | None = None
        self._head = 0
        self._zaps: OrderedDict[UUID, UUID] = OrderedDict()

    def wake(self) -> None:
        """Somebody has come."""
        self._woken.set()

    def has_read(self, listener: Listener) -> None:
        """One of the listeners has read what it was told: there may be more for it."""
        if listener.position is not None and listener.position < (self._position or 0):
            self._woken.set()

    async def run(self) -> None:
        """Read for as long as the task lives, through outages of the database."""
        self._position = None
        await listen(self._dsn, "live", self._hinted, self._follow)

    def _hinted(self, head: int) -> None:
        self._head = max(self._head, head)
        self._woken.set()

    async def _follow(self, connection: Connection) -> None:
        connection.add_termination_listener(lambda _: self._woken.set())
        self._head = 0  # a database that was restored has an earlier one
        await self._look(connection)
        while not connection.is_closed():
            self._woken.clear()
            if any(one.position is None for one in self._listeners):
                await self._look(connection)
            is_new = await self._tell_new(connection)
            is_late = await self._tell_late(connection)
            if is_new or is_late:
                is_far = self._head - (self._position or 0) > PAGE
                await asyncio.sleep(REST_S if is_late or is_far else PACE_S)
            elif not await rest(self._woken, LOOK_S):
                await self._look(connection)

    async def _look(self, connection: Connection) -> None:
        """Where the log ends; who has come begins there, or where it left off."""
        head, dropped = await connection.fetchrow(_queries["ends"]) or (0, None)
        self._head = max(self._head, head)
        if self._position is None or not self._head - MAX_BEHIND <= self._position <= self._head:
            self._skip_to(self._head)
        for listener in self._listeners:
            if listener.position is None:
                _begin(listener, self._head, dropped or 0)

    def _skip_to(self, head: int) -> None:
        """The log was restored to an earlier state, or has grown too much while it could not be read."""
        for listener in self._listeners if self._position is not None else ():
            if listener.position is not None:
                listener.reset(LiveReset(position=head, reason="unknown" if listener.position > head else "too_old"))
        self._position = head

    async def _tell_new(self, connection: Connection) -> bool:
        """Tell what the log has taken since. Whether it had."""
        start, head = self._position or 0, self._head
        if head <= start:
            return False
        if head - start > MAX_BEHIND:
            self._skip_to(head)
            return True
        self._position = await self._tell(connection, start, min(head, start + STRETCH), at_head=True)
        return True

    async def _tell_late(self, connection: Connection) -> bool:
        """Tell those who came from an earlier position the next page. Whether there are any."""
        position = self._position or 0
        late = [
            listener.position for listener in self._listeners
            if listener.position is not None and listener.position < position and listener.takes_more
        ]  # fmt: skip
        if not late:
            return False
        await self._tell(connection, min(late), min(position, min(late) + STRETCH), at_head=False)
        return True

    async def _tell(self, connection: Connection, start: int, until: int, *, at_head: bool) -> int:
        """Tell the news after `start` to all who know what is up to there. Gives how far these go."""
        listeners = [one for one in self._listeners if one.position is not None and start <= one.position < until]
        rows = await self._rows(connection, start, until, list({listener.tenant_id for listener in listeners}))
        if len(rows) == PAGE:
            until = rows[-1].position
        news = await self._news(connection, rows)
        woken = 0
        for listener in listeners:
            if listener.position is None or not start <= listener.position < until:
                continue
            woken += listener.take(news.get(listener.tenant_id, ()), until, at_head=at_head)
            if woken == SLICE:
                woken = 0
                await asyncio.sleep(REST_S)
        return until

    async def _rows(self, connection: Connection, start: int, until: int, tenants: Sequence[UUID]) -> list[Row]:
        if not tenants:
            return []
        found = await connection.fetch(_queries["page"], start, until, tenants, TYPES, PAGE)
        return [Row(*row) for row in found]

    async def _news(self, connection: Connection, rows: Sequence[Row]) -> Mapping[UUID, Sequence[News]]:
        """What there is to tell, by tenant."""
        await self._learn_zaps(connection, rows)
        news: dict[UUID, list[News]] = defaultdict(list)
        for row in rows:
            zap_id = self._zaps.get(row.stream_id) if row.of_run else row.stream_id
            try:
                if zap_id is not None:
                    news[row.tenant_id].append(news_of(told(row, zap_id)))
            except msgspec.DecodeError as error:
                log.warning("live.unreadable_event", position=row.position, error=str(error))
        while len(self._zaps) > KNOWN_RUNS:
            self._zaps.popitem(last=False)
        return news

    async def _learn_zaps(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Remember the zap of each run."""
        for row in rows:
            if row.requests:
                self._learn_zap(row.stream_id, row.data)
        unknown = sorted({row.stream_id for row in rows if row.of_run and row.stream_id not in self._zaps})
        if unknown:
            for run_id, data in await connection.fetch(_queries["requests"], unknown, unknown[0], unknown[-1]):
                self._learn_zap(run_id, data)

    def _learn_zap(self, run_id: UUID, data: bytes) -> None:
        try:
            zap_id = beginning(data).zap_id
        except msgspec.DecodeError as error:
            log.warning("live.unreadable_run", run_id=str(run_id), error=str(error))
            return
        if zap_id is not None:
            self._zaps[run_id] = zap_id


def _begin(listener: Listener, head: int, dropped: int) -> None:
    """Where a listener begins: behind the position that it names, if what follows can be told."""
    after = head if listener.after is None else listener.after
    retry_ms = random.randint(*RETRY_MS)  # noqa: S311 - spreads load, guards nothing
    if after > head:
        listener.welcome(head, retry_ms, LiveReset(position=head, reason="unknown"))
    elif after < max(dropped, head - MAX_BEHIND):
        listener.welcome(head, retry_ms, LiveReset(position=head, reason="too_old"))
    else:
        listener.welcome(after, retry_ms)
