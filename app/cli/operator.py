"""The operator's verbs: migrate, rebuild, retry-parked, rewind, rotate-keys, verify. Each prints what it did.

Imports stay inside, so that each command loads only what it runs.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from app.config.errors import OperatorError
from app.config.settings import PREFIX, Settings


async def migrate(settings: Settings) -> None:
    """Bring the schema up to this release, say what was applied, and let the role of the processes log in."""
    from sql.postgres.migrate import AppRoleRefused, MigrationEdited, let_app_log_in
    from sql.postgres.migrate import migrate as apply

    try:
        applied = await apply(settings.database_url)
        if settings.app_password:
            await let_app_log_in(settings.database_url, settings.app_password)
    except MigrationEdited as error:
        raise OperatorError(str(error)) from None
    except AppRoleRefused as error:
        raise OperatorError(
            f"The role triggerhub_app cannot be given {PREFIX}APP_PASSWORD: {error}. Let an administrator say: "
            "create role triggerhub_app login password '...'; then migrate without that setting."
        ) from None
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the schema is up to date")


async def rebuild(settings: Settings, name: str) -> None:
    """Build a read model anew beside the live one, with its progress shown, and switch."""
    from projections.engine.rebuild import rebuild as build
    from projections.engine.registry import BY_THEMSELVES, LIVE_FOLDS, PROJECTIONS

    if name in LIVE_FOLDS:
        click.echo(f"{name} is folded from the log whenever it is read: there is nothing to rebuild")
        return
    everything = (*PROJECTIONS, *BY_THEMSELVES)
    projection = next((projection for projection in everything if projection.name == name), None)
    if projection is None:
        known = ", ".join([*(projection.name for projection in everything), *LIVE_FOLDS])
        raise OperatorError(f"There is no read model {name!r}; there are: {known}.")
    with _progress_bar(f"rebuilding {name}") as progress:
        partitions = 1 if projection in BY_THEMSELVES else settings.kafka_partitions
        position = await build(settings.database_url, projection, partitions, progress)
    click.echo(f"{name} holds everything up to position {position}, and is live")


async def retry_parked(settings: Settings, name: str) -> None:
    """Offer a read model again the events that it could not take, for instance after an upgrade."""
    from projections.engine.engine import Engine, NewerRelease, NotBuilt
    from projections.engine.registry import PROJECTIONS

    if name not in {projection.name for projection in PROJECTIONS}:
        raise OperatorError(f"There is no read model {name!r} that could have parked events.")
    async with Engine(settings.database_url, PROJECTIONS, settings.kafka_partitions) as engine:
        try:
            remaining = await engine.retry_parked(name)
        except (NotBuilt, NewerRelease) as error:
            raise OperatorError(f"{error}.") from None
    click.echo(f"{remaining} events stay parked" if remaining else f"{name} has taken all its events")


async def rewind(settings: Settings, position: int) -> None:
    """Have the relay publish again everything after a position; consumers drop what they have had.

    A runner's gate that is beyond the log comes back to that position, too.
    """
    from sql.postgres.pool import connect
    from sql.postgres.queries import Queries

    connection = await connect(settings.database_url, "rewind")
    try:
        head = await connection.fetchval(Queries("queries/events.sql")["head"])
        if not 0 <= position <= head:
            raise OperatorError(f"There is no position {position}: the log's head is {head}.")
        await connection.execute(Queries("queries/gates.sql")["lower_gates"], position)
        await connection.execute(Queries("queries/relay.sql")["ask_rewind"], position)
    finally:
        await connection.close()
    click.echo(f"the relay will publish again from position {position + 1}")


async def rotate_keys(settings: Settings) -> None:
    """Seal every stored secret under the newest key. Raises OperatorError where one opens with no key of the ring."""
    from app.accounts.rotation import rotate
    from sql.postgres.pool import create_pool
    from sql.secrets.secret_box import SecretBox
    from sql.tables.sealed import SEALED_TABLES

    box, total = SecretBox(settings.encryption_key), Counter[str]()
    async with create_pool(settings.database_url, "rotate-keys", 1) as pool:
        for table in SEALED_TABLES:
            counts = await rotate(pool, table, box)
            total += counts
            click.echo(f"{table.name}: {counts['sealed']} sealed anew, {counts['current']} were already")
    if total["unreadable"]:
        raise OperatorError(
            f"{total['unreadable']} of them open with no key of {PREFIX}ENCRYPTION_KEY: put the old key back into it."
        )
    if total["changed"]:
        raise OperatorError(f"{total['changed']} of them were changed meanwhile: run this again.")
    click.echo("the keys behind the first one are no longer needed for what is stored")


async def verify(
    settings: Settings, first: int | None = None, last: int | None = None, checkpoint: str | None = None
) -> int:
    """Check the chain and the read models, or a range of the chain, and print what was found. Returns the exit code.

    With the file of a checkpoint also that the log is still what was signed.
    """
    from app.cli.proving import check_checkpoints
    from projections.engine.registry import PROJECTIONS
    from projections.engine.verify import verify_read_models
    from sql.proof.verify import Interrupted, verify_chain

    try:
        with _progress_bar("hash chain") as progress:
            report = await verify_chain(settings.database_url, progress, first=first or 1, last=last)
    except Interrupted as error:
        raise OperatorError(f"{error.message}.") from None
    if report.broken_at is not None:
        click.echo(f"BROKEN: the log is not as it was written, from position {report.broken_at}: {report.reason}")
        return 1
    click.echo(f"the hash chain holds: {report.events} events up to {report.position}, the last with {report.hash}")
    if checkpoint and not await check_checkpoints(settings, checkpoint):
        return 1
    if first or last:
        return 0
    with _progress_bar("read models") as progress:
        found = await verify_read_models(settings.database_url, PROJECTIONS, settings.kafka_partitions, progress)
    for difference in found:
        click.echo(f"DIFFERENT: {difference.projection}, {difference.side}: {difference.row}")
    if found:
        click.echo("`triggerhub rebuild NAME` makes a read model anew from the log")
        return 1
    click.echo(f"the read models equal the log: {', '.join(projection.name for projection in PROJECTIONS)}")
    return 0


@contextmanager
def _progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on a terminal, nothing elsewhere. Called with the position reached and the head."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def show(position: int, head: int) -> None:
            bar.length = head
            bar.update(position - bar.pos)

        yield show
