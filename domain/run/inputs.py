"""What the log keeps of a step's input: all of it once, except for large values that the run already holds.

Inputs are for people who look at a run; retries and replays render them anew. Where the trigger or an earlier output
holds a large value, the log keeps its path. Other large values are kept whole while the run has room for them, then as
their beginning and hash.
"""

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from domain.values.json import Json
from domain.values.path import Missing

WHOLE = 16 * 1024
"""Bytes of an input up to which it is kept whole, whatever it holds."""
LARGE = 4 * 1024
"""Bytes of a value above which, in a larger input, it is looked for elsewhere in the run."""
ROOM = 4 * 2**20
"""Bytes of large inputs that a run keeps whole; of further ones it keeps the beginning."""
BEGINNING = 1024
"""Characters of a value that is not kept."""
REPLY = 4 * 1024
"""Bytes that are kept of the answer to an attempt that is retried."""
DEPTH = 4
WIDTH = 1_000
"""How deep, and in how large objects and lists, values are looked for."""


GLANCE = 12
"""Values that are looked at, from the outside in, before a value is encoded to learn its size."""


class Omitted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value that is not kept here. `at`: its path in the run, such as `trigger.body`; empty where it has none."""

    size: int
    at: str = ""
    sha256: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an input was kept. `attempt`: the attempt whose event holds it, 0 for this event.

    `omitted`: values that are not kept here, by JSON pointer. `size`: bytes that count against the run's room.
    """

    attempt: int = 0
    size: int = 0
    omitted: Mapping[str, Omitted] = {}


class Input(msgspec.Struct, frozen=True):
    """An input as the log is to keep it."""

    value: Json = None
    kept: Kept | None = None


NO_INPUT = Input()


def is_large(value: Json) -> bool:
    """Whether an input is too large to be kept whole as a matter of course: then `keep` may take a while."""
    return _exceeds(value, WHOLE) or len(msgspec.json.encode(value)) > WHOLE


def keep(value: Json, context: Mapping[str, Json], room: int) -> Input:
    """A large input as the log keeps it, for a run with this much room left."""
    keeper = _Keeper(dict(_places(context)), room)
    reduced = keeper.reduced(value, "", DEPTH)
    return Input(reduced, Kept(size=room - keeper.room, omitted=keeper.omitted))


def put(value: Json, pointer: str, item: Json | Missing) -> Json:
    """The value with an item put back at a pointer that `keep` made."""
    name, _, rest = pointer.removeprefix("/").partition("/")
    rest = f"/{rest}" if rest else ""
    if not pointer:
        return item if not isinstance(item, Missing) else None
    if isinstance(value, dict):
        key = name.replace("~1", "/").replace("~0", "~")
        return {**value, key: put(value.get(key), rest, item)}
    if isinstance(value, list):
        return [put(known, rest, item) if str(index) == name else known for index, known in enumerate(value)]
    return value


def shortened(reply: Json, limit: int = REPLY) -> Json:
    """An answer cut to about `limit` bytes; its largest fields are cut first."""
    if _size(reply) <= limit:
        return reply
    if not isinstance(reply, dict):
        return _beginning(reply, limit)
    sizes = sorted((_size(value), name) for name, value in reply.items())
    short: dict[str, Json] = {}
    for index, (size, name) in enumerate(sizes):
        share = max(0, limit) // (len(sizes) - index)
        short[name] = reply[name] if size <= share else _beginning(reply[name], share)
        limit -= min(size, share)
    return {**{name: short[name] for name in reply}, "truncated": True}


def _beginning(value: Json, limit: int) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _exceeds(value: Json, limit: int) -> bool:
    """Whether a glance shows that the JSON of a value has more bytes than this; False where that is not sure.

    To encode megabytes only to learn that they are many would hold up everybody, and be done again for each step.
    """
    seen = [value]
    for item, _ in zip(seen, range(GLANCE), strict=False):
        if isinstance(item, str):
            limit -= len(item)
        elif isinstance(item, dict | list):
            limit -= len(item)
            if limit >= 0:
                seen += item.values() if isinstance(item, dict) else item
        if limit < 0:
            return True
    return False


def _size(value: Json) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return len(msgspec.json.encode(value))


def _places(context: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The values of a run that may be large, with their paths; outer ones come first."""
    trigger, steps = context.get("trigger"), context.get("steps")
    if isinstance(trigger, dict):
        yield from _within("trigger.body", trigger.get("body"), 2)
    for step_id, step in steps.items() if isinstance(steps, dict) else ():
        if isinstance(step, dict):
            yield from _within(f"steps.{step_id}.output", step.get("output"), 3)


def _within(path: str, value: Json, depth: int) -> Iterator[tuple[str, Json]]:
    if isinstance(value, str):
        if len(value) > LARGE // 4:
            yield path, value
    elif isinstance(value, dict | list) and value:
        yield path, value
        if depth and isinstance(value, dict) and len(value) <= WIDTH:
            for name, item in value.items():
                if name.isidentifier():
                    yield from _within(f"{path}.{name}", item, depth - 1)


class _Keeper:
    def __init__(self, places: dict[str, Json], room: int) -> None:
        self._places = places
        self.room = room
        self.omitted: dict[str, Omitted] = {}

    def reduced(self, value: Json, pointer: str, depth: int) -> Json:
        """The value without its parts that the run holds elsewhere or has no room for."""
        if not isinstance(value, str | dict | list) or not (_exceeds(value, LARGE) or _size(value) > LARGE):
            return value
        found = next((path for path, known in self._places.items() if _same(known, value)), None)
        if found is not None:
            self.omitted[pointer] = Omitted(size=_size(value), at=found)
            return None
        if depth and isinstance(value, dict) and len(value) <= WIDTH:
            return {k: self.reduced(item, f"{pointer}/{_escaped(k)}", depth - 1) for k, item in value.items()}
        if depth and isinstance(value, list) and len(value) <= WIDTH:
            return [self.reduced(item, f"{pointer}/{index}", depth - 1) for index, item in enumerate(value)]
        size = _size(value)
        if size <= self.room:
            self.room -= size
            return value
        raw = value.encode("utf-8", "replace") if isinstance(value, str) else msgspec.json.encode(value)
        self.omitted[pointer] = Omitted(size=size, sha256=hashlib.sha256(raw).hexdigest())
        return _beginning(value, BEGINNING)


def _same(known: Json, value: Json) -> bool:
    """Whether two values are the same; different types or lengths show that at once."""
    if known is value:
        return True
    if isinstance(known, str):
        return isinstance(value, str) and known == value
    if isinstance(known, dict):
        return isinstance(value, dict) and len(known) == len(value) and known == value
    return isinstance(known, list) and isinstance(value, list) and len(known) == len(value) and known == value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
