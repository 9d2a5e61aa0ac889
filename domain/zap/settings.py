"""The settings of a zap: the order of its runs, their deadline, alerts about failures, and what a pause does."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from domain.values.email import Email
from domain.values.path import MAX_PATH, parse_path
from domain.values.shapes import TRIMMED

MAX_PARALLEL = 1_000
MAX_DEADLINE_S = 366 * 24 * 3600
MAX_RECIPIENTS = 10
MAX_TAGS = 20
MAX_SEARCH_KEYS = 10
MAX_KEPT_DAYS = 36_500

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=TRIMMED)]

ValuePath = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PATH)]
Url = Annotated[str, msgspec.Meta(max_length=2_000, pattern=r"^https?://[^\s\x00-\x1f\x7f]+\Z")]


class Concurrency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whether runs of the zap run in parallel.

    `parallel`: any number, or `limit` actions at a time. `serial`: one run at a time, in the order of their requests,
    retries included; with `key`, a template over `trigger` such as `{{ trigger.body.customer.id }}`, one at a time
    for each value. `when_busy`: what happens to a run that is requested while another one is under way.
    """

    mode: Literal["parallel", "serial"] = "parallel"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARALLEL)] | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    when_busy: Literal["queue", "drop_new", "cancel_old"] = "queue"

    def __post_init__(self) -> None:
        if self.mode == "serial" and self.limit is not None:
            raise ValueError("a limit goes with mode parallel: serial runs are one at a time")
        if self.mode == "parallel" and (self.key is not None or self.when_busy != "queue"):
            raise ValueError("key and when_busy go with mode serial")


class OnFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is alerted when runs have failed for good or timed out: all channels that are set.

    Failures are grouped: after a message the next one comes `every_s` seconds later at the earliest, with all
    failures since; only flags are sent at once. `zap_id` is an error zap: it runs with the message as its
    trigger's body, but not for failures of runs that such a message has started.
    A zap is flagged when runs have failed and none has completed for `flag_after_s` seconds; with `pause` it is paused
    as well.
    """

    email: Annotated[tuple[Email, ...], msgspec.Meta(max_length=MAX_RECIPIENTS)] = ()
    webhook: Url | None = None
    zap_id: UUID | None = None
    every_s: Annotated[int, msgspec.Meta(ge=10, le=7 * 24 * 3600)] = 900
    flag_after_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 24 * 3600)] = 24 * 3600
    pause: bool = False


class Excluding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything but what stands at or below these paths, such as `trigger.body.customer`."""

    exclude: Annotated[tuple[ValuePath, ...], msgspec.Meta(min_length=1, max_length=50)]

    def __post_init__(self) -> None:
        for path in self.exclude:
            parse_path(path)


class SearchKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that the run list shows and can be filtered and sorted by, as `keys.<name>`.

    `path` leads to it, such as `trigger.body.order.id` or `steps.charge.output.body.amount`. What is of another type
    counts where it can be read as one of this type: the text `12.50` is a number. `date`: a moment, kept in UTC.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
    path: ValuePath
    type: Literal["string", "number", "date", "boolean"] = "string"

    def __post_init__(self) -> None:
        if parse_path(self.path)[0] not in ("trigger", "steps", "error"):
            raise ValueError("path begins with trigger, steps or error, such as trigger.body.order.id")


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many days runs are kept, from the end of the month of their request on; null: for ever.

    `completed_days` is for runs that completed or were filtered, `failed_days` for all others that have ended.
    `payload_days`: from the request on, what was sent and got is kept so long; then only what happened and when is.
    """

    completed_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_KEPT_DAYS)] | None = None
    failed_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_KEPT_DAYS)] | None = None
    payload_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_KEPT_DAYS)] | None = None


class ZapSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Part of a zap's definition, and so of each published version.

    `deadline_s`: a run that has not ended so many seconds after its request times out, whatever it does or waits
    for. `when_paused`: whether the hook of the paused zap refuses requests, or holds them to be released later. `tags`:
    words by which its owner finds it, and by which others listen to its failures. `subject`: where in the trigger it
    stands whose data a run carries, such as `trigger.body.customer.email`; by that one person's payloads are erased.
    `index`: whether words and values of its runs are searched for. `search_keys`: values that the run list shows; those
    of the version that is live count for all runs of the zap, past ones included. `retention`: how long these are kept.
    """

    concurrency: Concurrency = Concurrency()
    deadline_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_DEADLINE_S)] | None = None
    on_failure: OnFailure = OnFailure()
    when_paused: Literal["refuse", "hold"] = "refuse"
    index: Literal["on", "off"] | Excluding = "on"
    tags: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=MAX_TAGS)] = ()
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PATH)] | None = None
    retention: Retention = Retention()
    search_keys: Annotated[tuple[SearchKey, ...], msgspec.Meta(max_length=MAX_SEARCH_KEYS)] = ()

    def __post_init__(self) -> None:
        if len({*self.tags}) < len(self.tags):
            raise ValueError("tags: each one once")
        if len({key.name for key in self.search_keys}) < len(self.search_keys):
            raise ValueError("search_keys: each name once")
        if self.subject is not None and parse_path(self.subject)[0] != "trigger":
            raise ValueError("subject is a path that begins with trigger, such as trigger.body.customer.email")


DEFAULT = ZapSettings()
