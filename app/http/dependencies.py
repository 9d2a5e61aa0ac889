"""What routes may ask for: commands and queries, each built once for the process."""

import random
import time
from typing import TypeVar

from litestar.di import Provide

from app.commands.backtests import Backtests
from app.commands.dead_letters import Inbox
from app.commands.draft_tests import DraftTests
from app.commands.jobs import Jobs
from app.commands.manual_runs import ManualRuns
from app.commands.previews import Previews
from app.commands.requests import Requests
from app.commands.runs import Runs
from app.commands.samples import Samples
from app.connections.consent import Consents
from app.connections.stored import Connections
from app.connections.trials import ConnectionTests
from app.connections.variables import Variables
from app.connectors.added import Connectors
from app.connectors.choices import Choices
from app.connectors.imports import Imports
from app.http.api.audit_export import Exports
from app.http.services import Services
from consumers.credentials import variables as variable_views
from consumers.credentials.credentials import Credentials
from consumers.credentials.oauth import TokenSource
from consumers.dialogues.dialogues import Dialogues
from consumers.files.run_files import AllFiles
from consumers.jobs.erasures import Erasures
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.rehearsal.rehearsal import Rehearsal
from consumers.rendering.rendering import Rendering
from consumers.runner.shares.slots import Slots
from domain.connector.catalog import Catalogs
from domain.hook.hops import Hops
from domain.log.ports import NewId
from domain.run.links import Links
from projections.past import Past
from sql.proof.proofs import Proofs
from sql.proof.sparing import SparingVerifier
from sql.secrets.data_keys import DataKeys
from sql.secrets.secret_box import SecretBox
from sql.tables.connections import ConnectionTables
from sql.tables.connectors import ConnectorTables
from sql.tables.rate_limits import RateLimits
from sql.tables.variables import VariableTables

T = TypeVar("T")
MAX_REAL = 20
"""Actions of tests that run at once, of all tenants; one alone has half of them."""


def value(it: T) -> Provide:
    """A dependency that is always this object."""

    def give() -> T:
        return it

    return Provide(give, sync_to_thread=False)


def commands(services: Services, rendering: Rendering, new_id: NewId) -> dict[str, Provide]:
    """What users can do, of which the routes ask for one or two."""
    return {
        "past": value(Past(services.store)),
        "verifier": value(SparingVerifier(services.dsn)),
        "erasures": value(Erasures(services.store, new_id, services.file_store)),
        "proofs": value(Proofs(services.store.pool)),
        "runs": value(Runs(services.store, new_id)),
        "jobs": value(Jobs(services.store, new_id)),
        "backtests": value(Backtests(services.store, Jobs(services.store, new_id))),
        "inbox": value(Inbox(services.store, new_id)),
        "manual_runs": value(
            ManualRuns(services.store, rendering, new_id, hop_keys(services), RateLimits(services.store.pool))
        ),
        "samples": value(Samples(services.store, new_id)),
        "exports": value(Exports()),
        "downloads": value(Exports()),
        "files": value(services.file_store),
        "requests": value(Requests(services.store, new_id)),
    }


def shared(
    services: Services,
    shelves: Catalogs,
    rendering: Rendering,
    outbound: Outbound,
    dialogues: Dialogues,
    *,
    connections: Connections,
    new_id: NewId,
) -> dict[str, Provide]:
    """What works with connections and variables. Its targets are its own: tests fill no slots of the runner."""
    pool, ring = services.store.pool, services.encryption_key
    tables, known = VariableTables(pool), variable_views.Variables(pool, ring).of
    targets = Targets(outbound, RateLimits(pool), clock=services.now, monotonic=time.monotonic, random=random.random)
    source = TokenSource(ConnectionTables(pool), lambda tenant_id: targets.of(tenant_id, None), services.now)
    credentials = Credentials(pool, ring, services.now, source)
    consents = Consents(connections, source, SecretBox(ring), services.public_url, services.now)
    hops = hop_keys(services)
    rehearsal = Rehearsal(
        shelves,
        rendering,
        clock=services.now,
        new_id=services.new_id,
        slots=Slots(MAX_REAL, MAX_REAL),
        targets=targets,
        hops=hops,
        links=_no_links(services),
        credentials=credentials,
        dialogues=dialogues,
        variables=known,
        files=AllFiles(services.file_store, services.store),
    )
    connectors = Connectors(services.catalog, ConnectorTables(services.store.pool), services.now)
    return {
        "previews": value(Previews(services.store, rendering, services.now, _no_links(services), known)),
        "connections": value(connections),
        "consents": value(consents),
        "variables": value(Variables(services.store, tables, DataKeys(pool, ring), services.now, new_id)),
        "draft_tests": value(DraftTests(services.store, rehearsal, new_id, hops)),
        "connection_tests": value(ConnectionTests(connections, credentials, targets, services.now)),
        "connectors": value(connectors),
        "imports": value(Imports(services.store, connectors, targets)),
        "choices": value(Choices(connectors, credentials, targets, services.now)),
    }


def _no_links(services: Services) -> Links:
    """Makes URLs of callbacks that look like those of runs, and lead nowhere."""
    return Links("no run", services.public_url)


def secret(services: Services) -> str:
    return services.hop_secret or services.encryption_key


def hop_keys(services: Services) -> Hops:
    return Hops(secret(services))
