"""The command handler: load a stream, fold it, decide on its state, append at the version that was seen.

Every aggregate is changed this way; domain/aggregates.py lists them. Facts that need no decision are just appended.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Generic, TypeVar, cast
from uuid import UUID

import msgspec

from domain.log.errors import NotFound, VersionConflict
from domain.log.event import (
    ANY_VERSION,
    DEDUPE_WINDOW_S,
    Append,
    Appended,
    Event,
    Metadata,
    NewEvent,
    StoredEvent,
    StreamKind,
)
from domain.log.ports import EventStore, NewId, StoreUnavailable

S = TypeVar("S")
E = TypeVar("E", bound=Event)
ATTEMPTS = 5
"""How often a command is decided when others are faster each time."""


class Contended(StoreUnavailable):
    """Others changed the stream at every attempt; nothing was stored."""


def _no_timer(_event: Event) -> None:
    return None


def _never(_state: object) -> bool:
    return False


class Aggregate(msgspec.Struct, Generic[S, E], frozen=True, kw_only=True, eq=False):
    """One kind of aggregate. S is its state while it exists, E the union of its events.

    `noun` is what people call it, `first` the stored name of the event that each of its streams starts with.
    `evolve` gives the state after an event and the moment when that was recorded. `due_at` tells when the timer fires
    that an event sets; a state that `waits` does so for the timer of the last event.
    """

    noun: str
    kind: StreamKind
    first: str
    decode: Callable[[str, int, bytes], Event]
    evolve: Callable[[S | None, E, datetime], S | None]
    due_at: Callable[[E], datetime | None] = _no_timer
    waits: Callable[[S], bool] = _never


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an event stands in the log."""

    event_id: UUID
    position: int
    recorded_at: datetime


class Loaded(msgspec.Struct, Generic[S, E], frozen=True, kw_only=True, eq=False):
    """An aggregate as its stream says it is. `version` counts the events, `meta` is the first one's metadata.

    `unstored`: what begins the stream is not in the log yet, and goes there together with what comes next.
    """

    aggregate: Aggregate[S, E]
    id: UUID
    tenant_id: UUID
    ordering_key: UUID
    meta: bytes
    state: S
    version: int
    first: Place
    last: Place
    unstored: Append | None = None

    @property
    def folded(self) -> int:
        """How many events the state comes from: the first ones of the stream, stored or not."""
        return self.version + (len(self.unstored.events) if self.unstored else 0)

    @property
    def timer_id(self) -> UUID | None:
        """The timer that the state waits for: it has the id of the event that set it."""
        return self.last.event_id if self.aggregate.waits(self.state) else None

    def append(self, new_id: NewId, events: Sequence[E], metadata: Metadata, *, timer_id: UUID | None = None) -> Append:
        """What stores events behind those that were read, and clears a timer."""
        due_at = self.aggregate.due_at
        new = tuple([NewEvent(new_id(), event, due_at(event)) for event in events])
        if self.unstored is not None:
            return msgspec.structs.replace(self.unstored, events=(*self.unstored.events, *new))
        return Append(
            kind=self.aggregate.kind,
            stream_id=self.id,
            expected=self.version,
            tenant_id=self.tenant_id,
            ordering_key=self.ordering_key,
            events=new,
            metadata=metadata,
            timer_id=timer_id,
        )

    def after(self, append: Append, appended: Appended, at: datetime) -> "Loaded[S, E]":
        """The aggregate once its append is stored, without reading it back; `at` is about when that was."""
        state: S | None = self.state
        known = len(self.unstored.events) if self.unstored else 0
        for new in append.events[known:]:
            state = self.aggregate.evolve(state, cast(E, new.event), at)
        assert state is not None, "what exists goes on existing"
        last = Place(append.events[-1].event_id, appended.position, at)
        first = Place(self.first.event_id, appended.position - len(append.events) + 1, at) if known else self.first
        return msgspec.structs.replace(
            self, state=state, version=appended.version, first=first, last=last, unstored=None
        )


def fold(
    aggregate: Aggregate[S, E], events: Sequence[StoredEvent], known: Loaded[S, E] | None = None
) -> Loaded[S, E] | None:
    """The aggregate after its whole stream, or after what is new since it was known.

    None for no events, and for the stream of something else. Raises what `aggregate.decode` raises.
    """
    if not events or (known is None and events[0].type != aggregate.first):
        return known
    state = known.state if known else None
    for stored in events:
        event = aggregate.decode(stored.type, stored.schema_version, stored.data)
        state = aggregate.evolve(state, cast(E, event), stored.recorded_at)
    if state is None:
        return None
    first, last = events[0], events[-1]
    place = Place(last.event_id, last.position, last.recorded_at)
    beginning = Place(first.event_id, first.position, first.recorded_at)
    if known is not None:
        beginning = beginning if known.unstored else known.first
        return msgspec.structs.replace(
            known, state=state, version=last.version, first=beginning, last=place, unstored=None
        )
    return Loaded(
        aggregate=aggregate,
        id=first.stream_id,
        tenant_id=first.tenant_id,
        ordering_key=first.ordering_key,
        meta=first.meta,
        state=state,
        version=last.version,
        first=beginning,
        last=place,
    )


