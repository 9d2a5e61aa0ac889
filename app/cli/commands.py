"""The command `triggerhub`: one sub-command per process, and the operator's verbs. No logic lives here.

Imports that take time stay inside the commands, so that `--help` answers at once.
Expected errors end in one line on standard error: exit code 2 for what is missing or wrong, 1 for a failure.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import NoReturn, TypeVar

import click

from app.cli.connector import connector
from app.config.data_dir import DataDir
from app.config.errors import OperatorError
from app.config.settings import Settings
from app.roles.roles import ROLES, Role

T = TypeVar("T")


PRIVATE = 0o077
"""What roles write, such as files, archives and checkpoints, is for their own user only."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="triggerhub")
def main() -> None:
    """Self-hosted, event-sourced automation: webhooks in, actions out."""


@main.command()
def up() -> None:
    """Run everything on this machine, with embedded servers where no URL is set."""
    from app.local.supervisor import up as supervise

    settings = _settings("up")
    try:
        asyncio.run(supervise(settings))
    except OperatorError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(f"{error.filename or settings.data_dir} can not be used ({error.strerror}): set TRIGGERHUB_DATA_DIR.", 1)


def _role_command(name: str, role: Role) -> None:
    @main.command(name=name, help=role.help, short_help=role.help)
    def run_role() -> None:
        settings = _settings(name, *role.needs).only(*role.settings)
        if "kafka_groups" in role.uses and not Settings.load().kafka_bootstrap_servers:
            _check_groups(settings, name)
        from app.roles.startup import run

        os.umask(PRIVATE)
        _run(_until_signalled(lambda stop: run(name, settings, stop)))


for _name, _role in ROLES.items():
    _role_command(_name, _role)
main.add_command(connector)


@main.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    settings = _settings("migrate", "database_url", as_owner=True)
    from app.cli import operator

    _run(operator.migrate(settings))


@main.command()
def topics() -> None:
    """Create the topic if it is missing, and show it."""
    settings = _settings("topics", "kafka_bootstrap_servers")
    from app.config import kafka

    _run(kafka.topics(settings))


@main.command()
@click.argument("name")
def rebuild(name: str) -> None:
    """Rebuild the read model NAME from the log, beside the live one."""
    settings = _settings("rebuild", "database_url")
    from app.cli import operator

    _run(operator.rebuild(settings, name))


@main.command("retry-parked")
@click.argument("name")
def retry_parked(name: str) -> None:
    """Apply the parked events of the read model NAME again."""
    settings = _settings("retry-parked", "database_url")
    from app.cli import operator

    _run(operator.retry_parked(settings, name))


@main.command()
@click.argument("position", type=click.IntRange(min=0))
def rewind(position: int) -> None:
    """Publish everything after POSITION again, for example after restoring the database."""
    settings = _settings("rewind", "database_url")
    from app.cli import operator

    _run(operator.rewind(settings, position))


@main.command("rotate-keys")
def rotate_keys() -> None:
    """Seal all stored secrets under the first key of TRIGGERHUB_ENCRYPTION_KEY, while everything runs."""
    settings = _settings("rotate-keys", "database_url", "encryption_key")
    from app.cli import operator

    _run(operator.rotate_keys(settings))


@main.command()
@click.option("--from", "first", type=click.IntRange(min=1), help="Check only from this position …")
@click.option("--to", "last", type=click.IntRange(min=1), help="… to this one; the read models are left out then.")
@click.option("--checkpoint", type=click.Path(exists=True, dir_okay=False), help="A file with signed checkpoints.")
def verify(first: int | None, last: int | None, checkpoint: str | None) -> None:
    """Check the hash chain of the log, and compare the read models with it."""
    if first and last and first > last:
        raise click.UsageError(f"--from {first} is behind --to {last}: there is nothing between them to check.")
    settings = _settings("verify", "database_url")
    from app.cli import operator

    sys.exit(_run(operator.verify(settings, first, last, checkpoint)))


@main.command()
@click.argument("position", type=click.IntRange(min=1))
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="The file to write.")
@click.option("--checkpoint", "size", type=click.IntRange(min=1), help="The size of a checkpoint; else the newest.")
def proof(position: int, output: str, size: int | None) -> None:
    """Write the proof that the event at POSITION is in the log, for verify_proof.py."""
    settings = _settings("proof", "database_url")
    from app.cli import proving

    _run(proving.write_proof(settings, position, output, size))


