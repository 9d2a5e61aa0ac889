"""The kinds of steps that a zap can have."""

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.flow.approvals import Recipient
from domain.flow.retry import DEFAULT as DEFAULT_RETRY
from domain.flow.retry import Policy
from domain.values.json import Json, JsonObject
from domain.values.newer import UNKNOWN

MAX_STEP_TIMEOUT_S = 3_600
MAX_DELAY_S = 366 * 24 * 3600
MAX_PATHS = 10
MAX_VALUES = 100
MAX_RECIPIENTS = 20
DEFAULT_WAIT_S = 7 * 24 * 3600
"""How long a run waits for somebody unless its step says otherwise: every wait ends."""
MAX_ITEMS = 10_000
MAX_AT_ONCE = 100
AT_ONCE = 10
"""Items of a loop that are under way at once, unless its `limit` says otherwise."""
OTHERWISE = "otherwise"
"""The name of the branch that is taken where no path matches."""
Unset: TypeAlias = msgspec.UnsetType
UNSET = msgspec.UNSET

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
Name = Annotated[str, msgspec.Meta(max_length=200)]


class Otherwise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps that run where no path was taken."""

    steps: "tuple[Step, ...]" = ()


class ErrorPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps that run once a step has failed for good, instead of those that remain in its scope.

    The scope is the run, or the branch or `try` that the step is in.
    """

    steps: "tuple[Step, ...]"


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a minute to the step's target, by all zaps of its owner with this limit together."""

    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


OnError: TypeAlias = Literal["fail", "continue"] | ErrorPath
"""Whether a failure for good ends the run, is passed over, or leads to other steps.

Later steps see `steps.<id>.error` of a failure that was passed over.
"""
OnUnknown: TypeAlias = Literal["retry", "fail"]


class ActionStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="action"):
    """Runs one action of a connector. `id` names its output in later templates: `steps.<id>.output`.

    `timeout_s` bounds each attempt. `on_error`: whether a failure for good ends the run, is passed over (later steps
    see `steps.<id>.error`), or leads to other steps. `unknown_outcome`: whether an attempt that may or may not
    have had its effect, because its process died or no answer came, is retried or fails. Without it, actions that are
    safe to repeat are retried. `connection`: the credential that goes along with what the action sends.
    """

    id: str
    type: str
    config: JsonObject = {}
    retry: Policy | Unset = UNSET
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_STEP_TIMEOUT_S)] | Unset = UNSET
    on_error: OnError | Unset = UNSET
    unknown_outcome: OnUnknown | Unset = UNSET
    rate_limit: RateLimit | Unset = UNSET
    connection: UUID | Unset = UNSET

    @property
    def policy(self) -> Policy:
        """The retries of this step."""
        return self.retry or DEFAULT_RETRY


class DelayStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="delay"):
    """Waits `for_s` seconds, or `until` a moment: a template that renders to a date and time as in RFC 3339.

    `until` may also be a time of day such as `09:00`: the next one. `time_zone` (an IANA name, else UTC) is that of
    times without an offset. `if_past`: whether a moment that has passed lets the run go on, or fails the step.
    """

    id: str
    for_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_DELAY_S)] | Unset = UNSET
    until: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)] | Unset = UNSET
    time_zone: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | Unset = UNSET
    if_past: Literal["continue", "fail"] | Unset = UNSET
    on_error: OnError | Unset = UNSET

    def __post_init__(self) -> None:
        if (self.for_s is UNSET) == (self.until is UNSET):
            raise ValueError("a delay has either for_s or until")
        if self.until is UNSET and (self.time_zone is not UNSET or self.if_past is not UNSET):
            raise ValueError("time_zone and if_past go with until")


class FilterStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="filter"):
    """Lets the run go on where its condition holds. Otherwise the scope that it is in ends as filtered.

    In a branch that is the branch, and the steps after `paths` go on. Elsewhere it is the run: it is `filtered`, which
    is no failure. The condition is as that of a hook: `{field, operator, value}`, `{all}`, `{any}`, `{not}`.
    """

    id: str
    condition: JsonObject
    on_error: OnError | Unset = UNSET


class Branch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One path: its steps run where its condition holds. `id` is unique among the paths of its step."""

    id: str
    condition: JsonObject
    steps: "tuple[Step, ...]" = ()
    name: Name | Unset = UNSET


class PathsStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="paths"):
    """Takes the first path whose condition holds, or `all` of those, in the order written, one after the other.

    The conditions are decided once, together. Where none holds, the steps of `otherwise` run. The output is
    `{taken: [ids], result}`; `result` is the last output of the branch that ran last. The steps behind go on then.
    """

    id: str
    paths: Annotated[tuple[Branch, ...], msgspec.Meta(min_length=1, max_length=MAX_PATHS)]
    mode: Literal["first", "all"] = "first"
    otherwise: Otherwise | Unset = UNSET
    on_error: OnError | Unset = UNSET

    def branch(self, branch_id: str) -> "tuple[Step, ...]":
        """The steps of one branch; none where there is no such branch."""
        if branch_id == OTHERWISE:
            return self.otherwise.steps if self.otherwise else ()
        return next((path.steps for path in self.paths if path.id == branch_id), ())


class TryStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="try"):
    """Runs its steps; where one fails for good, those of `on_error` run instead of the rest. The steps behind go on.

    The output is `{failed, result}`; `result` is the last output. `steps.<id>.error` says what failed.
    """

    id: str
    steps: "tuple[Step, ...]"
    on_error: ErrorPath | Unset = UNSET


class SetStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="set"):
    """Works out values for later steps: `steps.<id>.output.<name>`."""

    id: str
    values: Annotated[JsonObject, msgspec.Meta(min_length=1, max_length=MAX_VALUES)]
    on_error: OnError | Unset = UNSET


class StopStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="stop"):
    """Ends the whole run, as completed, failed or cancelled, with a message (a template)."""

    id: str
    as_: Literal["completed", "failed", "cancelled"] = msgspec.field(default="completed", name="as")
    message: Text | Unset = UNSET


class ReturnStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="return"):
    """Completes the run with a value: the answer to a hook that waits."""

    id: str
    value: Json


class Rejected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps that run once an approval was rejected, before the run ends."""

    steps: "tuple[Step, ...]" = ()