def begun(aggregate: Aggregate[S, E], append: Append, appended: Appended, at: datetime) -> Loaded[S, E]:
    """A new aggregate whose first append was just stored, without reading it back; `at` is about when that was."""
    return to_begin(aggregate, append, at).after(append, appended, at)


def to_begin(aggregate: Aggregate[S, E], append: Append, at: datetime) -> Loaded[S, E]:
    """A new aggregate whose first append is still to be made, with what comes next; `at` is now."""
    state: S | None = None
    for new in append.events:
        state = aggregate.evolve(state, cast(E, new.event), at)
    assert state is not None, "a stream begins with what it is about"
    return Loaded(
        aggregate=aggregate,
        id=append.stream_id,
        tenant_id=append.tenant_id,
        ordering_key=append.ordering_key,
        meta=msgspec.json.encode(append.metadata),
        state=state,
        version=0,
        first=Place(append.events[0].event_id, 0, at),
        last=Place(append.events[-1].event_id, 0, at),
        unstored=append,
    )


async def load(store: EventStore, aggregate: Aggregate[S, E], stream_id: UUID) -> Loaded[S, E] | None:
    """The aggregate as it is now, None where there is none. Raises StoreUnavailable, and what decoding raises."""
    return fold(aggregate, await store.read_stream(aggregate.kind, stream_id))


async def load_of(store: EventStore, aggregate: Aggregate[S, E], stream_id: UUID, tenant_id: UUID) -> Loaded[S, E]:
    """A tenant's aggregate as it is now. Raises NotFound, also for what is somebody else's."""
    loaded = await load(store, aggregate, stream_id)
    if loaded is None or loaded.tenant_id != tenant_id:
        raise NotFound(f"no such {aggregate.noun}")
    return loaded


async def load_many(
    store: EventStore, aggregate: Aggregate[S, E], stream_ids: Sequence[UUID]
) -> dict[UUID, Loaded[S, E]]:
    """Those of them that there are."""
    streams = await store.read_streams(aggregate.kind, stream_ids)
    found = ((stream_id, fold(aggregate, events)) for stream_id, events in streams.items())
    return {stream_id: loaded for stream_id, loaded in found if loaded is not None}


async def follow(store: EventStore, known: Loaded[S, E]) -> Loaded[S, E]:
    """The aggregate as it is now; only what is new is read."""
    news = await store.read_stream(known.aggregate.kind, known.id, after=known.version)
    return fold(known.aggregate, news, known) or known


async def append(
    store: EventStore, new_id: NewId, loaded: Loaded[S, E], events: Sequence[E], metadata: Metadata
) -> bool:
    """Store what was decided, and clear the timer that the aggregate waited for: none fires into what has ended.

    False for no events, and where somebody else was quicker.
    """
    if not events:
        return False
    command = loaded.append(new_id, events, metadata, timer_id=loaded.timer_id)
    return isinstance(await store.append(command), Appended)


async def handle(
    store: EventStore,
    new_id: NewId,
    loaded: Loaded[S, E],
    decide: Callable[[S], Sequence[E]],
    metadata: Metadata,
    *,
    expected: Collection[int] | None = None,
) -> Loaded[S, E]:
    """Carry a command out on an aggregate as it was loaded: decided anew where somebody else was quicker.

    With `expected` only if its version is one of these. Raises what `decide` raises, VersionConflict and Contended.
    """
    for _ in range(ATTEMPTS):
        if expected is not None and loaded.version not in expected:
            raise VersionConflict(
                f"the {loaded.aggregate.noun} was changed since you read it: read it again and use its new ETag"
            )
        events = decide(loaded.state)
        if not events:
            return loaded
        done = await append(store, new_id, loaded, events, metadata)
        loaded = await follow(store, loaded)
        if done:
            return loaded
    raise Contended(f"the {loaded.aggregate.noun} changed at every attempt: try again")


def facts(
    about: UUID,
    tenant_id: UUID,
    *events: NewEvent,
    metadata: Metadata,
    kind: StreamKind = StreamKind.CORE,
    stream_id: UUID | None = None,
    expected: int = ANY_VERSION,
    dedupe_key: bytes | None = None,
    dedupe_window_s: int = DEDUPE_WINDOW_S,
) -> Append:
    """What stores facts about a thing that need no decision: in its own stream, or in another one beside it."""
    return Append(
        kind=kind,
        stream_id=stream_id or about,
        expected=expected,
        tenant_id=tenant_id,
        ordering_key=about,
        events=events,
        metadata=metadata,
        dedupe_key=dedupe_key,
        dedupe_window_s=dedupe_window_s,
    )
