"""Runs one statement in somebody's PostgreSQL, within a transaction of its own. Data are parameters, always."""

import base64
import math
import ssl
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from domain.connector.http_client import Unreachable
from domain.dialogue.questions import SqlQuery, SqlRows
from domain.values.json import Json, JsonObject, MalformedJson, parse
from sql.postgres.queries import Queries

MAX_BYTES = 4 * 2**20
"""Of rows, about as their JSON is long."""
PREFETCH = 50
MAX_WORDS = 500
_BROKEN = "the connection broke, or the answer was larger than there is room for"
_foreign = Queries("queries/foreign.sql")


async def query(wanted: SqlQuery) -> SqlRows:
    """Raises Unreachable where the server refuses something, and OSError where there is none."""
    try:
        connection = await asyncpg.connect(
            host=wanted.host,
            port=wanted.port,
            user=wanted.username,
            password=wanted.password,
            database=wanted.database,
            ssl=_tls(wanted.tls),
            timeout=wanted.timeout_s,
            command_timeout=wanted.timeout_s,
            statement_cache_size=0,
            server_settings={
                "application_name": "triggerhub",
                "statement_timeout": str(int(wanted.timeout_s * 1_000)),
                "default_transaction_read_only": "on" if wanted.read_only else "off",
            },
        )
        try:
            for kind in ("json", "jsonb"):
                await connection.set_type_codec(kind, schema="pg_catalog", encoder=str, decoder=_parsed)
            async with connection.transaction(readonly=wanted.read_only):
                if await connection.fetchval(_foreign["is_ours"]):
                    raise Unreachable("own_database", "this is a database of TriggerHub itself", permanent=True)
                return await _run(connection, wanted)
        finally:
            connection.terminate()
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise Unreachable("login_refused", "the database did not let the account in", permanent=True) from None
    except asyncpg.QueryCanceledError:
        raise Unreachable("timeout", f"the statement took more than {wanted.timeout_s:g} s") from None
    except asyncpg.ConnectionDoesNotExistError:
        raise Unreachable("broken", _BROKEN) from None
    except asyncpg.PostgresError as error:
        raise _refused(error) from None
    except asyncpg.InterfaceError as error:
        if "connection is closed" in str(error):
            raise Unreachable("broken", _BROKEN) from None
        raise Unreachable("sql_error", f"the statement can not be run: {error}"[:MAX_WORDS], permanent=True) from None


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", wanted: SqlQuery) -> SqlRows:
    statement = await connection.prepare(wanted.sql)
    parameters = given(wanted.parameters, [kind.name for kind in statement.get_parameters()])
    if not statement.get_attributes():
        await statement.fetch(*parameters)
        return SqlRows(rows=[], affected=_count(statement.get_statusmsg()))
    rows: list[JsonObject] = []
    size = 0
    async for record in statement.cursor(*parameters, prefetch=PREFETCH):
        row: dict[str, Json] = {name: shown(value) for name, value in record.items()}
        size += len(str(row))
        if len(rows) >= wanted.max_rows or size > MAX_BYTES:
            return SqlRows(rows=rows, truncated=True)
        rows.append(row)
    return SqlRows(rows=rows)


def _count(status: str | None) -> int:
    """The rows that a command tag counts, such as `UPDATE 3`."""
    last = (status or "").rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _tls(mode: Literal["verify", "require", "off"]) -> ssl.SSLContext | bool:
    if mode == "off":
        return False
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _refused(error: asyncpg.PostgresError) -> Unreachable:
    """What the database says. Serialization failures, lack of resources and shutdowns heal (classes 40, 53, 57)."""
    state = error.sqlstate or ""
    return Unreachable(
        "sql_error",
        f"the database answered {state}: {error}"[:MAX_WORDS],
        permanent=state[:2] not in {"40", "53", "57"},
    )


_SAFE = 2**53


def _parsed(text: str) -> Json:
    """JSON of a column; what no other part of a run could hold stays the text that it is."""
    try:
        return parse(text.encode())
    except MalformedJson:
        return text


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _int(value: Any) -> int:
    if isinstance(value, bool | float) and value != int(value):
        raise ValueError(value)
    return int(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[str(value).lower()]


_MADE: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _int),
    **dict.fromkeys(("float4", "float8"), float),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext", "unknown"), _text),
    **dict.fromkeys(("json", "jsonb"), _json),
    "numeric": lambda value: Decimal(str(value)),
    "bool": _bool,
    "uuid": lambda value: UUID(str(value)),
    "date": lambda value: date.fromisoformat(str(value)[:10]),
    "time": lambda value: time.fromisoformat(str(value)),
    "timestamp": lambda value: datetime.fromisoformat(str(value)).replace(tzinfo=None),
    "timestamptz": lambda value: datetime.fromisoformat(str(value)).astimezone(),
    "bytea": lambda value: base64.b64decode(str(value), validate=True),
}


def given(parameters: Sequence[Json], types: Sequence[str]) -> list[object]:
    """Parameters of a statement, as their types want them. Raises Unreachable for what fits none."""
    if len(parameters) != len(types):
        told = f"the statement has {len(types)} parameters, and {len(parameters)} are given"
        raise Unreachable("bad_parameters", told, permanent=True)
    return [_given(value, kind, number) for number, (value, kind) in enumerate(zip(parameters, types, strict=True), 1)]


def _given(value: Json, kind: str, number: int) -> object:
    if value is None:
        return None
    if kind.endswith("[]"):
        listed = value if isinstance(value, list) else [value]
        return [_given(one, kind[:-2], number) for one in listed]
    try:
        made = _MADE.get(kind)
        return made(value) if made else value
    except (ValueError, TypeError, KeyError, InvalidOperation, OverflowError):
        raise Unreachable("bad_parameters", f"parameter ${number} is no value of type {kind}", permanent=True) from None


def shown(value: object) -> Json:
    """A column's value as JSON; numbers that JSON would make inexact are text."""
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case None | bool() | str() | dict():
            return value
        case int():
            return value if abs(value) <= _SAFE else str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case list() | tuple():
            return [shown(one) for one in value]
        case _:
            return str(value)
