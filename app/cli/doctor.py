"""`triggerhub doctor`: the settings as understood, and one line, with the remedy, for each thing needed."""

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from app.config.errors import OperatorError
from app.config.settings import PREFIX, Secret, Settings, unknown_variables
from app.roles.roles import ROLES
from domain.values.redaction import REDACTED

if TYPE_CHECKING:
    import asyncpg

LEAST_DISK = 2**30
MOST_BEHIND = 100_000
"""Events that the relay may be behind, as long as nobody needs to look."""


class Finding(msgspec.Struct, frozen=True):
    """`remedy` is empty when all is well."""

    subject: str
    detail: str
    remedy: str = ""


async def examine(settings: Settings, role: str | None = None) -> bool:
    """Print everything, or what concerns one role only; returns whether all is well."""
    names = ROLES[role].settings if role else Settings.__struct_fields__
    for name, value in settings.to_env().items():
        field = name.removeprefix(PREFIX).lower()
        if field in names:
            secret = isinstance(getattr(settings, field), Secret)
            click.echo(f"      {name}={REDACTED if secret and value else value}")
    findings = [_python(), _disk(settings.data_dir), *await _database(settings)]
    if "kafka_bootstrap_servers" in names:
        findings.append(await _broker(settings))
    findings.append(_spelling())
    for finding in findings:
        mark = "fail" if finding.remedy else "ok"
        remedy = f" — {finding.remedy}" if finding.remedy else ""
        click.echo(f"{mark:<5} {finding.subject}: {finding.detail}{remedy}")
    return not any(finding.remedy for finding in findings)


def _python() -> Finding:
    old = sys.version_info < (3, 11)
    return Finding("Python", platform.python_version(), "use Python 3.11 or newer" if old else "")


def _disk(data_dir: Path) -> Finding:
    place = next(path for path in [data_dir, *data_dir.parents] if path.exists())
    free = shutil.disk_usage(place).free
    remedy = f"free some space on the disk of {place}, at least 1 GB" if free < LEAST_DISK else ""
    return Finding("disk", f"{free / 2**30:.1f} GB free for {data_dir}", remedy)


async def _database(settings: Settings) -> list[Finding]:
    if not settings.database_url:
        return [Finding("database", "none", f"start `triggerhub up`, or set {PREFIX}DATABASE_URL")]
    from app.roles.startup import database_problem  # only here, and it is large

    try:
        problem = await database_problem(settings)
    except OperatorError as error:
        problem = str(error)
    if problem:
        return [Finding("database", problem, f"check the server and {PREFIX}DATABASE_URL")]
    return [Finding("database", "usable, and its schema is up to date"), *await _readers(settings)]


async def _readers(settings: Settings) -> list[Finding]:
    """What the tables tell: who claims to be beyond the log or is behind it, how large they are, and what is dead."""
    from sql.postgres.pool import connect
    from sql.postgres.queries import Queries

    queries = Queries("queries/doctor.sql")
    connection = await connect(settings.database_url, "doctor")
    try:
        beyond = await connection.fetch(Queries("queries/gates.sql")["beyond"])
        sizes = await connection.fetchrow(queries["sizes"])
        behind = await connection.fetchval(queries["behind"])
        dead = await connection.fetch(queries["dead_rows"])
    finally:
        await connection.close()
    assert sizes is not None, "an aggregate has one row"
    return [*_beyond(beyond), _size(*sizes), *_behind(behind), *(_dead(*row) for row in dead)]


def _size(log: int, read_models: int, rest: int, events: int, of_last_day: int) -> Finding:
    growth = log / max(events, 1) * of_last_day
    return Finding(
        "size",
        f"log {_bytes(log)} with {events:,} events, read models {_bytes(read_models)}, the rest {_bytes(rest)}; "
        f"the log grew by {_bytes(growth)} in the last day",
    )


def _bytes(size: float) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"


def _behind(events: int) -> list[Finding]:
    remedy = "is a relay running, and does the broker answer?" if events > MOST_BEHIND else ""
    return [Finding("relay", f"{events:,} events behind the log", remedy)] if remedy else []


def _dead(table: str, dead: int, live: int) -> Finding:
    return Finding(
        table,
        f"{dead:,} dead rows beside {live:,}",
        f"vacuum (analyze) {table}; is autovacuum on?",
    )


def _beyond(rows: "Sequence[asyncpg.Record]") -> list[Finding]:
    return [
        Finding(
            row["consumer"],
            f"at position {row['position']}{_of_partition(row['partition'])}, but the log ends at {row['head']}",
            _mended_by(row["consumer"]),
        )
        for row in rows
    ] or [Finding("readers of the log", "none is beyond its end")]


def _of_partition(number: int) -> str:
    return f" of partition {number}" if number >= 0 else ""


def _mended_by(reader: str) -> str:
    match reader:
        case "relay":
            return "`triggerhub rewind 0` has it publish again what the log holds"
        case "runner":
            return "stop all runners, then `triggerhub rewind 0`, then start them"
        case _:
            return f"`triggerhub rebuild {reader}` makes it anew from the log"


async def _broker(settings: Settings) -> Finding:
    if not settings.kafka_bootstrap_servers:
        return Finding("broker", "none", f"start `triggerhub up`, or set {PREFIX}KAFKA_BOOTSTRAP_SERVERS")
    from aiokafka.errors import KafkaError

    from app.config import kafka

    remedy = f"check the broker and {PREFIX}KAFKA_BOOTSTRAP_SERVERS"
    try:
        up = await kafka.check_access(settings)
        problem = await kafka.check_topic(settings)
    except (OperatorError, KafkaError) as error:
        return Finding("broker", str(error), remedy)
    of_all = settings.kafka_bootstrap_servers.count(",") + 1
    return Finding("broker", f"{up} of {of_all} servers answer", problem)


def _spelling() -> Finding:
    unknown = ", ".join(unknown_variables())
    return Finding("variables", unknown or "all known", "no such setting: misspelt?" if unknown else "")
