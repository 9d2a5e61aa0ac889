"""Entries of the audit as text: a JSON document a line, or rows of a table that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from domain.audit.entry import Entry

Format: TypeAlias = Literal["ndjson", "csv"]
COLUMNS = (
    "position", "at", "type", "actor_kind", "actor_id", "actor_name", "ip", "user_agent", "api_key_id", "api_key_name",
    "entity_kind", "entity_id", "entity_name", "summary", "changes", "correlation_id", "causation_id", "event_hash",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet may carry out (OWASP, "CSV Injection")."""


def head(wanted: Format) -> bytes:
    """What comes before all entries."""
    return _rows([COLUMNS]) if wanted == "csv" else b""


def written(entries: Sequence[Entry], wanted: Format) -> bytes:
    """Some entries, each a whole line or row."""
    if wanted == "csv":
        return _rows(_cells(entry) for entry in entries)
    return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)


def _cells(entry: Entry) -> list[str]:
    via, key = entry.via, entry.via.api_key if entry.via else None
    values = (
        entry.position, entry.at.isoformat(), entry.type, entry.actor.kind, entry.actor.id, entry.actor.name,
        via.ip if via else None, via.user_agent if via else None, key.id if key else None, key.name if key else None,
        entry.entity.kind, entry.entity.id, entry.entity.name, entry.summary,
        None if entry.changes is None else msgspec.json.encode(entry.changes).decode(),
        entry.correlation_id, entry.causation_id, entry.event_hash,
    )  # fmt: skip
    return ["" if value is None else _harmless(str(value)) for value in values]


def _harmless(cell: str) -> str:
    """The cell; with a quote before it where it would be a formula, also behind blanks."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _rows(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
