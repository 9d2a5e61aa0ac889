"""Which runs are asked for: all filters go together, each a named fragment of SQL (sql/fragments/run_list.sql)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Self, TypeAlias
from uuid import UUID

import msgspec

from domain.job.job import Selection
from domain.run.events import Source
from domain.run.state import RunStatus
from domain.search.keys import stored_key
from domain.search.query import KeyTerm
from projections.engine.rows import columns
from sql.postgres.composed import Composed, compose
from sql.postgres.queries import Queries

_fragments = Queries("fragments/run_list.sql")
_DAWN = datetime(1970, 1, 2, tzinfo=UTC)
MOST_SPANS = 2
"""Of values of one key, for which it is asked by an index; more are looked through."""
Sort: TypeAlias = Literal["started_at", "finished_at", "duration_ms", "key"]
Order: TypeAlias = Literal["desc", "asc"]


class After(msgspec.Struct, frozen=True):
    """The run behind which a page starts: its id, and what it is sorted by where that is not when it started."""

    id: UUID
    value: datetime | float | bytes | None = None


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs, in which order: those for which all fields that are set hold.

    `ids`: of those that a search has found. `from_` and `finished_from` are inclusive, `to` and `finished_to` are not;
    durations are inclusive. `step_id` and `error_code` are those of the error that the list shows. `recovered`: only
    runs that were made up for by a replay, or only the others. `parent`: only children of this run; the items of loops
    are listed with it, and not without. By `finished_at` or `duration_ms` only runs that have ended are listed, by
    `key` only those that have the search key `sort_key`. `keys`: what search keys have to be.
    """

    ids: tuple[UUID, ...] | None = None
    zap_ids: tuple[UUID, ...] | None = None
    statuses: tuple[RunStatus, ...] = ()
    source: Source | None = None
    from_: datetime | None = None
    to: datetime | None = None
    finished_from: datetime | None = None
    finished_to: datetime | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    zap_version: int | None = None
    step_id: str | None = None
    error_code: str | None = None
    recovered: bool | None = None
    parent: UUID | None = None
    keys: tuple[KeyTerm, ...] = ()
    sort: Sort = "started_at"
    sort_key: str = ""
    order: Order = "desc"
    after: After | None = None
    limit: int = 20

    @property
    def in_ranges(self) -> bool:
        """Whether ends, durations or keys are asked for: it depends on their values which index is the best."""
        ranges = self.finished_from, self.finished_to, self.min_duration_ms, self.max_duration_ms
        return self.sort != "started_at" or bool(self.keys) or any(bound is not None for bound in ranges)

    @classmethod
    def of(cls, selection: Selection, statuses: Sequence[RunStatus], tagged: Sequence[UUID] | None = None) -> Self:
        """What a selection means, whatever its own status, but for its search. `tagged`: the zaps with its tag."""
        zap_ids: tuple[UUID, ...] | None = None if selection.zap_id is None else (selection.zap_id,)
        if tagged is not None:
            zap_ids = tuple(one for one in tagged if zap_ids is None or one in zap_ids)
        return cls(
            zap_ids=zap_ids,
            statuses=tuple(statuses),
            source=selection.source,
            from_=selection.from_,
            to=selection.to,
            finished_from=selection.finished_from,
            finished_to=selection.finished_to,
            min_duration_ms=selection.min_duration_ms,
            max_duration_ms=selection.max_duration_ms,
            zap_version=selection.zap_version,
            step_id=selection.step_id,
            error_code=selection.error_code,
            recovered=False if selection.recovered is None and not selection.include_recovered else selection.recovered,
            parent=selection.parent,
        )


def page_query(tenant_id: UUID, wanted: RunFilter) -> Composed:
    """A page of the list."""
    return _composed(tenant_id, wanted, "items", [])


def count_query(tenant_id: UUID, wanted: RunFilter) -> Composed:
    """How many there are. The order tells which index to go along."""
    return _composed(tenant_id, wanted, "count", ["counted"])


def oldest_query(tenant_id: UUID, wanted: RunFilter, *, after: UUID | None, before: UUID) -> Composed:
    """What a job takes next."""
    oldest = msgspec.structs.replace(wanted, order="asc", after=After(after) if after else None)
    return _composed(tenant_id, oldest, "ids", [], before)


def _composed(
    tenant_id: UUID, wanted: RunFilter, shown: str, closed: Sequence[str], before: UUID | None = None
) -> Composed:
    chosen = _chosen(wanted)
    given = _filters(wanted, chosen) | _position(wanted)
    if before is not None and wanted.order == "asc":
        given["before_id"] = {"before_id": before}
    in_order = [f"{wanted.sort}_{wanted.order}", "limit"]
    each = ["each", *in_order] if chosen.startswith("each") else []
    values: dict[str, object] = {"tenant": tenant_id, "limit": wanted.limit}
    values |= {"parent": wanted.parent, "zaps": wanted.zap_ids, "statuses": possible(wanted)}
    values["ids"] = wanted.ids
    for of_one in given.values():
        values |= of_one
    return compose(_fragments, [shown, chosen, *given, *in_order, *each, *closed], values)


def possible(wanted: RunFilter) -> tuple[RunStatus, ...]:
    """The statuses that runs of the filter can have: no run that has completed shows an error. Empty for any."""
    if not (wanted.step_id or wanted.error_code):
        return wanted.statuses
    return tuple(status for status in wanted.statuses if status != "completed")