WaitS = Annotated[float, msgspec.Meta(gt=0, le=MAX_DELAY_S)]


class ApprovalStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="approval"):
    """Asks people whether the run may go on, and waits for their answers: each of `to` has a link of their own.

    `required` of them have to approve; one who rejects decides for all. `form` is a JSON Schema of what they fill in.
    `title` and `message` are templates. Without an answer within `deadline_s` seconds, `on_deadline` is the answer, or
    the step fails. The output is `{decision, by, comment, form, at}`. After a rejection the steps of `rejected` run,
    then the run is completed; without such steps it is cancelled.
    """

    id: str
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    to: Annotated[tuple[Recipient, ...], msgspec.Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    message: Text | Unset = UNSET
    required: Annotated[int, msgspec.Meta(ge=1, le=MAX_RECIPIENTS)] = 1
    form: JsonObject = {}
    deadline_s: WaitS = DEFAULT_WAIT_S
    on_deadline: Literal["reject", "approve", "fail"] = "reject"
    rejected: Rejected | Unset = UNSET
    on_error: OnError | Unset = UNSET

    @property
    def after_rejection(self) -> "tuple[Step, ...]":
        """The steps that follow a rejection."""
        return self.rejected.steps if self.rejected else ()


class WaitForStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="wait_for"):
    """Waits until somebody posts to the step's own URL, which earlier steps send out: `callback.<id>.url`.

    The first request counts, also one that comes before the run has come here. The output is `{body, headers, query,
    at}`, and `why_text` where the body could not be read. Without a request within `deadline_s` seconds the step
    fails, or goes on with `{timed_out: true}`.
    """

    id: str
    deadline_s: WaitS = DEFAULT_WAIT_S
    on_deadline: Literal["fail", "continue"] = "fail"
    on_error: OnError | Unset = UNSET


class Tolerate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many items of a loop may fail, or so many of a hundred; with more of them, the step fails."""

    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_ITEMS)] | Unset = UNSET
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | Unset = UNSET

    def __post_init__(self) -> None:
        if (self.count is UNSET) == (self.percent is UNSET):
            raise ValueError("tolerate has either count or percent")


class ForEachStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="for_each"):
    """Runs its steps for each item of a list. Each item is a run of its own, so it is retried and replayed alone.

    `items` is a list, or a template that gives one. The steps see `item`, `loop.index`, `loop.count` and, in a loop in
    a loop, `loop.parent`. `order`: one item after the other, or `limit` at once. `result` is a template for what is
    kept of an item; without it that is its last output. `on_item_error`: whether a failed item stops the loop, or the
    others go on; `tolerate`: how many may fail before the step fails.
    The output is `{count, succeeded, failed, filtered, cancelled, items: [{index, status, result | error}]}`.
    """

    id: str
    items: Json
    steps: "tuple[Step, ...]"
    order: Literal["sequential", "parallel"] = "sequential"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_AT_ONCE)] | Unset = UNSET
    max_items: Annotated[int, msgspec.Meta(ge=1, le=MAX_ITEMS)] = MAX_ITEMS
    on_item_error: Literal["stop", "continue"] = "stop"
    tolerate: Tolerate | Unset = UNSET
    result: Json | Unset = UNSET
    on_error: OnError | Unset = UNSET

    def __post_init__(self) -> None:
        if self.limit and self.order == "sequential":
            raise ValueError("limit goes with order parallel")

    @property
    def at_once(self) -> int:
        """How many items are under way at once."""
        return 1 if self.order == "sequential" else self.limit or AT_ONCE


class ZapStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="zap"):
    """Calls another zap of the same owner, whose trigger is `zap.called`. Its run sees `input` as `trigger.body`.

    With `wait` the output is `{run_id, status, value}`: the value is what the called zap returns. Where its run fails
    or is cancelled, the step fails. `timeout_s` bounds the wait, after which the called run is cancelled. Without
    `wait` the output is `{run_id}`.
    """

    id: str
    zap_id: UUID
    input: Json = None
    wait: bool = True
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_DELAY_S)] | Unset = UNSET
    on_error: OnError | Unset = UNSET

    def __post_init__(self) -> None:
        if self.timeout_s and not self.wait:
            raise ValueError("timeout_s goes with wait: true")


class UnknownStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=UNKNOWN):
    """A step of kind `of` in the log that only a newer release understands: it is shown, and neither run nor saved."""

    id: str
    of: str


WaitStep: TypeAlias = ApprovalStep | WaitForStep
"""What waits for somebody."""
ControlStep: TypeAlias = DelayStep | FilterStep | PathsStep | SetStep | StopStep | ReturnStep | WaitStep
"""What a run does by itself, without calling anybody."""
ChildrenStep: TypeAlias = ForEachStep | ZapStep
"""What is done by runs of their own, the children of the run."""
Step: TypeAlias = ActionStep | ControlStep | ChildrenStep | TryStep | UnknownStep
"""All kinds of steps; each further kind joins this union."""
