"""PostgreSQL: run a statement in a database of the user's."""

from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connection.kinds import Postgres
from domain.connector.config import BadConfig, is_template, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.connector.uses import Uses
from domain.dialogue.questions import SqlQuery
from domain.values.json import Json, JsonObject

MAX_ROWS = 10_000
MAX_TIMEOUT_S = 30.0


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement, the same for each run, and its parameters."""

    sql: Annotated[
        str,
        Meta(
            title="Statement",
            description="One statement; data are $1, $2 …, never templates",
            min_length=1,
            max_length=50_000,
        ),
    ]
    parameters: Annotated[
        list[Json], Meta(title="Parameters", description="The values of $1, $2 … in order", max_length=500)
    ] = []
    max_rows: Annotated[
        int, Meta(title="Rows at most", description="`truncated` says that there were more", ge=1, le=MAX_ROWS)
    ] = 1_000
    timeout_s: Annotated[float, Meta(title="Time limit in seconds", gt=0, le=MAX_TIMEOUT_S)] = 10.0


def check(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = problems(Query, saved)
    if is_template(saved.get("sql")):
        found["sql"] = "data never stand in the statement: write $1, $2 … and give `parameters`"
    return found


async def run(rendered: JsonObject, context: ActionContext) -> Outcome:
    """The rows, or how many were changed. Raises Unreachable."""
    try:
        config = read(Query, rendered)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    assert context.account is not None, "a step without a connection is not published"
    assert context.dialogue is not None, "whoever runs steps speaks with servers"
    account = await context.account()
    assert isinstance(account, Postgres), "no other kind may be named"
    where = account.config
    rows = await context.dialogue.query(
        SqlQuery(
            host=where.host,
            port=where.port,
            username=where.username,
            password=account.secrets.password,
            database=where.database,
            tls="verify" if where.tls is True else where.tls or "off",
            read_only=where.read_only,
            sql=config.sql,
            parameters=config.parameters,
            max_rows=config.max_rows,
            timeout_s=config.timeout_s,
        )
    )
    output: JsonObject = {"rows": [*rows.rows], "count": len(rows.rows), "affected": rows.affected}
    return Succeeded(output | ({"truncated": True} if rows.truncated else {}))


CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="postgres.query",
            name="Query PostgreSQL",
            description="Runs one statement with parameters in a database, in a transaction of its own. The connection "
            "says whether it may write.",
            icon="database",
            run=run,
            config=Query,
            check=check,
            example={"sql": "call ship_order($1)", "parameters": ["{{ trigger.body.id }}"]},
            sample={"rows": [{"id": 7, "name": "Ada"}], "count": 1, "affected": 0},
            idempotent=False,
            connection=Uses(host=lambda _config: "", kinds=("postgres",), required=True),
        ),
    )
)