@main.command()
@click.argument("subject")
@click.option("--yes", is_flag=True, help="Do it; without this the runs are only counted.")
def erase(subject: str, yes: bool) -> None:
    """Forget the payloads of all runs that carry the data of SUBJECT, in zaps whose settings say where it stands."""
    settings = _settings("erase", "database_url")
    from app.cli import erasing

    sys.exit(_run(erasing.erase(settings, subject, really=yes)))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def retention(dry_run: bool) -> None:
    """Drop the runs whose time is over, as the settings of their zaps say; the scheduler does so every hour."""
    settings = _settings("retention", "database_url")
    from app.cli import retaining

    _run(retaining.retention(settings, dry_run=dry_run))


class _Month(click.DateTime):
    """Such as 2026-01, which help and errors call by its name and not by its format."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m"])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            month: datetime = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no month such as 2026-01.", param, ctx)
        return month


@main.command()
@click.argument("month", type=_Month(), metavar="MONTH")
@click.option("--to", help="A directory, or s3://BUCKET/PREFIX; else that of the settings.")
@click.option("--drop", "drops", is_flag=True, help="Also drop them from the log.")
def archive(month: datetime, to: str | None, drops: bool) -> None:
    """Write all runs of MONTH (such as 2026-01) that have ended to a compressed file."""
    settings = _settings("archive", "database_url")
    from app.cli import retaining

    _run(retaining.archive(settings, month, to, drops=drops))


@main.command("import")
@click.argument("name")
@click.option("--from", "from_", help="A directory, or s3://BUCKET/PREFIX; else that of the settings.")
def bring_back(name: str, from_: str | None) -> None:
    """Bring back the runs that were dropped behind the file NAME; each event is held against its hash."""
    settings = _settings("import", "database_url")
    from app.cli import retaining

    _run(retaining.bring_back(settings, name, from_))


@main.command()
@click.option("--url", help="Where it runs; without this: the installation of the data directory, or PUBLIC_URL.")
def demo(url: str | None) -> None:
    """Show a zap at work on a running TriggerHub."""
    settings = _settings("demo")
    from app.cli.demo import run

    _run(run(settings, url))


@main.command()
@click.argument("role", required=False, type=click.Choice(tuple(ROLES)))
def doctor(role: str | None) -> None:
    """Print the settings and check what TriggerHub needs, or what one ROLE of it needs."""
    from app.cli.doctor import examine

    sys.exit(0 if _run(examine(_settings("doctor"), role)) else 1)


def _settings(role: str, *needs: str, as_owner: bool = False) -> Settings:
    """The settings, with `needs` resolved. Also sets up logging. Ends the process when something is wrong."""
    from app.config import log

    try:
        settings = Settings.load()
        log.configure(role, settings.log_level, settings.log_format)
        # `up` resolves nothing: it is what the others find.
        return settings if role == "up" else settings.resolve(*needs, as_owner=as_owner)
    except OperatorError as error:
        _fail(str(error), error.exit_code)


def _check_groups(settings: Settings, role: str) -> None:
    """A second runner would do all runs a second time where they do not share the topic's partitions."""
    running = DataDir(settings.data_dir).runtime()
    if running is not None and running.kafka_groups == "off":
        _fail(f"`up` with its own broker has one {role}: for several give it TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS.", 2)


def _run(work: Coroutine[object, object, T]) -> T:
    """Run to the end on uvloop. Errors that an operator can act upon become one line."""
    import uvloop
    from asyncpg import InvalidAuthorizationSpecificationError, InvalidCatalogNameError

    from sql.process.memory import collect_rarely

    collect_rarely()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        sys.exit(130)
    except OperatorError as error:
        _fail(str(error), error.exit_code)
    except (InvalidAuthorizationSpecificationError, InvalidCatalogNameError, OSError) as error:
        _fail(f"A server cannot be used ({type(error).__name__}): `triggerhub doctor` says which.", 1)


async def _until_signalled(work: Callable[[asyncio.Event], Coroutine[object, object, T]]) -> T:
    """Run `work` with an event that SIGTERM or SIGINT sets."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await work(stop)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"triggerhub: {message}", err=True)
    sys.exit(code)
