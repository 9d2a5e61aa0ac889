"""The audit: what people have done, and what processes did to what is theirs, in words.

The millions of events of runs are the history of those runs, and not here, but for what somebody did to a run. A row
has what is looked for; from where, why and the hash are read from its event, so nothing of that is kept twice.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import msgspec

from domain.audit.entry import Actor, Entity, EntityKind, Entry, From, KeyUsed, actor_of
from domain.audit.words import AUDITED, MAX_TEXT, Told, told
from domain.history.changes import Change
from domain.history.difference import Difference, difference
from domain.log.event import Event, Metadata, StoredEvent, decode_metadata
from domain.registry import EVENT_TYPES, decode
from domain.values.json import Json, JsonObject
from projections.engine.projection import Projection
from projections.engine.rows import execute, storable
from sql.postgres.composed import Composed, compose
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_queries = Queries("projections/audit.sql")
_fragments = Queries("fragments/audit.sql")
FORGET_S = 600.0
"""How long it may take to forget a month's rows."""
NAMED = "zap.created,zap.draft_changed,connection.created,connection.changed"
"""The events that give a zap or a connection its name."""
EDITS = {
    "zap.draft_changed": "zap.created,zap.draft_changed",
    "zap.published": "zap.published",
    "connection.changed": "connection.created,connection.changed",
}
"""Events that say how something is from now on, and those that said so before."""
_changes = msgspec.json.Decoder(list[Change])


class _Begun(msgspec.Struct, frozen=True):
    """Of the first event of a run, only how it was started."""

    source: str


_begun = msgspec.json.Decoder(_Begun)


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries: those for which all that is set holds. times end before `to`.

    `actor` in all its spellings, such as `user:<id>` and `key:<id>`. With `after` the oldest come first.
    """

    actor: tuple[str, ...] = ()
    entity: UUID | None = None
    type: str | None = None
    from_: datetime | None = None
    to: datetime | None = None
    q: str = ""
    before: int | None = None
    after: int | None = None
    limit: int


async def list_entries(pool: Pool, tenant_id: UUID, wanted: AuditFilter) -> list[Entry]:
    """A page of a tenant's audit: newest first, or with `after` the oldest behind that position."""
    owner: str = await pool.fetchval(_queries["owner_name"], tenant_id) if wanted.q else ""
    asked = positions_query(tenant_id, wanted, owner or "")
    positions = [row[0] for row in await pool.fetch(asked.query, *asked.arguments)]
    rows = await pool.fetch(_queries["entries"], tenant_id, positions)
    found = await asyncio.to_thread(lambda: [_entry(row) for row in rows])
    return found if wanted.after is not None else found[::-1]


def positions_query(tenant_id: UUID, wanted: AuditFilter, owner: str = "") -> Composed:
    """Which entries a page has. `owner` is the person of the workspace, whose name is found in summaries, too."""
    given: dict[str, object] = {
        name: value
        for name, value in (
            ("actor", list(wanted.actor) or None),
            ("entity", wanted.entity),
            ("type", wanted.type),
            ("from", wanted.from_),
            ("to", wanted.to),
            ("before", wanted.before),
            ("after", wanted.after),
        )
        if value is not None
    }
    values = given | {"tenant": tenant_id, "limit": wanted.limit, "owner": [f"user:{tenant_id}"]}
    names = ["positions", *given]
    if wanted.q:
        rest = _without(wanted.q, owner)
        values |= {"words": wanted.q, "rest": rest}
        names.append("words" if rest == wanted.q else "words_of_owner" if rest else "words_of_owner_alone")
    return compose(_fragments, [*names, "oldest" if wanted.after is not None else "newest"], values)


def _without(q: str, name: str) -> str:
    """What is looked for besides the name of a person."""
    parts = {part.casefold() for part in name.split()}
    return " ".join(word for word in q.split() if word.casefold() not in parts)


async def forget_month(connection: "Connection | PoolConnectionProxy[asyncpg.Record]", month: date) -> None:
    """Take the entries about requests of a month out, in the transaction that drops them from the log."""
    await connection.execute(_queries["forget_month"], month, timeout=FORGET_S)


def _entry(row: "asyncpg.Record") -> Entry:
    by = decode_metadata(row["meta"]) if row["meta"] else Metadata(actor=row["actor"])
    actor, via = actor_of(row["actor"]), by.via
    name = row["actor_name"] or actor.name
    key = None
    if actor.kind == "api_key" and actor.id is not None:
        name = via.api_key if via and via.api_key else "an API key"
        key = KeyUsed(actor.id, name)
    elif actor.kind == "user":
        name = name or "somebody whose account is gone"
    return Entry(
        position=row["position"],
        at=row["at"],
        type=row["type"],
        actor=Actor(kind=actor.kind, id=actor.id, name=name),
        via=From(ip=via.ip, user_agent=via.user_agent, api_key=key) if via else None,
        entity=Entity(kind=row["entity"], id=row["entity_id"], name=row["name"]),
        summary=f"{name} {row['told']}",
        changes=_changes.decode(row["changes"]) if row["changes"] else None,
        cut=row["cut"],
        correlation_id=by.correlation_id,
        causation_id=by.causation_id,
        event_hash=row["hash"].hex() if row["hash"] else None,
    )


