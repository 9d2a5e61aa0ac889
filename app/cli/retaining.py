"""`triggerhub retention`: runs whose time is over leave the log."""

import click

from app.config.settings import Settings


async def retention(settings: Settings, *, dry_run: bool) -> None:
    """Drop them, as a scheduler does every hour, or only say what would go."""
    from consumers.scheduler.retention import drop, expired
    from sql.process.clock import new_id, now

    months = [gone async for gone in expired(settings.database_url, now())]
    for gone in months:
        for tenant_id, zaps in gone.counts().items():
            for zap_id, runs in zaps.items():
                ends = ", ".join(f"{count:,} {status}" for status, count in sorted(runs.items()))
                click.echo(f"{gone.month:%Y-%m} workspace {tenant_id} zap {zap_id}: {ends}")
        if not dry_run:
            dropped = await drop(settings.database_url, gone, new_id)
            click.echo("dropped" if dropped else "a read model is being built anew: try again later")
    if not months:
        click.echo("no run's time is over")
    elif dry_run:
        click.echo("without --dry-run these are dropped")
