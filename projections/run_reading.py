"""Reads runs of any size. Of a large one, large values stay the text that they are: parsed, they would take many times
their bytes, and they are only asked for one by one.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.hook.cloudevent import STRUCTURED
from domain.hook.request import Request
from domain.log.event import StoredEvent, StreamKind
from domain.log.ports import EventStore
from domain.registry import is_current
from domain.values.headers import is_json
from domain.values.json import Json, MalformedJson, parse
from domain.values.path import MISSING, Missing, Path, look_up
from domain.values.redaction import shown, shown_fields
from projections.run_detail import RunDetail, bounded, fold, values_of
from projections.run_values import BEGINNING, DEPTH, SURELY_SHOWN, WIDTH, joined

WHOLE = 64 * 1024
"""Bytes of JSON of a value that is parsed."""
LARGE = 256 * 1024
"""Bytes of an event that is looked at part by part."""
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_request = msgspec.json.Decoder(Request)
_UNREADABLE = (msgspec.DecodeError, MalformedJson, UnicodeError, RecursionError)


async def get(store: EventStore, tenant_id: UUID, run_id: UUID) -> RunDetail | None:
    """A tenant's run, None where there is none of this id."""
    events = await store.read_stream(StreamKind.RUN, run_id)
    if not events or events[0].tenant_id != tenant_id:
        return None
    return await detail(events)


async def detail(events: Sequence[StoredEvent]) -> RunDetail:
    """The detail of the run whose events these are, from the first one on."""
    if sum(len(event.data) for event in events) <= SURELY_SHOWN:
        return fold(events)
    return await asyncio.to_thread(large, events)


async def value(store: EventStore, tenant_id: UUID, run_id: UUID, path: Path) -> Json | msgspec.Raw | Missing:
    """One value of a run, whatever its size; MISSING where there is none, or no such run."""
    events = await store.read_stream(StreamKind.RUN, run_id)
    if not events or events[0].tenant_id != tenant_id:
        return MISSING
    return await asyncio.to_thread(value_of, events, path)


def large(events: Sequence[StoredEvent]) -> RunDetail:
    """The detail of a large run, without its large values."""
    first, body = _lean_request(events[0])
    return bounded(fold([first, *map(_lean, events[1:])], body))


def details(events: Sequence[StoredEvent], versions: Collection[int]) -> Iterator[RunDetail]:
    """The detail of a run after those of its events that have these versions; CPU-bound."""
    first, body = _lean_request(events[0])
    lean = [first, *map(_lean, events[1:])]
    sizes = list(accumulate(len(event.data) for event in events))
    for number, event in enumerate(events, 1):
        if event.version not in versions:
            continue
        small = sizes[number - 1] <= SURELY_SHOWN
        yield fold(events[:number]) if small else bounded(fold(lean[:number], body))


def redacted(found: RunDetail) -> RunDetail:
    """The detail as people see it: what goes by the name of a secret is blotted out."""
    found.trigger = shown_fields(found.trigger)
    for step in found.steps:
        step.input, step.output = shown(step.input), shown(step.output)
    return found


def value_of(events: Sequence[StoredEvent], path: Path) -> Json | msgspec.Raw | Missing:
    """A value of a run; one that is large as its JSON."""
    try:
        found = _raw_value(events, path)
    except _UNREADABLE:
        found = None
    return look_up(values_of(fold(events)), path) if found is None else found


def _raw_value(events: Sequence[StoredEvent], path: Path) -> msgspec.Raw | None:
    """The value where it stands as JSON in one event, None where it takes more to find it."""
    match path:
        case ["trigger", "body", *inner]:
            request = _request.decode(_parts.decode(events[0].data)["request"])
            return _within(msgspec.Raw(request.body.encode()), inner) if _is_plain(request) else None
        case ["steps", step_id, "output", *inner]:
            for event in reversed(events[1:]):
                parts = _parts.decode(event.data) if event.type == "zap.run.step_succeeded" else {}
                if "output" in parts and _text.decode(parts["step_id"]) == step_id:
                    return _within(parts["output"], inner)
    return None


def _within(raw: msgspec.Raw, path: Sequence[str]) -> msgspec.Raw | None:
    for key in path:
        kind = _kind(raw)
        if kind == b"{":
            inner = _parts.decode(raw).get(key)
        elif kind == b"[" and key.isdecimal():
            items = _items.decode(raw)
            inner = items[int(key)] if int(key) < len(items) else None
        else:
            return None
        if inner is None:
            return None
        raw = inner
    return raw


def _lean_request(event: StoredEvent) -> tuple[StoredEvent, Json | UnsetType]:
    """The first event without its body, and what is shown of the body; as it is where the body is no large JSON."""
    if len(event.data) <= LARGE or not is_current(event.type, event.schema_version):
        return event, UNSET
    try:
        parts = _parts.decode(event.data)
        request = _request.decode(parts["request"])
        if not _is_plain(request) or len(request.body) <= WHOLE:
            return event, UNSET
        body = _shown(msgspec.Raw(request.body.encode()), "trigger.body", DEPTH)
    except _UNREADABLE:
        return event, UNSET
    parts["request"] = msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(request, body="null")))
    return msgspec.structs.replace(event, data=msgspec.json.encode(parts)), body


def _lean(event: StoredEvent) -> StoredEvent:
    """The event with what is shown of its large values in their place."""
    if len(event.data) <= LARGE or not is_current(event.type, event.schema_version):
        return event
    try:
        parts = _parts.decode(event.data)
        step_id = _text.decode(parts["step_id"])
        for name in {"input", "output"} & set(parts):
            parts[name] = msgspec.Raw(msgspec.json.encode(_shown(parts[name], f"steps.{step_id}.{name}", DEPTH)))
    except (*_UNREADABLE, KeyError):
        return event
    return msgspec.structs.replace(event, data=msgspec.json.encode(parts))


def _is_plain(request: Request) -> bool:
    """Whether the body is JSON as it stands, and steps see it as nothing else."""
    headers = request.headers
    content_type = headers.get("content-type", "").lower()
    special = request.raw or request.encoding != "utf-8" or "content-encoding" in headers or "ce-specversion" in headers
    media_type = content_type.partition(";")[0].strip()
    return not special and STRUCTURED not in content_type and "charset" not in content_type and is_json(media_type)


def _shown(raw: msgspec.Raw, path: str, depth: int) -> Json:
    """As run_values.Shown.value, of a value that is not parsed."""
    size = len(memoryview(raw))
    if size <= WHOLE:
        return parse(bytes(raw))
    if depth and _kind(raw) == b"{":
        inner = _parts.decode(raw)
        if len(inner) <= WIDTH:
            return {name: _shown(part, joined(path, name), depth - 1) for name, part in inner.items()}
    beginning = (
        bytes(memoryview(raw)[: 2 * BEGINNING]).lstrip().removeprefix(b'"')[:BEGINNING].decode("utf-8", "ignore")
    )
    return {"$large": {"path": path, "size": size, "beginning": beginning}}


def _kind(raw: msgspec.Raw) -> bytes:
    """The first character of a JSON text."""
    return bytes(memoryview(raw)[:64]).lstrip()[:1]
