"""Rows of cells as items: what a sheet has, whose first row names the columns."""

from collections import Counter
from hashlib import sha256

import msgspec

from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject


def by_header(rows: list[Json]) -> list[Json]:
    """Each row below the first as `{key, row, values}`: `row` is its number from 1, `values` has its cells by name.

    Rows have no ids, so the `key` is made of the cells, and of how many rows above have the same. Rows without any
    cell are left out; a column without a name, or with one that was there before, is called after its number.
    """
    if not rows or not isinstance(rows[0], list):
        return []
    names = _names(rows[0])
    alike = Counter[bytes]()
    found: list[Json] = []
    for number, row in enumerate(rows[1:], start=2):
        cells = row if isinstance(row, list) else []
        if all(cell in (None, "") for cell in cells):
            continue
        digest = sha256(msgspec.json.encode(cells)).digest()
        key = sha256(digest + str(alike[digest]).encode()).hexdigest()[:32]
        alike[digest] += 1
        found.append({"key": key, "row": number, "values": _values(names, cells)})
    return found


def _names(header: list[Json]) -> list[str]:
    names: list[str] = []
    for number, cell in enumerate(header, start=1):
        name = spelled(cell).strip()
        names.append(name if name and name not in names else f"column_{number}")
    return names


def _values(names: list[str], cells: list[Json]) -> JsonObject:
    """Cells that a row does not have are empty texts, as the sheet shows them."""
    more = [f"column_{number}" for number in range(len(names) + 1, len(cells) + 1)]
    filled = [*cells, *[""] * (len(names) - len(cells))]
    return dict(zip([*names, *more], filled, strict=False))
