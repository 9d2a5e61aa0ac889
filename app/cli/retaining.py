"""`triggerhub retention`, `archive` and `import`: runs leave the log, to a file or for good, and come back."""

from datetime import datetime

import click

from app.config.errors import OperatorError
from app.config.settings import PREFIX, Settings


async def retention(settings: Settings, *, dry_run: bool) -> None:
    """Drop them, as a scheduler does every hour, or only say what would go."""
    from consumers.scheduler.archives.archive import place
    from consumers.scheduler.due import expired
    from consumers.scheduler.retention import drop
    from sql.process.clock import new_id, now

    to = place(settings.archive) if settings.archive else None
    months = 0
    async for gone in expired(settings.database_url, now()):
        months += 1
        for tenant_id, zaps in gone.counts.items():
            for zap_id, runs in zaps.items():
                ends = ", ".join(f"{count:,} {status}" for status, count in sorted(runs.items()))
                click.echo(f"{gone.month:%Y-%m} workspace {tenant_id} zap {zap_id}: {ends}")
        if not dry_run:
            dropped = await drop(settings.database_url, gone, new_id, to)
            click.echo("a read model is being built anew: try again later" if dropped is None else "dropped")
    if not months:
        click.echo("no run's time is over")
    elif dry_run:
        click.echo("without --dry-run these are dropped")


async def archive(settings: Settings, month: datetime, to: str | None, *, drops: bool) -> None:
    """Write all runs of a month that have ended to a file; drop them where that is asked for."""
    from consumers.scheduler.archives.archive import place
    from consumers.scheduler.due import ended
    from consumers.scheduler.retention import drop, write_down
    from sql.process.clock import new_id

    gone = await ended(settings.database_url, month.date())
    if not gone.counts:
        raise OperatorError(f"No run of {month:%Y-%m} has ended.")
    store = place(_where(settings, to))
    name = await (
        drop(settings.database_url, gone, new_id, store) if drops else write_down(settings.database_url, gone, store)
    )
    if name is None:
        raise OperatorError("A read model is being built anew, so nothing was dropped: try again later.")
    click.echo(f"{name} has {gone.runs:,} runs")
    if drops:
        click.echo(f"they were dropped: triggerhub import {name} brings them back")


async def bring_back(settings: Settings, name: str, from_: str | None) -> None:
    """Bring the runs of a file back."""
    from consumers.scheduler.archives.archive import bring_back as bring
    from consumers.scheduler.archives.archive import place
    from consumers.scheduler.archives.lines import NotAnArchive

    try:
        events = await bring(settings.database_url, place(_where(settings, from_)), name)
    except NotAnArchive as error:
        raise OperatorError(f"{name}: {error}.") from None
    click.echo(f"{events:,} events came back, each as the log had known it")


def _where(settings: Settings, given: str | None) -> str:
    where = given or settings.archive
    if not where:
        raise OperatorError(f"Say where archives are: a directory or s3://BUCKET/PREFIX, here or as {PREFIX}ARCHIVE.")
    return where
