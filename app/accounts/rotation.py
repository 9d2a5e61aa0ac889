"""Replacing the key of what is stored: each box is opened and sealed again under the newest key, while all goes on."""

from collections import Counter

from sql.postgres.pool import Pool
from sql.secrets.secret_box import SecretBox, Unreadable
from sql.tables.sealed import SealedRow, SealedTable


async def rotate(pool: Pool, table: SealedTable, box: SecretBox) -> Counter[str]:
    """Seal a table's boxes anew, as often as one likes.

    Counts rows: `sealed` anew, `current` already, `unreadable` with any key on the ring, and `changed` by somebody else
    at that moment. Raises sql.postgres.pool.CONNECTION_ERRORS.
    """
    counts: Counter[str] = Counter()
    async for row in table.rows(pool):
        counts[await _rotate(pool, table, box, row)] += 1
    return counts


async def _rotate(pool: Pool, table: SealedTable, box: SecretBox, row: SealedRow) -> str:
    if all(box.is_current(sealed) for sealed in row.boxes):
        return "current"
    try:
        boxes = [box.seal(box.open(sealed, row.context), row.context) for sealed in row.boxes]
    except Unreadable:
        return "unreadable"
    return "sealed" if await table.swap(pool, row, boxes) else "changed"
