"""What arrives: an authentic request to a live zap, whole or item by item, and the keys that make it one delivery."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.hook.compiled import HOOKS, PLAIN, Hook, compile_hook
from domain.hook.hops import Hop
from domain.hook.request import MAX_INFLATED, Request
from domain.log.errors import DomainError, WrongStatus
from domain.log.event import StreamKind
from domain.values.inflate import inflate
from domain.values.json import MalformedJson
from domain.values.path import Path
from domain.values.payload import utf8_json
from domain.zap.settings import DEFAULT, ZapSettings
from domain.zap.zap import LoadedZap, ZapStatus

MAX_ITEMS = 1_000
"""Runs that one request may start."""
_list: "msgspec.json.Decoder[list[msgspec.Raw]]" = msgspec.json.Decoder(list[msgspec.Raw])
_object: "msgspec.json.Decoder[dict[str, msgspec.Raw]]" = msgspec.json.Decoder(dict[str, msgspec.Raw])


class LiveZap(msgspec.Struct, frozen=True):
    """What the intake needs of a zap. `version` is the published one that new runs use, 0 when there is none.

    `ever_held`: one of its versions holds requests while the zap is paused, so a repeated delivery may be one that is
    held. `trigger_id` and `trigger_type` are the hook's, where the zap has other triggers as well.
    """

    owner: UUID
    status: ZapStatus
    version: int
    hook: Hook = PLAIN
    settings: ZapSettings = DEFAULT
    ever_held: bool = False
    trigger_id: str = ""
    trigger_type: str = ""


def live_zap(loaded: LoadedZap, secrets: tuple[str, ...] = ()) -> LiveZap:
    """A published zap, ready to take requests. Raises WrongStatus for one that never was published."""
    zap = loaded.state
    if not zap.live:
        raise WrongStatus("a request can be admitted once the zap is published")
    definition = zap.version(zap.live).definition
    hook = definition.start_of(HOOKS)
    trigger_id, trigger_type = definition.origin(hook) if hook else ("", "")
    return LiveZap(
        loaded.tenant_id,
        zap.status,
        zap.live,
        compile_hook(hook.type, hook.config, secrets) if hook else PLAIN,
        definition.behaviour,
        ever_held=any(version.definition.behaviour.when_paused == "hold" for version in zap.versions),
        trigger_id=trigger_id,
        trigger_type=trigger_type,
    )


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An authentic request to a zap, in the form in which the log keeps it.

    `delivery_id` is empty where the sender gave none. `request_id` names the rejected request that is being
    admitted by hand, or the held one that is being released; `kind` is that of the stream that keeps it. `item` is the
    number of this item in a split request. `id`: the id that the run gets, or the record, as files were kept under it.
    """

    zap_id: UUID
    zap: LiveZap
    request: Request
    delivery_id: str = ""
    traceparent: str = ""
    actor: str = "hook"
    request_id: UUID | None = None
    held: bool = False
    kind: StreamKind = StreamKind.REQUEST
    item: int = 0
    hop: Hop | None = None
    id: UUID | None = None


class TooManyItems(DomainError, code="too_large"):
    """The request would start too many runs."""


def require_few(items: Sequence[Arrival]) -> None:
    """Raises TooManyItems."""
    if len(items) > MAX_ITEMS:
        raise TooManyItems(f"a request may start at most {MAX_ITEMS} runs")


def items_of(arrival: Arrival, path: Path) -> list[Arrival] | None:
    """An arrival for each item of the list at a path of the body; None where there is no list, or an empty one.

    The whole body is the list for the empty path. Each item keeps the bytes that it had in the body.
    """
    try:
        items = _list.decode(_part(_content(arrival.request), path))
        return [_item(arrival, index, bytes(item).decode()) for index, item in enumerate(items)] or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, MalformedJson):
        return None


def _content(request: Request) -> bytes:
    raw = request.raw_body()
    encoding = request.headers.get("content-encoding")
    content = inflate(encoding, raw, MAX_INFLATED) if encoding else raw
    return utf8_json(request.headers.get("content-type", ""), content) if isinstance(content, bytes) else b""


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
    """Equal for repeats of one delivery: 32 bytes. The zap is part of it, so nobody can use up others' ids."""
    return hashlib.sha256(zap_id.bytes + delivery_id.encode()).digest()


def decision_key(zap_id: UUID, request_id: UUID, item: int = 0) -> bytes:
    """Under this key a recorded request is admitted or discarded, whichever is stored first."""
    # No sender's id has a NUL in it.
    return dedupe_key(zap_id, f"\0{request_id}" + (f"#{item}" if item else ""))


def key_of(arrival: Arrival) -> bytes | None:
    # The key of a held request's delivery is taken by that very request.
    if arrival.delivery_id and not arrival.held:
        return dedupe_key(arrival.zap_id, arrival.delivery_id)
    if arrival.request_id:
        return decision_key(arrival.zap_id, arrival.request_id, arrival.item)
    return None
