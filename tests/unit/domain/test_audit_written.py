"""The audit as a table: whole rows that no spreadsheet carries out."""

import csv
import io
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.entry import Actor, Entity, Entry, From, KeyUsed
from domain.audit.written import COLUMNS, head, written
from domain.history.changes import Change

EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "=cmd|' /C calc'!A0", '"=1', ",=1"]


def entry(text: str) -> Entry:
    return Entry(
        position=7, at=datetime(2026, 11, 25, tzinfo=UTC), type="zap.created",
        actor=Actor(kind="user", id=UUID(int=1), name=text),
        via=From(ip="192.0.2.1", user_agent=text, api_key=KeyUsed(UUID(int=2), text)),
        entity=Entity(kind="zap", id=UUID(int=3), name=text), summary=text,
        changes=[Change(path="name", op="replace", before=text, after=text)], cut=False,
        correlation_id=None, causation_id=None, event_hash=None,
    )  # fmt: skip


def rows(text: str) -> list[list[str]]:
    table = (head("csv") + written([entry(text)], "csv")).decode()
    return list(csv.reader(io.StringIO(table, newline="")))


@pytest.mark.parametrize("text", EVIL)
def test_no_cell_is_a_formula(text: str) -> None:
    first, row = rows(text)
    assert tuple(first) == COLUMNS
    assert len(row) == len(COLUMNS)
    assert not [cell for cell in row if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


@given(st.text())
def test_a_row_has_what_the_entry_has(text: str) -> None:
    cells = dict(zip(*rows(text), strict=True))
    kept = text.encode("utf-8", "replace").decode()
    assert cells["summary"].removeprefix("'" if cells["summary"].startswith("'") and kept[:1] != "'" else "") == kept
    assert cells["position"] == "7"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_line_of_json_is_the_entry(text: str) -> None:
    line = written([entry(text)], "ndjson")
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line, type=Entry) == entry(text)
