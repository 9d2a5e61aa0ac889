"""What is new at a source that is polled: an item whose key is not known, or is known in another state."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.connector.poll import Item, start_of
from domain.values.json import Json

FORGET_DAYS = 90
"""How long a key is remembered that the source does not show any more."""
MAX_BYTES = 2**20
"""Of what is known of a source; past that the keys go first that were seen longest ago."""
_ENTRY = 40
"""Bytes of an entry at most, as it is stored."""
_DAWN = date(2020, 1, 1)


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state in which an item was seen last, the day, and how often it had changed."""

    state: bytes
    day: int
    changes: int = 0


Known: TypeAlias = Mapping[bytes, Seen]
"""By a hash of the key."""
NOTHING: Known = {}
_decoder = msgspec.msgpack.Decoder(dict[bytes, Seen])


def load(stored: bytes) -> Known:
    """What is known, as `dump` wrote it."""
    return _decoder.decode(stored)


def dump(known: Known) -> bytes:
    """What is known, in few bytes."""
    return msgspec.msgpack.encode(known)


def fingerprint(trigger_type: str, source: Json) -> bytes:
    """32 bytes that are the same for the same source."""
    return sha256(trigger_type.encode() + msgspec.json.encode(source, order="deterministic")).digest()


def is_known(known: Known, item: Item) -> bool:
    """Whether the item is no news."""
    seen = known.get(_hash(item.key))
    return seen is not None and seen.state == _state(item)


def news(known: Known, items: Sequence[Item]) -> list[Item]:
    """The items that are new, each once, in their order."""
    return [item for item in {item.key: item for item in items}.values() if not is_known(known, item)]


def wanted(start_from: str, items: Sequence[Item]) -> list[Item]:
    """The items of a first poll that start runs."""
    if start_from in {"now", "all"}:
        return list(items) if start_from == "all" else []
    first = start_of(start_from)
    return [item for item in items if first is not None and item.at is not None and item.at >= first]


def dedupe_key(zap_id: UUID, source: bytes, known: Known, item: Item) -> bytes:
    """Under this key an item has its run: one for each state that it comes to."""
    seen = known.get(_hash(item.key))
    state = b"/" + _state(item) + str(seen.changes + 1 if seen else 0).encode() if item.state else b""
    return sha256(b"poll/" + zap_id.bytes + source + item.key.encode("utf-8", "replace") + state).digest()


def remember(known: Known, items: Sequence[Item], moment: datetime) -> Known:
    """What is known once these items were seen. The very same object where that is nothing new."""
    day = (moment.astimezone(UTC).date() - _DAWN) // timedelta(days=1)
    found: dict[bytes, Seen] = {}
    for item in items:
        key, state = _hash(item.key), _state(item)
        before = known.get(key)
        changes = (before.changes + (before.state != state)) if before else 0
        seen = Seen(state, day, changes)
        if seen != before:
            found[key] = seen
    old = [key for key, seen in known.items() if seen.day < day - FORGET_DAYS and key not in found]
    if not found and not old:
        return known
    merged = {key: seen for key, seen in {**known, **found}.items() if seen.day >= day - FORGET_DAYS}
    return _bounded(merged)


def _bounded(known: Known) -> Known:
    most = MAX_BYTES // _ENTRY
    if len(known) <= most:
        return known
    newest = sorted(known.items(), key=lambda entry: -entry[1].day)[:most]
    return dict(newest)


def _hash(key: str) -> bytes:
    return sha256(key.encode("utf-8", "replace")).digest()[:16]


def _state(item: Item) -> bytes:
    return sha256(item.state.encode("utf-8", "replace")).digest()[:8] if item.state else b""
