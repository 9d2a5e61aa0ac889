"""What the search index holds, unpacked."""

from uuid import UUID

from projections.search.blocks import decoded, ids_of
from sql.postgres.pool import Connection


async def contents(connection: Connection) -> set[tuple[bytes, UUID]]:
    """Which runs have which keys, however they are laid out."""
    rows = await connection.fetch("select tenant_id, segment, first, data from rm.run_search order by 1, 2, 3")
    ids: list[UUID] = []
    found: set[tuple[bytes, UUID]] = set()
    for row in rows:
        if row["first"] == b"":
            ids = ids_of(row["data"])
            continue
        block = decoded(row["data"])
        for key, raw in zip(block.keys, block.places, strict=True):
            found |= {(key, ids[int.from_bytes(raw[at : at + 2], "little")]) for at in range(0, len(raw), 2)}
    return found
