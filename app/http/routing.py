"""What Litestar's router leaves open: HEAD wherever GET is, true `Allow` headers, and 404s that say what is wrong."""

import asyncio
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, ExceptionHandlersMap, Message, Receive, Scope, Send

from app.accounts.proxies import client_of
from app.config.parsers import Network
from app.http.problems import MEDIA_TYPE, NO_SNIFF, Problem, encode, respond, unavailable
from app.http.requests import HEAD_ONLY
from app.http.ui import files

_FOR_PROGRAMS = {"api", "hooks", "docs", "schema", "assets", "healthz", "readyz", "metrics", "approve"}
"""First parts of paths that are no pages of the UI, also where there is nothing below them."""
_STOPPING = "the server is stopping, and whether the request was carried out is not known; send it again"
_MAX_SHOWN = 100
_SLASHES = re.compile("/+")


class Pattern(msgspec.Struct, frozen=True):
    """A path of the API, the methods it takes, and the type of each parameter in it."""

    path: str
    expression: re.Pattern[str]
    types: Mapping[str, type]
    methods: frozenset[str]

    @property
    def parameters(self) -> tuple[bool, ...]:
        """Of each of its parts whether it is a parameter."""
        return tuple(part.startswith("{") for part in self.path.split("/"))


class Routes:
    """All paths, for requests that lead nowhere: found one by one, as they are few and such requests are rare."""

    def __init__(self, app: Litestar) -> None:
        self._patterns = [_pattern(route) for route in app.routes if isinstance(route, HTTPRoute)]

    def allow(self, path: str) -> str | None:
        """The methods of a path as an Allow header has them, None when there is no such path."""
        fitting = [pattern for pattern, given in self._matching(path) if not _bad_parameters(pattern, given)]
        if not fitting:
            return None
        # Litestar's router takes the word before the parameter, whatever the method is.
        chosen = min(pattern.parameters for pattern in fitting)
        methods = {method for pattern in fitting if pattern.parameters == chosen for method in pattern.methods}
        return ", ".join(sorted(methods))

    def misrouted(self, method: str, path: str) -> Problem:
        """Why a request leads nowhere, and what would."""
        allow = self.allow(path)
        if allow is not None:
            return Problem("method_not_allowed", f"{method} is not offered here, but {allow}", headers={"allow": allow})
        for pattern, given in self._matching(path):
            for name, value in _bad_parameters(pattern, given).items():
                return Problem("not_found", f"{name}: {value[:_MAX_SHOWN]!r} is not {_looks(pattern.types[name])}")
        near = difflib.get_close_matches(path[:_MAX_SHOWN], [pattern.path for pattern in self._patterns], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Problem("not_found", f"there is no path {path[:_MAX_SHOWN]!r}{hint} See /docs for all of them.")

    def _matching(self, path: str) -> Iterable[tuple[Pattern, Mapping[str, str]]]:
        for pattern in self._patterns:
            if found := pattern.expression.fullmatch(path.rstrip("/") or "/"):
                yield pattern, found.groupdict()


def _misrouted(request: "Request[Any, Any, State]", _error: Exception) -> Response[bytes]:
    routes: Routes = request.app.state.routes
    path = request.scope["path"]
    problem = routes.misrouted(request.method, path)
    if problem.kind.status == 404 and "text/html" in request.headers.get("accept", "") and _is_for_people(path):
        return files.page(request.app.state.public_path, status_code=404)
    return respond(problem)


def _is_for_people(path: str) -> bool:
    return path.split("/")[1] not in _FOR_PROGRAMS


HANDLERS: ExceptionHandlersMap = {NotFoundException: _misrouted, MethodNotAllowedException: _misrouted}
"""For what Litestar's router raises; what handlers do not find are errors of the domain."""


class Edge:
    """The ASGI application around Litestar's.

    Below the paths of `mounts` others answer by themselves. They are hot, and do without Litestar's layers; they see
    the rest of the path.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Routes,
        trusted_proxies: Sequence[Network] = (),
        mounts: Mapping[str, ASGIApp] = MappingProxyType({}),
    ) -> None:
        self._app = app
        self._routes = routes
        self._trusted_proxies = trusted_proxies
        self._mounts = mounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the client behind proxies, answer OPTIONS, turn HEAD into a GET without its body, keep answers that do
        not say otherwise out of caches, and pass on the rest.
        """
        try:
            await self._answer(scope, receive, send)
        except asyncio.CancelledError:
            # The server stops, and has waited for long enough. Without an answer of ours the client would get a 500.
            with suppress(RuntimeError):  # the answer has begun
                await _refuse(send, unavailable(_STOPPING))
            raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._trusted_proxies and (peer := scope.get("client")):
            scope["client"] = (client_of(peer[0], scope["headers"], self._trusted_proxies), 0)
        method, path = scope.get("method"), str(scope["path"])
        if mounted := self._mounted(path):
            scope["path"], app = mounted
            await app(scope, receive, send)
            return
        send = _uncached(send)
        if method == "OPTIONS":
            await self._options(path, send)
        elif method == "HEAD":
            # A copy: the server has to remember that it is a HEAD, or it misses the body that the length promises.
            as_get: Any = {**scope, "method": "GET", HEAD_ONLY: True}
            await self._app(as_get, receive, _without_body(send))
        else:
            await self._app(scope, receive, send)

    def _mounted(self, path: str) -> tuple[str, ASGIApp] | None:
        """The rest of a path below a mount, and who answers there."""
        if "//" in path:
            path = _SLASHES.sub("/", path)
        for mount, app in self._mounts.items():
            if path.startswith(mount) and path[len(mount) : len(mount) + 1] in {"/", ""}:
                return path[len(mount) :], app
        return None

    async def _options(self, path: str, send: Send) -> None:
        allow = self._routes.allow(path)
        if allow is None:
            await _refuse(send, self._routes.misrouted("OPTIONS", path))
        else:
            await _send(send, 204, {"allow": allow}, b"")


def _pattern(route: HTTPRoute) -> Pattern:
    names = {name: parameter.type for name, parameter in route.path_parameters.items()}
    expression = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path_format))
    methods = set(route.methods) | ({"HEAD"} if "GET" in route.methods else set())
    return Pattern(route.path_format, re.compile(expression), names, frozenset(methods))


def _bad_parameters(pattern: Pattern, given: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in given.items() if not _fits(text, pattern.types[name])}


def _fits(text: str, wanted: type) -> bool:
    try:
        wanted(text)
    except ValueError:
        return False
    return True


def _looks(wanted: type) -> str:
    if wanted is UUID:
        return "an id: ids look like 0199c0de-1234-7abc-8def-0123456789ab"
    return "a whole number" if wanted is int else f"of type {wanted.__name__}"


def _uncached(send: Send) -> Send:
    async def send_uncached(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if not any(name.lower() == b"cache-control" for name, _value in headers):
                message["headers"] = [*headers, (b"cache-control", b"no-store")]
        await send(message)

    return send_uncached


def _without_body(send: Send) -> Send:
    """The answer is complete with its head, even where the body would go on for ever."""
    complete = False

    async def send_head(message: Message) -> None:
        nonlocal complete
        if complete:
            return
        if message["type"] == "http.response.body":
            complete = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    return send_head


async def _refuse(send: Send, problem: Problem) -> None:
    await _send(send, problem.kind.status, {"content-type": MEDIA_TYPE, **problem.headers}, encode(problem))


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    fields: Any = {**NO_SNIFF, **headers, "content-length": str(len(body))}
    encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})
