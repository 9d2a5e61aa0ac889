"""What can happen to a zap.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from datetime import UTC, datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.log.event import Event
from domain.zap.definition import Definition

FlagKind: TypeAlias = Literal["failing", "target_gone", "loop", "poll_failing", "needs_reconnect", "unregistered"]
"""No run completes any more; the target of a step answered 410, so it wants no more requests; the zap starts itself;
the source of a trigger, whose id is in `step_id`, fails again and again; a connection that
the zap names has to be reconnected; the service that should send to the hook does not know of it."""


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a zap, and since when; `step_id` where one step is the cause."""

    kind: FlagKind
    step_id: str = ""
    detail: str
    since: datetime

    @property
    def key(self) -> str:
        """A zap has at most one flag with each key."""
        return flag_key(self.kind, self.step_id)


def flag_key(kind: FlagKind, step_id: str) -> str:
    """The key of a flag among those of its zap."""
    return f"{kind}:{step_id}"


class ZapCreated(Event, frozen=True, kw_only=True):
    """A user saved a new zap; its definition is the first draft."""

    name: str
    definition: Definition


class ZapDraftChanged(Event, frozen=True, kw_only=True):
    """The draft was replaced; published versions stay as they are."""

    name: str
    definition: Definition


class ZapPublished(Event, frozen=True, kw_only=True):
    """The draft became the immutable version `number`, which new runs use from now on. `note`: why, in a few words."""

    number: int
    name: str
    definition: Definition
    note: str = ""


class ZapRolledBack(Event, frozen=True, kw_only=True):
    """New runs use the earlier version `number` again.

    `sets_aside`: the draft was never published, and is kept. The next event makes that version the draft.
    """

    number: int
    sets_aside: bool = False


class ZapEnabled(Event, frozen=True, kw_only=True):
    """The hook takes requests."""


class ZapPaused(Event, frozen=True, kw_only=True):
    """The hook refuses requests until the zap is enabled again. `reason` is set where TriggerHub itself paused it."""

    reason: str = ""


class ZapDeleted(Event, frozen=True, kw_only=True):
    """The zap is gone for its owner; its history stays in the log."""


class ZapScheduled(Event, frozen=True, kw_only=True):
    """A trigger of the zap's live version starts runs by itself. The append sets a timer whose id is this event's.

    It is due at once: whoever fires it works out the first tick, and puts the timer off from tick to tick. An empty
    `trigger_id` is that of a zap's only trigger.
    """

    trigger_id: str = ""


class ZapHookDue(Event, frozen=True, kw_only=True):
    """What a service knows of the zap's hook has to be looked at: the zap began or ceased to take what it sends.

    The append sets a timer whose id is this event's. `anew`: somebody wants the hook registered once more.
    """

    anew: bool = False


class ZapSecretsChanged(Event, frozen=True, kw_only=True):
    """The secrets that senders sign with were replaced: how many there are now. They are kept elsewhere, encrypted."""

    count: int


class ZapFlagged(Event, frozen=True, kw_only=True):
    """Something is wrong with the zap, and its owner is told."""

    flag: Flag


class ZapUnflagged(Event, frozen=True, kw_only=True):
    """The flag is gone: a run completed, or the owner published, enabled or rolled back the zap."""

    kind: FlagKind
    step_id: str = ""

    @property
    def key(self) -> str:
        """The key of the flag that is gone."""
        return flag_key(self.kind, self.step_id)


class DraftTested(Event, frozen=True, kw_only=True):
    """The draft was tested with real effects: actions were called. It stands in a stream of its own.

    `draft` is the version of the zap's stream that was tested, `steps` are those that were asked for; none for all.
    """

    zap_id: UUID
    draft: int
    steps: tuple[str, ...] = ()


ZapEvent: TypeAlias = (
    ZapCreated
    | ZapDraftChanged
    | ZapPublished
    | ZapRolledBack
    | ZapEnabled
    | ZapPaused
    | ZapDeleted
    | ZapScheduled
    | ZapHookDue
    | ZapSecretsChanged
    | ZapFlagged
    | ZapUnflagged
    | DraftTested
)


AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


def due_at(event: ZapEvent) -> datetime | None:
    """When the timer fires that the append of this event sets; None where it sets none."""
    return AT_ONCE if isinstance(event, ZapScheduled | ZapHookDue) else None
