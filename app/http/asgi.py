"""The HTTP side put together: create_app."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.types import ASGIApp, Guard, Middleware

from app.accounts.accounts import Accounts
from app.accounts.auth import Authenticator, guard
from app.accounts.guesses import Guesses
from app.accounts.passwords import Passwords
from app.accounts.refusals import Refusals
from app.accounts.tokens import Tokens
from app.commands.approvals import Approvals
from app.commands.backtests import Backtests
from app.commands.dead_letters import Inbox
from app.commands.draft_tests import DraftTests
from app.commands.hook_secrets import HookSecrets
from app.commands.jobs import Jobs
from app.commands.manual_runs import ManualRuns
from app.commands.previews import Previews
from app.commands.requests import Requests
from app.commands.runs import Runs
from app.commands.samples import Samples
from app.commands.zaps import Zaps
from app.connections.consent import Consents
from app.connections.stored import Connections
from app.connections.trials import ConnectionTests
from app.connections.variables import Variables
from app.connectors.added import Connectors
from app.connectors.choices import Choices
from app.connectors.imports import Imports
from app.http import problems as refusals
from app.http import routing
from app.http.api.api_keys import ApiKeyController
from app.http.api.approvals import ApprovalController
from app.http.api.audit import AuditController
from app.http.api.audit_export import AuditExportController, Exports
from app.http.api.auth import AuthController, MeController
from app.http.api.backtests import BacktestController, BacktestResultController
from app.http.api.catalog import CatalogController
from app.http.api.connections import ConnectionController
from app.http.api.connectors import ConnectorController
from app.http.api.dead_letters import DeadLetterController, HealthController
from app.http.api.draft_tests import DraftTestController
from app.http.api.erasures import ErasureController
from app.http.api.history import HistoryController
from app.http.api.hooks import HookController
from app.http.api.jobs import BulkController, HeldController, JobController
from app.http.api.live import LiveController
from app.http.api.mail_addresses import MailAddressController
from app.http.api.mail_pages import MailPages
from app.http.api.proofs import ProofController
from app.http.api.run_commands import RunCommandController
from app.http.api.run_items import RunItemController
from app.http.api.run_paths import RunPathController
from app.http.api.runs import RunController
from app.http.api.sessions import SessionController
from app.http.api.stats import StatsController
from app.http.api.templates import TemplateController
from app.http.api.triggers import TriggerController
from app.http.api.variables import VariableController
from app.http.api.zaps import ZapController
from app.http.background import stop_if_failed
from app.http.docs.pages import PAGES
from app.http.health import healthz, readyz
from app.http.idempotency import repeatable, with_idempotency
from app.http.inputs import MAX_BODY, AsOf, Moment
from app.http.openapi.routes import Document, as_json, as_yaml
from app.http.pages.approval import APPROVAL_PAGES
from app.http.pages.oauth import oauth_callback
from app.http.paging import provide_paging
from app.http.problems import NO_SNIFF
from app.http.requests import StrictRequest, check
from app.http.routing import Edge, Routes
from app.http.services import Services
from app.http.ui.files import FILES
from app.intake.bodies import Bodies
from app.intake.callbacks import Callbacks
from app.intake.held_room import HeldRoom
from app.intake.intake import Intake
from app.intake.live_zaps import LiveZaps
from app.intake.loops import loop_flags
from app.intake.replies import Replies
from app.intake.request_log import RequestLog
from app.intake.run_watch import RunWatch
from app.live.live import Live
from consumers.connectors import catalogs
from consumers.credentials import variables as variable_views
from consumers.credentials.credentials import Credentials
from consumers.credentials.oauth import TokenSource
from consumers.dialogues.dialogues import Dialogues
from consumers.jobs.erasures import Erasures
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.rehearsal.rehearsal import Rehearsal
from consumers.rendering.rendering import Rendering
from consumers.runner.slots import Slots
from domain.connector.catalog import Catalogs
from domain.hook.hops import Hops
from domain.log.ports import NewId
from domain.run.links import Links
from projections.past import Past
from sql.log.proofs import Proofs
from sql.log.sparing import SparingVerifier
from sql.secrets.data_keys import DataKeys
from sql.secrets.secret_box import SecretBox
from sql.tables.answers import Answers
from sql.tables.connections import ConnectionTables
from sql.tables.connectors import ConnectorTables
from sql.tables.hook_secrets import HookTables
from sql.tables.identity import Identity
from sql.tables.mail_addresses import MailAddresses
from sql.tables.rate_limits import RateLimits
from sql.tables.variables import VariableTables

T = TypeVar("T")
MAX_REAL = 20
"""Actions of tests that run at once, of all tenants; one alone has half of them."""


def create_app(services: Services) -> Litestar:
    """The application for one API process; any number may run beside each other."""
    box = SecretBox(services.encryption_key)
    secrets = HookSecrets(HookTables(services.store.pool), box)
    live_zaps = LiveZaps(services.store, services.dsn, secrets.of)
    request_log = RequestLog(services.store, services.now, services.new_id)
    identity = Identity(services.store.pool)
    tokens = Tokens(services.jwt_secret)
    accounts = _accounts(services, identity, tokens)
    rendering = Rendering()
    outbound, dialogues = Outbound(services.outbound_allow), Dialogues(services.outbound_allow)
    authenticator = Authenticator(identity, tokens)
    keeps_answers = with_idempotency(authenticator, Answers(services.store.pool), box, services.now, services.new_id)
    new_id = repeatable(services.new_id)
    addresses = MailAddresses(services.store.pool)
    connections = Connections(services.store, DataKeys(services.store.pool, services.encryption_key), new_id)
    shelves = catalogs(services.catalog, ConnectorTables(services.store.pool))
    zaps = _zaps(services, shelves, live_zaps, addresses, connections=connections, new_id=new_id)
    bodies = Bodies(services.max_body)
    run_watch = RunWatch(services.store)
    links = Links(_secret(services), services.public_url)
    live = Live(services.dsn, identity.lasting, services.now)
    app = Litestar(
        route_handlers=[
            _api(guard(authenticator, accounts.refusals), keeps_answers),
            healthz,
            as_json,
            as_yaml,
            readyz,
            *PAGES,
            MailPages,
            *APPROVAL_PAGES,
            oauth_callback,
            *FILES,
        ],
        dependencies={
            "paging": Provide(provide_paging, sync_to_thread=False),
            "services": _value(services),
            "identity": _value(identity),
            "addresses": _value(addresses),
            "accounts": _value(accounts),
            "zaps": _value(zaps),
            "live": _value(live),
            "hook_secrets": _value(secrets),
            **_commands(services, rendering, new_id),
            **_shared(services, shelves, rendering, outbound, dialogues, connections=connections, new_id=new_id),
            "links": _value(links),
            "run_watch": _value(run_watch),
            "approvals": _value(Approvals(services.store, identity, services.now, new_id)),
        },
        exception_handlers={**refusals.HANDLERS, **routing.HANDLERS},
        response_headers=NO_SNIFF,
        request_max_body_size=MAX_BODY,
        lifespan=[_background(live_zaps, request_log, accounts, (rendering, dialogues), outbound)],
        openapi_config=None,
        logging_config=None,
    )
    app.state.live = live
    hooks = _hooks(services, bodies, run_watch, live_zaps=live_zaps, request_log=request_log, rendering=rendering)
    return _with_edge(app, services, {"/hooks/catch": hooks, "/hooks/resume": _callbacks(services, links, bodies)})


def _with_edge(app: Litestar, services: Services, mounts: Mapping[str, ASGIApp]) -> Litestar:
    """What needs to know all routes, and what stands around them."""
    app.state.openapi = Document(app, services.catalog)
    app.state.routes = Routes(app)
    app.state.public_path = services.public_path
    app.asgi_handler = Edge(app.asgi_handler, app.state.routes, services.trusted_proxies, mounts)
    return app


def _zaps(
    services: Services,
    shelves: Catalogs,
    live_zaps: LiveZaps,
    addresses: MailAddresses,
    *,
    connections: Connections,
    new_id: NewId,
) -> Zaps:
    return Zaps(
        services.store,
        shelves,
        live_zaps,
        addresses,
        connections=connections,
        variables=VariableTables(services.store.pool),
        jobs=Jobs(services.store, new_id),
        now=services.now,
        new_id=new_id,
    )


def _accounts(services: Services, identity: Identity, tokens: Tokens) -> Accounts:
    return Accounts(
        identity=identity,
        store=services.store,
        tokens=tokens,
        passwords=Passwords(services.password_hasher),
        guesses=Guesses(identity),
        refusals=Refusals(services.store, services.now, services.new_id),
        now=services.now,
        new_id=services.new_id,
        signup=services.signup,
    )


def _api(private_guard: Guard, keeps_answers: Middleware) -> Router:
    private = Router(
        "/",
        route_handlers=[
            MeController,
            ApiKeyController,
            CatalogController,
            ConnectorController,
            ZapController,
            DraftTestController,
            BacktestController,
            BacktestResultController,
            HookController,
            ConnectionController,
            VariableController,
            RunController,
            AuditController,
            AuditExportController,
            HistoryController,
            RunCommandController,
            ApprovalController,
            RunItemController,
            RunPathController,
            StatsController,
            BulkController,
            HeldController,
            JobController,
            DeadLetterController,
            TemplateController,
            TriggerController,
            HealthController,
            MailAddressController,
            LiveController,
            ProofController,
            ErasureController,
        ],
        guards=[private_guard],
        middleware=[keeps_answers],
    )
    public = Router("/", route_handlers=[AuthController, SessionController])
    return Router(
        "/api/v1",
        route_handlers=[private, public],
        request_class=StrictRequest,
        type_decoders=[(_decodes_itself, _decode)],
        before_request=check,
    )


def _commands(services: Services, rendering: Rendering, new_id: NewId) -> dict[str, Provide]:
    """What users can do, of which the routes ask for one or two."""
    return {
        "past": _value(Past(services.store)),
        "verifier": _value(SparingVerifier(services.dsn)),
        "erasures": _value(Erasures(services.store, new_id)),
        "proofs": _value(Proofs(services.store.pool)),
        "runs": _value(Runs(services.store, new_id)),
        "jobs": _value(Jobs(services.store, new_id)),
        "backtests": _value(Backtests(services.store, Jobs(services.store, new_id))),
        "inbox": _value(Inbox(services.store, new_id)),
        "manual_runs": _value(
            ManualRuns(services.store, rendering, new_id, _hop_keys(services), RateLimits(services.store.pool))
        ),
        "samples": _value(Samples(services.store, new_id)),
        "exports": _value(Exports()),
        "requests": _value(Requests(services.store, new_id)),
    }


def _shared(
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
    hops = _hop_keys(services)
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
    )
    connectors = Connectors(services.catalog, ConnectorTables(services.store.pool), services.now)
    return {
        "previews": _value(Previews(services.store, rendering, services.now, _no_links(services), known)),
        "connections": _value(connections),
        "consents": _value(consents),
        "variables": _value(Variables(services.store, tables, DataKeys(pool, ring), services.now, new_id)),
        "draft_tests": _value(DraftTests(services.store, rehearsal, new_id, hops)),
        "connection_tests": _value(ConnectionTests(connections, credentials, targets)),
        "connectors": _value(connectors),
        "imports": _value(Imports(services.store, connectors, targets)),
        "choices": _value(Choices(connectors, credentials, targets, services.now)),
    }


def _no_links(services: Services) -> Links:
    """Makes URLs of callbacks that look like those of runs, and lead nowhere."""
    return Links("no run", services.public_url)


def _secret(services: Services) -> str:
    return services.hop_secret or services.encryption_key


def _hop_keys(services: Services) -> Hops:
    return Hops(_secret(services))


def _callbacks(services: Services, links: Links, bodies: Bodies) -> Callbacks:
    return Callbacks(
        store=services.store,
        new_id=services.new_id,
        now=services.now,
        links=links,
        bodies=bodies,
        refused=refusals.refused_by_hook,
    )


def _hooks(
    services: Services,
    bodies: Bodies,
    run_watch: RunWatch,
    *,
    live_zaps: LiveZaps,
    request_log: RequestLog,
    rendering: Rendering,
) -> Intake:
    return Intake(
        store=services.store,
        live_zaps=live_zaps,
        bodies=bodies,
        limits=RateLimits(services.store.pool),
        requests=request_log,
        held_room=HeldRoom(services.store.pool, services.max_held),
        replies=Replies(run_watch, services.public_url, rendering, services.now),
        now=services.now,
        new_id=services.new_id,
        public_url=services.public_url,
        user_per_minute=services.user_per_minute,
        hops=_hop_keys(services),
        flag_loop=loop_flags(services.store, services.now, services.new_id),
        rendering=rendering,
        refused=refusals.refused_by_hook,
    )


def _decodes_itself(wanted: object) -> bool:
    return wanted in (Moment, AsOf)


def _decode(wanted: type[Moment] | type[AsOf], text: str) -> Moment | AsOf:
    return wanted.decode(text)


def _value(value: T) -> Provide:
    """A dependency that is always this object."""

    def give() -> T:
        return value

    return Provide(give, sync_to_thread=False)


def _background(
    live_zaps: LiveZaps,
    request_log: RequestLog,
    accounts: Accounts,
    children: tuple[Rendering, Dialogues],
    outbound: Outbound,
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        ending = asyncio.Event()
        following = asyncio.create_task(live_zaps.follow(), name="live zaps")
        writing = [
            asyncio.create_task(request_log.write_counts(ending), name="request counts"),
            asyncio.create_task(accounts.refusals.write(ending), name="refusals"),
        ]
        for task in (following, *writing):
            task.add_done_callback(stop_if_failed)
        try:
            async with outbound:
                yield
        finally:
            following.cancel()
            ending.set()
            await asyncio.gather(following, *writing, return_exceptions=True)
            accounts.passwords.close()
            await asyncio.gather(*(child.aclose() for child in children))

    return lifespan
