"""`triggerhub erase`: one person's data leaves the runs of all users, in the log and in archives."""

import click

from app.config.settings import Settings


async def erase(settings: Settings, subject: str, *, really: bool) -> int:
    """Forget the runs of a subject, or count them, and say so. Returns the exit code: 1 where some have not ended."""
    from app.roles.roles import file_store
    from consumers.jobs.archived import ArchivedRuns, Wanted
    from consumers.jobs.erasures import Erasures
    from domain.log.event import Metadata
    from projections.run_keys import subject_hash
    from projections.zap_list import tenants
    from sql.log.event_store import PgEventStore
    from sql.process.clock import new_id

    erased, waiting = 0, 0
    async with PgEventStore(settings.database_url, "erase", read_connections=2) as store:
        erasures = Erasures(store, new_id, file_store(settings, store))
        archived = ArchivedRuns(store, new_id, settings.archive, erasures.erase_run)
        by = Metadata(actor="operator", causation_id=new_id())
        for tenant_id in await tenants(store.pool):
            hashed = await subject_hash(store.pool, tenant_id, subject)
            found = await erasures.erase_subject(tenant_id, hashed, by, only_count=not really)
            erased, waiting = erased + found.count, waiting + len(found.under_way)
            if settings.archive:
                wanted = Wanted(tenant_id, hashed, frozenset(found.runs), by)
                erased += await (archived.erase(wanted) if really else archived.count(wanted))
    if really:
        click.echo(f"forgot {_runs(erased)}")
    else:
        click.echo(f"would forget {_runs(erased)}" + (": add --yes to do it" if erased else ""))
    if waiting:
        click.echo(f"{_runs(waiting)} under way: cancel what has not ended, then repeat this")
    return 1 if waiting else 0


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
