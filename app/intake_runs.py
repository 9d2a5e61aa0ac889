"""Accepted requests as appends to the log: one run each, or one per item of a list."""

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.live_zaps import LiveZap
from app.problems import Problem, unavailable
from domain import run
from domain.definition import Definition, Trigger
from domain.event import Append, Appended, AppendResult, Conflict, Duplicate, Metadata, NewEvent, StreamKind
from domain.inflate import inflate
from domain.path import Path
from domain.ports import EventStore, NewId
from domain.request import MAX_INFLATED, Request
from domain.run import RequestRun
from sql.crash_points import reached

MAX_ITEMS = 1_000
"""Runs that one request may start."""

_list: "msgspec.json.Decoder[list[msgspec.Raw]]" = msgspec.json.Decoder(list[msgspec.Raw])
_object: "msgspec.json.Decoder[dict[str, msgspec.Raw]]" = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NO_DEFINITION = Definition(Trigger("webhook.catch"))
"""Asking for a run does not depend on what the zap does."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An authentic request to a zap, in the form in which the log keeps it.

    `delivery_id` is empty where the sender gave none. `request_id` is that of the rejected request which is being
    let in by hand.
    """

    zap_id: UUID
    zap: LiveZap
    request: Request
    delivery_id: str = ""
    traceparent: str = ""
    actor: str = "hook"
    request_id: UUID | None = None


class Started(msgspec.Struct, frozen=True, gc=False):
    """The run that a request has, and whether an earlier delivery of it had started it."""

    run_id: UUID
    position: int
    duplicate: bool = False


async def start(store: EventStore, new_id: NewId, arrival: Arrival) -> Started:
    """Commit the run. Raises StoreUnavailable, and Problem `unavailable`."""
    append = run_append(new_id, arrival)
    reached("api.before_append")
    result = await store.append(append)
    reached("api.after_append")
    return _started(append.stream_id, result)


async def start_each(store: EventStore, new_id: NewId, items: Sequence[Arrival]) -> list[Started]:
    """Commit a run per item. Where that fails, some may be stored: a repeat of the delivery starts only the others."""
    if len(items) > MAX_ITEMS:
        raise Problem("too_large", f"a request may start at most {MAX_ITEMS} runs")
    return list(await asyncio.gather(*(start(store, new_id, item) for item in items)))


def run_append(new_id: NewId, arrival: Arrival) -> Append:
    """The command that starts a run."""
    run_id = new_id()
    command = RequestRun(arrival.zap_id, arrival.zap.version, "webhook", arrival.request, arrival.delivery_id)
    events = run.decide(command, run.INITIAL, _NO_DEFINITION)
    return Append(
        kind=StreamKind.RUN,
        stream_id=run_id,
        expected=0,
        tenant_id=arrival.zap.owner,
        ordering_key=run_id,
        events=tuple([NewEvent(new_id(), event) for event in events]),
        metadata=Metadata(
            actor=arrival.actor,
            correlation_id=run_id,
            causation_id=arrival.request_id,
            traceparent=arrival.traceparent,
        ),
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
    return msgspec.structs.replace(arrival, request=request, delivery_id=delivery_id)


def dedupe_key(zap_id: UUID, delivery_id: str) -> bytes:
    """What makes two requests the same delivery: 32 bytes. The zap is part of it: nobody can take others' ids."""
    return hashlib.sha256(zap_id.bytes + delivery_id.encode()).digest()


def _key(arrival: Arrival) -> bytes | None:
    if arrival.delivery_id:
        return dedupe_key(arrival.zap_id, arrival.delivery_id)
    if arrival.request_id:
        # No sender's id has a NUL in it.
        return dedupe_key(arrival.zap_id, f"\0{arrival.request_id}")
    return None


def _started(run_id: UUID, result: AppendResult) -> Started:
    match result:
        case Appended():
            return Started(run_id, result.position)
        case Duplicate():
            return Started(result.stream_id, result.position, duplicate=True)
        case Conflict():
            # A new id names an empty stream, so this can not be; if it is, nothing was stored.
            raise unavailable("the request could not be stored; nothing happened, try again")
