"""The hash chain, computed again from what the tables hold: the proof that a log is whole."""

from struct import pack

import asyncpg

from sql.log.hashing import GENESIS, commit_hash, event_hash
from sql.postgres.pool import connect

_ROWS = "select * from es.events order by position"
_COMMITS = "select * from es.commits where last_position > 0 order by last_position"


async def assert_log_is_whole(dsn: str) -> list[asyncpg.Record]:
    """Positions contiguous, streams without holes, every hash right, every commit in the chain. Returns all rows."""
    connection = await connect(dsn, "test chain")
    try:
        rows = await connection.fetch(_ROWS)
        commits = await connection.fetch(_COMMITS)
    finally:
        await connection.close()
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    versions: dict[tuple[int, object], int] = {}
    for row in rows:
        stream = (row["kind"], row["stream_id"])
        versions[stream] = versions.get(stream, 0) + 1
        assert row["version"] == versions[stream]
        assert row["hash"] == _hash_of(row)
    assert len({row["event_id"] for row in rows}) == len(rows)
    _assert_chained(commits, rows)
    return rows


def _hash_of(row: asyncpg.Record) -> bytes:
    return event_hash(
        kind=row["kind"],
        stream_id=row["stream_id"],
        tenant_id=row["tenant_id"],
        ordering_key=row["ordering_key"],
        event_id=row["event_id"],
        type_=row["type"],
        schema_version=row["schema_version"],
        meta=row["meta"],
        data=row["data"],
    )


def _assert_chained(commits: list[asyncpg.Record], rows: list[asyncpg.Record]) -> None:
    last, previous = 0, GENESIS
    for commit in commits:
        assert commit["prev_position"] == last
        part = rows[last : commit["last_position"]]
        assert {row["recorded_at"] for row in part} == {commit["recorded_at"]}
        joined = b"".join(pack(">i", row["version"]) + row["hash"] for row in part)
        previous = commit_hash(previous, last, commit["recorded_at"], joined)
        assert commit["hash"] == previous
        last = commit["last_position"]
    assert last == len(rows)
