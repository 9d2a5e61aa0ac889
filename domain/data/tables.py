"""Tables as text: CSV (RFC 4180), read and written."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.operation import MAX_MADE, MAX_TEXT, Operation, Unfit, bounded_items
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject

MAX_COLUMNS = 1_000
MAX_CELL = 1_000_000
_DELIMITERS = ",;\t|"
_LOOKS_LIKE_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Csv(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table as a text, or the text of a table."""

    mode: Annotated[Literal["read", "write"], Meta(title="Do")] = "read"
    text: Annotated[str, Meta(title="Text", description="To read")] | Unset = UNSET
    items: Annotated[list[Json], Meta(title="Rows", description="To write: objects, or lists of cells")] | Unset = UNSET
    columns: Annotated[
        list[str], Meta(title="Columns", max_length=MAX_COLUMNS, description="Without them, those that are there")
    ] = []
    delimiter: Annotated[
        str, Meta(title="Delimiter", max_length=4, description="One character, or auto: what the first line shows")
    ] = "auto"
    header: Annotated[bool, Meta(title="The first line has the names of the columns")] = True
    formulas: Annotated[
        Literal["escape", "keep"],
        Meta(title="Texts that a spreadsheet takes for formulas", description="To write: put a ' before them, or not"),
    ] = "escape"


def table(wanted: Csv, _now: datetime) -> Json:
    """The rows as `items`, with the names of the columns; or the `text`."""
    if len(wanted.delimiter) != 1 and wanted.delimiter != "auto":
        raise Unfit("delimiter: one character, or auto")
    if wanted.delimiter in '"\r\n':
        raise Unfit("delimiter: neither a quote nor a line end")
    return _read(wanted) if wanted.mode == "read" else _write(wanted)


def _read(wanted: Csv) -> Json:
    text = (wanted.text or "").removeprefix("\ufeff")
    delimiter = _delimiter(text) if wanted.delimiter == "auto" else wanted.delimiter
    csv.field_size_limit(MAX_CELL)
    try:
        rows = [row for row in _bounded(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) if row]
    except csv.Error as error:
        raise Unfit(f"text: not CSV: {error}") from None
    names = wanted.columns or (rows[0] if wanted.header and rows else [])
    body = rows[1:] if wanted.header else rows
    if not names:
        lists = list[Json]([list[Json](row) for row in body])
        return {"items": lists, "columns": [], "count": len(lists)}
    columns = _distinct(names)
    items: list[Json] = [_item(columns, row) for row in body]
    return {"items": bounded_items(items), "columns": list[Json](columns), "count": len(items)}


def _bounded(rows: Iterable[list[str]]) -> Iterable[list[str]]:
    for index, row in enumerate(rows):
        if index > MAX_MADE or len(row) > MAX_COLUMNS:
            raise Unfit(f"text: at most {MAX_MADE:,} rows of {MAX_COLUMNS:,} columns")
        yield row


def _item(columns: list[str], row: list[str]) -> JsonObject:
    item: JsonObject = dict(zip(columns, row, strict=False))
    item.update(dict.fromkeys(columns[len(row) :], ""))
    if len(row) > len(columns):
        item["more"] = list[Json](row[len(columns) :])
    return item


def _distinct(names: list[str]) -> list[str]:
    """The names of columns, none of them empty or twice."""
    found: dict[str, None] = {}
    for index, name in enumerate(names):
        base = name.strip() or f"column_{index + 1}"
        again, chosen = 2, base
        while chosen in found:
            chosen, again = f"{base}_{again}", again + 1
        found[chosen] = None
    return list(found)


def _delimiter(text: str) -> str:
    first = text[:10_000].partition("\n")[0]
    outside = "".join(first.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def _write(wanted: Csv) -> Json:
    rows = wanted.items or []
    columns = wanted.columns or list({name: None for row in rows if isinstance(row, dict) for name in row})
    if len(columns) > MAX_COLUMNS:
        raise Unfit(f"items: at most {MAX_COLUMNS:,} columns")
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter="," if wanted.delimiter == "auto" else wanted.delimiter)
    if wanted.header and columns:
        writer.writerow([_cell(name, wanted) for name in columns])
    for index, row in enumerate(rows):
        writer.writerow([_cell(value, wanted) for value in _cells(row, columns, index)])
        if target.tell() > MAX_TEXT:
            raise Unfit(f"this makes more than {MAX_TEXT:,} characters")
    return {"text": target.getvalue(), "columns": list[Json](columns), "count": len(rows)}


def _cells(row: Json, columns: list[str], index: int) -> list[Json]:
    match row:
        case dict():
            return [row.get(name) for name in columns]
        case list():
            return row
    raise Unfit(f"items.{index}: must be an object, or a list of cells")


def _cell(value: Json, wanted: Csv) -> str:
    text = spelled(value)
    if isinstance(value, str) and wanted.formulas == "escape" and text.startswith(_LOOKS_LIKE_A_FORMULA):
        return f"'{text}"
    return text


TABLES = {
    "data.csv": Operation(
        name="Read or write CSV",
        description="Makes a list of a table in CSV, or a table in CSV of a list.",
        icon="table",
        config=Csv,
        work=table,
        example={"mode": "write", "items": "{{ trigger.body.lines }}", "columns": ["sku", "total"]},
        sample={"items": [{"sku": "A1", "total": "12"}], "columns": ["sku", "total"], "count": 1},
    ),
}
