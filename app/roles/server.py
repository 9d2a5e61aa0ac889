"""Serves the API: uvicorn with httptools, on a port that several API processes share."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
import uvicorn

from app.config.errors import OperatorError
from app.http.asgi import create_app
from app.http.background import stop_if_failed
from app.http.services import Services
from app.live.live import Live
from app.roles.connections import MAX_CONNECTIONS, BoundedProtocol, Connections
from domain.log.ports import EventStore, StoreUnavailable

log = structlog.get_logger()
BACKLOG = 2_048
MAX_FILES = 65_536
RESERVED_FILES = 200
"""Open files that are no connections of clients: those to the database, logs, libraries."""
DRAIN_S = 10
"""How long open requests may take once the process was asked to stop."""


class _Server(uvicorn.Server):
    """uvicorn, with signals left to the command that runs the role, and without its ten looks a second at flags."""

    def __init__(self, config: uvicorn.Config, connections: Connections, live: Live, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._connections = connections
        self._live = live
        self._stop = stop

    async def main_loop(self) -> None:
        await self._stop.wait()
        self._connections.close()
        self._live.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(services: Services, host: str, port: int, stop: asyncio.Event) -> None:
    """Answer requests until `stop`. Raises OperatorError when the port cannot be had."""
    limit = max(1, min(MAX_CONNECTIONS, _allowed_files() - RESERVED_FILES))
    connections = Connections(limit, proxies=services.trusted_proxies)

    class Protocol(BoundedProtocol):
        bounds = connections

    app = create_app(services)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # app/accounts/proxies.py reads them, from proxies that the operator has named
        date_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config, connections, app.state.live, stop)
    sweep = asyncio.create_task(connections.sweep(), name="connections")
    sweep.add_done_callback(stop_if_failed)
    with _listen(host, port) as listener:
        log.info("api.listening", host=host, port=port, connections=connections.limit)
        await server.serve(sockets=[listener])
    sweep.cancel()
    await asyncio.gather(sweep, return_exceptions=True)
    if not server.started:
        raise OperatorError("The API could not be started; the lines above say why.")


async def failing_checks(store: EventStore) -> list[str]:
    """What the API needs in order to take requests: the log. The broker's outages are for the relay to wait out."""
    asked = asyncio.create_task(store.head())
    # Not cancelled: a query that is cancelled while the server stands still does not end.
    await asyncio.wait({asked}, timeout=2)
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    return [] if asked.done() and not isinstance(asked.exception(), StoreUnavailable) else ["database"]


def _allowed_files() -> int:
    """How many files this process may have open, once it has asked for more: shells give 1,024, which are soon gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_FILES
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(f"{host}:{port} cannot be listened on ({error.strerror}): set TRIGGERHUB_PORT.") from None
    listener.setblocking(False)
    return listener