def _chosen(wanted: RunFilter) -> str:
    """Where to look: along the index that passes over the fewest runs."""
    if terms := _terms(wanted):
        return "keyed" if len(terms) == 1 else "keyed_twice"
    if wanted.parent:
        return "of_parent"
    if wanted.recovered and wanted.ids is None:
        return "recovered_runs"
    if wanted.zap_ids is not None and len(wanted.zap_ids) != 1 and wanted.ids is None:
        return "each_zap"
    statuses = possible(wanted)
    if (
        wanted.ids is None
        and len(statuses) > 1
        and "completed" not in statuses
        and not (wanted.step_id or wanted.error_code)
    ):
        return "each_status"
    return "runs"


_Given: TypeAlias = dict[str, Mapping[str, object]]
"""The fragments of the filters that are set, each with its values."""


def _filters(wanted: RunFilter, chosen: str) -> _Given:
    found: _Given = {} if wanted.ids is None else {"ids_of": {}}
    if wanted.zap_ids is not None and chosen != "each_zap":
        found |= {"zap": {"zap": wanted.zap_ids[0]}} if len(wanted.zap_ids) == 1 else {"zaps": {}}
    if chosen != "each_status":
        found |= _statuses(wanted)
    if wanted.source is not None:
        found["source"] = {"source": wanted.source}
        if wanted.source != "webhook":
            found["not_webhook"] = {}
    if wanted.parent is not None and chosen != "of_parent":
        found["parent"] = {}
    if wanted.recovered is not None and chosen != "recovered_runs":
        found["recovered" if wanted.recovered else "not_recovered"] = {}
    return found | dict(_plain(wanted)) | _keys_given(wanted)


def _keys_given(wanted: RunFilter) -> _Given:
    """What search keys have to be: two of them, that of the order first, are joined, others are asked of each run."""
    terms = _terms(wanted)
    given: _Given = {}
    for alias, term in zip(("key", "other"), terms, strict=False):
        given |= _where(alias, term)
    rest = [term for n, term in enumerate(terms) if n > 1 or term.inside or len(term.spans) > MOST_SPANS]
    spans = [(n, term.name, *span, term.inside) for n, term in enumerate(rest) for span in term.spans]
    if rest:
        names = "term_numbers", "term_names", "term_lows", "term_highs", "term_texts"
        given["keys"] = {"key_terms": len(rest), **dict(zip(names, columns(spans), strict=True))}
    return given


def _terms(wanted: RunFilter) -> list[KeyTerm]:
    """That of the order first, then those that say what a key is, then others."""
    by = wanted.sort_key if wanted.sort == "key" else ""
    terms = sorted(wanted.keys, key=lambda term: (term.name != by, not term.exact))
    if by and not (terms and terms[0].name == by):
        terms.insert(0, KeyTerm(by, ((stored_key(by, b""), stored_key(by, b"\xff")),)))
    return terms


def _where(alias: str, term: KeyTerm) -> _Given:
    name: Mapping[str, object] = {f"{alias}_name": term.name}
    if term.exact:
        return {f"{alias}_is": {**name, f"{alias}_values": term.exact}}
    (low, high), (also_low, also_high) = term.spans[0], term.spans[-1]
    if len(term.spans) != MOST_SPANS:
        return {f"{alias}_between": {**name, f"{alias}_low": low, f"{alias}_high": also_high}}
    either = {"low": low, "high": high, "also_low": also_low, "also_high": also_high}
    return {f"{alias}_between_either": {**name, **{f"{alias}_{side}": key for side, key in either.items()}}}


def _statuses(wanted: RunFilter) -> _Given:
    statuses = possible(wanted)
    if not statuses:
        return {"statuses": {}} if wanted.statuses else {}
    only: _Given = {"status": {"status": statuses[0]}} if len(statuses) == 1 else {"statuses": {}}
    return only | ({} if "completed" in statuses else {"not_completed": {}})


def _plain(wanted: RunFilter) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Filters that are one comparison each; their fragments and values have the same name."""
    for name, value in (
        ("zap_version", wanted.zap_version),
        ("step", wanted.step_id),
        ("error_code", wanted.error_code),
        ("from", not_too_early(wanted.from_)),
        ("to", not_too_early(wanted.to)),
        ("finished_from", wanted.finished_from),
        ("finished_to", not_too_early(wanted.finished_to)),
        ("min_duration", wanted.min_duration_ms),
        ("max_duration", wanted.max_duration_ms),
    ):
        if value is not None:
            yield name, {name: value}


def _position(wanted: RunFilter) -> _Given:
    """Where the page starts; and only runs that have what they are sorted by."""
    found: _Given = {}
    if wanted.sort == "finished_at" or wanted.finished_from or wanted.finished_to:
        found["finished"] = {}
    if wanted.sort == "duration_ms" or wanted.min_duration_ms is not None or wanted.max_duration_ms is not None:
        found["timed"] = {}
    if wanted.after is None:
        return found
    place, side = ("before_id", "before") if wanted.order == "desc" else ("after_id", "after")
    by = place if wanted.sort == "started_at" else f"{side}_{wanted.sort}"
    return found | {by: {place: wanted.after.id, "value": wanted.after.value}}


def not_too_early(moment: datetime | None) -> datetime | None:
    """No id is of a time before 1970, nor was a run."""
    return moment and max(moment, _DAWN)
