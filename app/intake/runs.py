"""Accepted requests as appends to the log: one run each, or one per item of a list."""

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.intake.live_zaps import LiveZap
from domain.hook.request import MAX_INFLATED, Request
from domain.intake.events import RequestRejected
from domain.log.errors import DomainError
from domain.log.event import Append, Appended, AppendResult, Conflict, Duplicate, Metadata, NewEvent, StreamKind
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.run.decide import RequestRun
from domain.run.request import request_append
from domain.values.inflate import inflate
from domain.values.path import Path
from sql.process.crash_points import reached

MAX_ITEMS = 1_000
"""Runs that one request may start."""

_list: "msgspec.json.Decoder[list[msgspec.Raw]]" = msgspec.json.Decoder(list[msgspec.Raw])
_object: "msgspec.json.Decoder[dict[str, msgspec.Raw]]" = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An authentic request to a zap, in the form in which the log keeps it.

    `delivery_id` is empty where the sender gave none. `request_id` is that of the rejected request which is being
    let in by hand, or of the held one which is being released. `item` is its number among those of one request.
    """

    zap_id: UUID
    zap: LiveZap
    request: Request
    delivery_id: str = ""
    traceparent: str = ""
    actor: str = "hook"
    request_id: UUID | None = None
    held: bool = False
    item: int = 0


class Started(msgspec.Struct, frozen=True, gc=False):
    """The run that a request has, and whether an earlier delivery of it had started it."""

    run_id: UUID
    position: int
    duplicate: bool = False


class Held(msgspec.Struct, frozen=True, gc=False):
    """A request without a run, and whether an earlier delivery of it is the one that is held."""

    request_id: UUID
    position: int
    duplicate: bool = False


class TooManyItems(DomainError):
    """The request would start too many runs."""

    code = "too_large"


async def start(store: EventStore, new_id: NewId, arrival: Arrival) -> Started | Held:
    """Commit the run. Held: the delivery is held already, or was discarded. Raises StoreUnavailable."""
    append = run_append(new_id, arrival)
    reached("api.before_append")
    result = await store.append(append)
    reached("api.after_append")
    return await _outcome(store, arrival, append.stream_id, result)


async def start_each(store: EventStore, new_id: NewId, items: Sequence[Arrival]) -> list[Started] | Held:
    """Commit a run per item. Where that fails, some may be stored: a repeat of the delivery starts only the others.

    Raises StoreUnavailable and TooManyItems.
    """
    _require_few(items)
    first: list[Started] = []
    if items[0].zap.ever_held:
        # The first item stands for the request: where that is held, nothing is started.
        started = await start(store, new_id, items[0])
        if isinstance(started, Held):
            return started
        first = [started]
    others = await asyncio.gather(*(start(store, new_id, item) for item in items[len(first) :]))
    return first + [one for one in others if isinstance(one, Started)]


async def hold(
    store: EventStore, new_id: NewId, arrival: Arrival, items: Sequence[Arrival] | None, rejected: RequestRejected
) -> Held | Started:
    """Commit the request to be released later; Started: an earlier delivery of it has its run.

    `items` is what it will be split into. Each request has a stream of its own: many can be held at once, and each is
    released or discarded once. Raises StoreUnavailable and TooManyItems.
    """
    _require_few(items or ())
    request_id = new_id()
    append = Append(
        kind=StreamKind.CORE,
        stream_id=request_id,
        expected=0,
        tenant_id=arrival.zap.owner,
        ordering_key=arrival.zap_id,
        events=(NewEvent(request_id, rejected),),
        metadata=Metadata(actor=arrival.actor, traceparent=arrival.traceparent),
        dedupe_key=_key(items[0] if items else arrival),
        dedupe_window_s=arrival.zap.hook.dedupe_window_s,
    )
    result = await store.append(append)
    if isinstance(result, Appended):
        return Held(request_id, result.position)
    return await _outcome(store, arrival, request_id, result)


def _require_few(items: Sequence[Arrival]) -> None:
    """Raises TooManyItems."""
    if len(items) > MAX_ITEMS:
        raise TooManyItems(f"a request may start at most {MAX_ITEMS} runs")


def run_append(new_id: NewId, arrival: Arrival) -> Append:
    """The command that starts a run."""
    return request_append(
        RequestRun(arrival.zap_id, arrival.zap.version, "webhook", arrival.request, arrival.delivery_id),
        arrival.zap.settings,
        tenant_id=arrival.zap.owner,
        new_id=new_id,
        metadata=Metadata(actor=arrival.actor, causation_id=arrival.request_id, traceparent=arrival.traceparent),
        dedupe_key=_key(arrival),
        dedupe_window_s=arrival.zap.hook.dedupe_window_s,
    )


def items_of(arrival: Arrival, path: Path) -> list[Arrival] | None:
    """An arrival for each item of the list at a path of the body; None where there is no list, or an empty one.

    The whole body is the list for the empty path. Each item keeps the bytes that it had in the body.
    """
    try:
        items = _list.decode(_part(_content(arrival.request), path))
        return [_item(arrival, index, bytes(item).decode()) for index, item in enumerate(items)] or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError):
        return None


def _content(request: Request) -> bytes:
    raw = request.raw_body()
    encoding = request.headers.get("content-encoding")
    content = inflate(encoding, raw, MAX_INFLATED) if encoding else raw
    return content if isinstance(content, bytes) else b""


def _part(content: bytes | msgspec.Raw, path: Path) -> bytes | msgspec.Raw:
    """The bytes of what stands at a path. Raises LookupError and msgspec.DecodeError."""
    for key in path:
        content = _list.decode(content)[int(key)] if key.isdecimal() else _object.decode(content)[key]
    return content


def _item(arrival: Arrival, index: int, item: str) -> Arrival:
    headers = {name: value for name, value in arrival.request.headers.items() if name != "content-encoding"}
    request = msgspec.structs.replace(
        arrival.request,
        headers={**headers, "content-type": "application/json"},
        body=item,
        encoding="utf-8",
    )
    delivery_id = f"{arrival.delivery_id}#{index}" if arrival.delivery_id else ""
    return msgspec.structs.replace(arrival, request=request, delivery_id=delivery_id, item=index)


def dedupe_key(zap_id: UUID, delivery_id: str) -> bytes:
    """What makes two requests the same delivery: 32 bytes. The zap is part of it: nobody can take others' ids."""
    return hashlib.sha256(zap_id.bytes + delivery_id.encode()).digest()


def fate_key(zap_id: UUID, request_id: UUID, item: int = 0) -> bytes:
    """Whoever stores this first says what becomes of a request that started no run when it came."""
    # No sender's id has a NUL in it.
    return dedupe_key(zap_id, f"\0{request_id}" + (f"#{item}" if item else ""))


def _key(arrival: Arrival) -> bytes | None:
    # The delivery of a held request is taken: by that very request.
    if arrival.delivery_id and not arrival.held:
        return dedupe_key(arrival.zap_id, arrival.delivery_id)
    if arrival.request_id:
        return fate_key(arrival.zap_id, arrival.request_id, arrival.item)
    return None


async def _outcome(store: EventStore, arrival: Arrival, stream_id: UUID, result: AppendResult) -> Started | Held:
    match result:
        case Appended():
            return Started(stream_id, result.position)
        case Duplicate():
            if arrival.zap.ever_held and await store.read_stream(StreamKind.CORE, result.stream_id):
                return Held(result.stream_id, result.position, duplicate=True)
            return Started(result.stream_id, result.position, duplicate=True)
        case Conflict():
            raise StoreUnavailable("the stream of a new id was not empty")
