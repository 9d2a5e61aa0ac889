"""The HTTP side put together: create_app."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar
from litestar.di import Provide
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp

from app.accounts.accounts import Accounts
from app.accounts.auth import Authenticator, guard
from app.accounts.guesses import Guesses
from app.accounts.passwords import Passwords
from app.accounts.refusals import Refusals
from app.accounts.tokens import Tokens
from app.commands.approvals import Approvals
from app.commands.hook_secrets import HookSecrets
from app.commands.jobs import Jobs
from app.commands.zaps import Zaps
from app.connections.stored import Connections
from app.http import problems as refusals
from app.http import routing
from app.http.api.mail_pages import MailPages
from app.http.api.router import api
from app.http.background import stop_if_failed
from app.http.dependencies import commands, hop_keys, secret, shared, value
from app.http.docs.pages import PAGES
from app.http.idempotency import repeatable, with_idempotency
from app.http.inputs import MAX_BODY
from app.http.openapi.routes import Document, as_json, as_yaml
from app.http.pages.approval import APPROVAL_PAGES
from app.http.pages.health import healthz, readyz
from app.http.pages.oauth import oauth_callback
from app.http.paging import provide_paging
from app.http.problems import NO_SNIFF
from app.http.routing import Edge, Routes
from app.http.services import Services
from app.http.ui.files import FILES
from app.intake.admission import Admission
from app.intake.callbacks import Callbacks
from app.intake.held_room import HeldRoom
from app.intake.intake import Intake
from app.intake.live_zaps import LiveZaps
from app.intake.loops import loop_flags
from app.intake.reading.bodies import Bodies
from app.intake.reading.reader import Reader
from app.intake.reading.uploads import Uploads
from app.intake.replies import Replies
from app.intake.request_log import RequestLog
from app.intake.run_watch import RunWatch
from app.live.live import Live
from consumers.connectors import catalogs, presets
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.client import Outbound
from consumers.rendering.rendering import Rendering
from domain.connector.catalog import Catalogs
from domain.log.ports import NewId
from domain.run.links import Links
from sql.secrets.data_keys import DataKeys
from sql.secrets.secret_box import SecretBox
from sql.tables.answers import Answers
from sql.tables.connectors import ConnectorTables
from sql.tables.hook_secrets import HookTables
from sql.tables.identity import Identity
from sql.tables.mail_addresses import MailAddresses
from sql.tables.rate_limits import RateLimits
from sql.tables.variables import VariableTables


class _App(Litestar):
    """Without Litestar's plugins for pydantic and attrs: nothing here is made of these, and they take 9 MiB."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(services: Services) -> Litestar:
    """The application for one API process; any number may run beside each other."""
    box = SecretBox(services.encryption_key)
    secrets = HookSecrets(HookTables(services.store.pool), box, presets(ConnectorTables(services.store.pool)))
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
    links = Links(secret(services), services.public_url)
    live = Live(services.dsn, identity.lasting, services.now)
    app = _App(
        route_handlers=[
            api(guard(authenticator, accounts.refusals), keeps_answers),
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
            "services": value(services),
            "identity": value(identity),
            "addresses": value(addresses),
            "accounts": value(accounts),
            "zaps": value(zaps),
            "live": value(live),
            "hook_secrets": value(secrets),
            **commands(services, rendering, new_id),
            **shared(services, shelves, rendering, outbound, dialogues, connections=connections, new_id=new_id),
            "links": value(links),
            "run_watch": value(run_watch),
            "approvals": value(Approvals(services.store, identity, services.now, new_id)),
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
    uploads = Uploads(services.file_store, bodies)
    return Intake(
        live_zaps=live_zaps,
        bodies=bodies,
        reader=Reader(
            bodies=bodies,
            requests=request_log,
            now=services.now,
            new_id=services.new_id,
            public_url=services.public_url,
            hops=hop_keys(services),
            uploads=uploads,
        ),
        admission=Admission(
            store=services.store,
            limits=RateLimits(services.store.pool),
            requests=request_log,
            held_room=HeldRoom(services.store.pool, services.max_held),
            new_id=services.new_id,
            refused=refusals.refused_by_hook,
            user_per_minute=services.user_per_minute,
            flag_loop=loop_flags(services.store, services.now, services.new_id),
            rendering=rendering,
            uploads=uploads,
        ),
        requests=request_log,
        replies=Replies(run_watch, services.public_url, rendering, services.now),
        refused=refusals.refused_by_hook,
    )


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
