"""The children of a run: the items of its loops, and the runs of zaps that it calls. What its log says of them.

A run does one thing at a time. What is many is other runs, each with a stream of its own, so no stream grows with them.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.connector.outcome import Failed, Succeeded
from domain.flow.steps import MAX_ITEMS, ForEachStep
from domain.log.event import Event
from domain.values.json import Json, JsonObject

MAX_FAILURES = 20
"""Failed items that the end of a loop names."""
INLINE = 256 * 1024
"""Bytes of `items` in the output of a loop; of longer ones the API gives pages."""
MAX_LIST = 16 * 2**20
"""Bytes of a list that a loop takes."""
LAST_RESULT = 16 * 1024
"""Bytes of an item's last output up to which it is the item's result, where the loop names no other."""
EXCEEDED = "loop_failures_exceeded"
_INDEX_BITS = 14
_RANDOM_BITS = 62
assert MAX_ITEMS <= 1 << _INDEX_BITS


class Parent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The run that a child belongs to, and its step that asked for it. `waits`: that step waits for the child's end.

    An item of a loop is number `index`, from 0, of `count`; it sees what the parent's first `version` events say. A
    called zap sees nothing of its parent, and has no count; `callers` are the zaps of the runs above, outermost first.
    """

    run_id: UUID
    step_id: str
    waits: bool = False
    index: int = 0
    count: int = 0
    version: int = 0
    callers: tuple[UUID, ...] = ()

    @property
    def of_loop(self) -> bool:
        """Whether the child is an item, which does the steps of a loop instead of those of its zap."""
        return self.count > 0


class Reuse(msgspec.Struct, frozen=True, kw_only=True):
    """A replay does a loop again for what did not succeed: the other items stand as in these runs, the newest first.

    `items_sha256` are the items of then. Where they are others now, all are done again.
    """

    step_id: str
    runs: tuple[UUID, ...]
    items_sha256: str


class LoopStarted(Event, frozen=True, kw_only=True):
    """A loop has so many items. They are not stored here: `items` rendered at `at` on this state gives them again."""

    step_id: str
    count: int
    items_sha256: str
    at: datetime
    version: int


class Counts(Event, frozen=True, kw_only=True):
    """How many items of a loop have ended, and how. Those that were never begun are cancelled once the loop is over."""

    succeeded: int = 0
    failed: int = 0
    filtered: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.filtered + self.cancelled


class LoopProgressed(Counts, frozen=True, kw_only=True):
    """How far a loop has come: for people who look at it. The items' own streams decide."""

    step_id: str


ItemStatus: TypeAlias = Literal["completed", "failed", "filtered", "cancelled"]
_STATUS: dict[str, ItemStatus] = {"completed": "completed", "filtered": "filtered", "cancelled": "cancelled"}


class ItemFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that failed, and why."""

    index: int
    run_id: UUID
    code: str
    message: str = ""
    step_id: str = ""


class LoopFinished(Counts, frozen=True, kw_only=True):
    """All items have ended, or will never begin. The outcome of the step follows in the same append.

    `failures`: the first ones, by index.
    """

    step_id: str
    failures: tuple[ItemFailure, ...] = ()


class ZapCalled(Event, frozen=True, kw_only=True):
    """A zap is called: `run_id` will be the run, `zap_version` the version that was live.

    With `waits` the step's outcome is what comes of that run, `until` that moment, when the timer with this event's id
    fires.
    """

    step_id: str
    run_id: UUID
    zap_id: UUID
    zap_version: int
    at: datetime
    waits: bool = False
    until: datetime | None = None


Awaited: TypeAlias = LoopStarted | ZapCalled
"""What a run waits for while its children are under way."""


class ChildIds:
    """The ids of the children of a step: the same whenever they are begun, and in the month of their parent's id.

    UUIDv7s of the parent's moment, whose last 62 bits are 48 of a hash of parent and step, and the index.
    """

    def __init__(self, parent_id: UUID, step_id: str) -> None:
        digest = hashlib.sha256(parent_id.bytes + step_id.encode()).digest()
        hashed = int.from_bytes(digest[:6], "big") << _INDEX_BITS
        self._first = parent_id.int >> _RANDOM_BITS << _RANDOM_BITS | hashed

    def of(self, index: int) -> UUID:
        """The id of one child; those of a loop's items ascend."""
        return UUID(int=self._first | index)


def fingerprint(items: Sequence[Json]) -> str:
    """What tells whether a loop has the same items again. Takes a while for large ones."""
    return hashlib.sha256(msgspec.json.encode(items, order="deterministic")).hexdigest()


def item_status(run_status: str) -> ItemStatus:
    """How an item has ended; one that ran out of time has failed."""
    return _STATUS.get(run_status, "failed")


def list_of(rendered: Json, step: ForEachStep) -> list[Json] | Failed:
    """The items of a loop, or why there are none to be had. A string is not split."""
    if not isinstance(rendered, list):
        kind = {type(None): "null", dict: "an object", str: "a text", bool: "true or false"}.get(type(rendered))
        hint = "; `| default` gives one where there is none" if rendered is None else ""
        return Failed(code="loop_not_a_list", message=f"items: this is {kind or 'a number'} and not a list{hint}")
    if len(rendered) > step.max_items:
        message = f"items: the list has {len(rendered):,} items; this loop takes {step.max_items:,}"
        return Failed(code="loop_too_long", message=message)
    return rendered


def too_large(size: int) -> Failed | None:
    """Why a list of so many bytes is not taken, None where it is."""
    if size <= MAX_LIST:
        return None
    return Failed(code="loop_too_long", message=f"items: the list has {size:,} bytes; a loop takes {MAX_LIST:,}")


def last_result(output: Json) -> Json:
    """What is kept of an item where its loop does not say: the last output, unless that is large."""
    return output if len(msgspec.json.encode(output)) <= LAST_RESULT else None


def result_too_large(result: Json) -> Failed | None:
    """Why a loop does not keep what it was to keep of an item, None where it does."""
    size = len(msgspec.json.encode(result))
    if size <= INLINE:
        return None
    return Failed(code="too_large", message=f"result: it has {size:,} bytes; a loop keeps {INLINE:,} of an item")


def is_over(step: ForEachStep, count: int, failed: int) -> bool:
    """Whether so many have failed that no further item is begun."""
    return step.on_item_error == "stop" and failed > _tolerated(step, count)


def _tolerated(step: ForEachStep, count: int) -> float:
    if not step.tolerate:
        return 0 if step.on_item_error == "stop" else math.inf
    if step.tolerate.count is not msgspec.UNSET:
        return step.tolerate.count
    return (step.tolerate.percent or 0) * count / 100


class Items(msgspec.Struct, frozen=True):
    """The beginning of a loop's `items`, as many as fit; whether those are all; and where there are the others."""

    items: list[Json]
    complete: bool
    ref: str


def outcome(
    step: ForEachStep, count: int, counts: Counts, failures: Sequence[ItemFailure], found: Items
) -> Succeeded | Failed:
    """What comes of the step, once every item has ended or will never begin."""
    output: JsonObject = {
        "count": count,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "filtered": counts.filtered,
        "cancelled": counts.cancelled,
    }
    if counts.failed > _tolerated(step, count):
        first = failures[0]
        why = f"{counts.failed:,} of {count:,} items failed; the first is item {first.index}: {first.message}"
        return Failed(code=EXCEEDED, message=why, output={**output, "failures": msgspec.to_builtins(failures)})
    output["items"] = found.items
    if not found.complete:
        output["result_ref"] = found.ref
    return Succeeded(output)
