"""`triggerhub erase`: one person's data leaves the runs of all users."""

import click

from app.config.settings import Settings


async def erase(settings: Settings, subject: str, *, really: bool) -> int:
    """Forget the runs of a subject, or count them, and say so. Returns the exit code: 1 where some have not ended."""
    from app.roles.roles import file_store
    from consumers.jobs.erasures import Erasures
    from domain.log.event import Metadata
    from projections.run_list import tenants
    from sql.log.event_store import PgEventStore
    from sql.process.clock import new_id

    erased, waiting = 0, 0
    async with PgEventStore(settings.database_url, "erase", read_connections=1) as store:
        erasures = Erasures(store, new_id, file_store(settings, store))
        for tenant_id in await tenants(store.pool):
            after = None
            while True:
                found = await erasures.erase_subject(
                    tenant_id, subject, after, Metadata(actor="operator"), only_count=not really
                )
                erased, waiting, after = erased + found.runs, waiting + len(found.under_way), found.next_after
                if after is None:
                    break
    click.echo(f"{erased} runs were forgotten" if really else f"{erased} runs: with --yes they are forgotten")
    if waiting:
        click.echo(f"{waiting} runs have not ended: cancel them, then repeat this")
    return 1 if waiting else 0