class _Row(msgspec.Struct, kw_only=True):
    """An entry on its way, in the order of the columns."""

    tenant_id: UUID
    position: int
    at: datetime
    type: str
    kind: int
    stream_id: UUID
    version: int
    actor: str
    entity: EntityKind
    entity_id: UUID
    name: str
    told: str
    changes: str | None = None
    cut: bool = False


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    told_of = [(stored, found) for stored in events if (found := _told(stored)) is not None]
    if not told_of:
        return
    metadata = await _metadata(connection, [stored for stored, _found in told_of])
    rows = [
        (stored, found, _row(stored, found, by.actor))
        for stored, found in told_of
        if _is_of_people(found, stored.type, by := metadata.get(stored.position, Metadata()))
    ]
    await _name(connection, rows)
    await _compare(connection, [(stored, row) for stored, _found, row in rows])
    ordered = sorted((row for _stored, _found, row in rows), key=lambda row: (row.tenant_id, row.position))
    await execute(connection, _queries["insert"], [msgspec.structs.astuple(row) for row in ordered])


def _told(stored: StoredEvent) -> Told | None:
    """What there is to tell. Of the many runs that nobody started, the beginning is not decoded."""
    if stored.type == "zap.run.requested" and _begun.decode(stored.data).source not in ("manual", "replay"):
        return None
    return told(decode(stored.type, stored.schema_version, stored.data), stored.stream_id)


def _is_of_people(found: Told, type_: str, by: Metadata) -> bool:
    """Whether an entry is due: of runs and requests, what people do to one of them, and what was erased or dropped.

    What a job does, the job tells: it is the cause of that. A replay names its job, and has a cause anyway.
    """
    if found.kind not in ("run", "request") or type_ in ("runs.dropped", "run.forgotten"):
        return True
    by_person = by.actor.startswith(("user:", "key:")) or by.actor == "link"
    return by_person and (by.causation_id is None or type_ == "zap.run.requested")


def _row(stored: StoredEvent, found: Told, actor: str) -> _Row:
    return _Row(
        tenant_id=stored.tenant_id,
        position=stored.position,
        at=stored.recorded_at,
        type=stored.type,
        kind=stored.kind,
        stream_id=stored.stream_id,
        version=stored.version,
        actor=actor,
        entity=found.kind,
        entity_id=found.id,
        name="",
        told=storable(found.text),
    )


async def _metadata(connection: Connection, events: Sequence[StoredEvent]) -> dict[int, Metadata]:
    columns = zip(*((event.kind, event.stream_id, event.version) for event in events), strict=True)
    rows = await connection.fetch(_queries["metadata"], *map(list, columns))
    return {row[0]: decode_metadata(row[1]) for row in rows}


async def _earlier(connection: Connection, asked: Sequence[tuple[UUID, int, str]]) -> list[dict[str, Json] | None]:
    """What streams last said before positions, in events of some types."""
    found: list[dict[str, Json] | None] = [None] * len(asked)
    if asked:
        for place, data in await connection.fetch(_queries["earlier"], *map(list, zip(*asked, strict=True))):
            found[place - 1] = msgspec.json.decode(data)
    return found


async def _name(connection: Connection, rows: Sequence[tuple[StoredEvent, Told, _Row]]) -> None:
    """Give each row the name that its zap or connection had then; an event that names it is its own source."""
    named = [(row, found.named_by) for _stored, found, row in rows if found.named_by is not None]
    asked = [(stream_id, row.position + 1, NAMED) for row, stream_id in named]
    for (row, stream_id), said in zip(named, await _earlier(connection, asked), strict=True):
        name = said.get("name") if said else None
        row.name = storable(name) if isinstance(name, str) else str(stream_id)
        row.told = row.told.replace("{}", row.name, 1)
    for _stored, _found, row in rows:
        row.told = row.told[:MAX_TEXT]


async def _compare(connection: Connection, rows: Sequence[tuple[StoredEvent, _Row]]) -> None:
    """Tell what each edit has changed."""
    edits = [(stored, row) for stored, row in rows if row.type in EDITS]
    asked = [(row.stream_id, row.position, EDITS[row.type]) for _stored, row in edits]
    for (stored, row), before in zip(edits, await _earlier(connection, asked), strict=True):
        if before is not None:
            found = await asyncio.to_thread(_difference, before, stored.data)
            row.changes, row.cut = msgspec.json.encode(found.changes).decode().replace("\\u0000", ""), found.cut


def _difference(before: JsonObject, data: bytes) -> Difference:
    return difference(_flat(before), _flat(msgspec.json.decode(data)))


def _flat(said: JsonObject) -> JsonObject:
    """What is edited: the name beside the parts of the definition or the config."""
    inner = said.get("definition")
    if isinstance(inner, dict):
        return {"name": said["name"]} | inner
    return {name: value for name, value in said.items() if name in ("name", "config")}


def _handled() -> Iterator[str]:
    wanted: set[type[Event]] = set(AUDITED)
    return (kind.name for kind in EVENT_TYPES if kind.struct in wanted)


AUDIT = Projection(
    name="audit",
    definition=7,
    handles=frozenset(_handled()),
    create=_queries["create"],
    apply=_apply,
)
