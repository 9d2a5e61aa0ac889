"""How a run's filters and paths were decided, with the reasons in words. Decided once: the log remembers."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from domain.flow.steps import OTHERWISE, PathsStep
from domain.language import condition


class Filtered(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="filter"):
    """Whether a filter let the run through. `path` is the part of its condition that decided it."""

    passes: bool
    reason: str
    path: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="paths"):
    """The branches that a run takes, in their order; `reasons` says by branch why it was taken or not."""

    taken: tuple[str, ...]
    reasons: Mapping[str, str]


Decision: TypeAlias = Filtered | Taken


def filtered(decided: condition.Decision) -> Filtered:
    """The decision of a filter."""
    return Filtered(passes=decided.holds, reason=decided.reason, path=decided.path)


def taken(step: PathsStep, decided: Sequence[condition.Decision]) -> Taken:
    """The decision of paths, whose conditions came out like this, in their order.

    With mode `first`, conditions behind the first that holds need not be there: they make no difference.
    """
    known = list(zip(step.paths, decided, strict=False))
    matches = [path.id for path, outcome in known if outcome.holds]
    if step.mode == "first":
        matches = matches[:1]
    if not matches and step.otherwise:
        matches = [OTHERWISE]
    reasons = {path.id: outcome.reason for path, outcome in known}
    behind = {path.id: "an earlier path was taken" for path in step.paths[len(known) :]}
    return Taken(taken=tuple(matches), reasons=reasons | behind)
