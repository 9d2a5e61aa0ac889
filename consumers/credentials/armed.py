"""The way out of one step: its connection's credential goes into each request as that leaves, and to no other host."""

from collections.abc import AsyncIterator, Mapping
from typing import Literal
from uuid import UUID

import msgspec
from yarl import URL

from consumers.credentials.credentials import Credentials, Opened
from domain.connection.blot import NOTHING
from domain.connection.credential import account_of
from domain.connection.hosts import may_go
from domain.connection.kinds import Account
from domain.connection.signing import NoSigner, Signable, signature
from domain.connector.http_client import (
    HttpClient,
    HttpReply,
    HttpRequest,
    Keep,
    ReplyHeaders,
    Unreachable,
    Upload,
)
from domain.connector.outcome import Outcome, blotted
from domain.connector.url import exact, with_path, with_query
from domain.files.file import File, FileError


class Armed:
    """domain.connector.http_client.HttpClient with a connection, which is opened when it is first needed."""

    def __init__(self, http: HttpClient, credentials: Credentials | None, tenant_id: UUID, connection_id: UUID) -> None:
        self._http = http
        self._credentials = credentials
        self._tenant_id = tenant_id
        self._connection_id = connection_id
        self._blot = NOTHING

    async def request(self, request: HttpRequest) -> HttpReply:
        """Send a request with the credential, and take that out of the answer wherever it comes back."""
        if request.bare:
            bare = msgspec.structs.replace(request, keep=self._keep(request.keep) if request.keep else None)
            return self._blotted(await self._http.request(bare))
        opened = await self._open()
        reply = await self._sent(request, opened)
        if reply.status == 401 and self._credentials is not None:
            fresh = await self._credentials.renewed(self._tenant_id, opened)
            if fresh is not None:  # the token was taken back before its time; nothing was done with this one
                opened, self._blot = fresh, fresh.blot
                reply = await self._sent(request, opened)
        if reply.status == 401:
            await self._note(opened, "failed")
        else:
            await self._note(opened, "ok" if reply.status < 400 else None)
        return self._blotted(reply)

    async def _sent(self, request: HttpRequest, opened: Opened) -> HttpReply:
        _require_host(request.url, opened)
        try:
            return await self._http.request(self._with(request, opened))
        except Unreachable as error:
            raise Unreachable(
                error.code, self._blot.text(error.message), permanent=error.permanent, after_s=error.after_s
            ) from None
        except FileError:
            raise
        except Exception as error:  # noqa: BLE001 - its words may hold the credential, so it goes on without them
            raise RuntimeError(f"{type(error).__name__} while a request with a connection was sent") from None

    def _with(self, request: HttpRequest, opened: Opened) -> HttpRequest:
        """The request with the credential, or its signature, in the place of whatever the step has there."""
        url, headers = request.url, opened.credential.headers
        if request.signing is None:
            url = with_query(with_path(url, opened.credential.path), opened.credential.query)
        else:
            assert self._credentials is not None, "it was opened"
            try:
                signed = _signable(request, url)
                headers = signature(request.signing, opened.setup, signed, self._credentials.clock())
            except NoSigner as error:
                raise Unreachable("connection_misfit", str(error), permanent=True) from None
        names = {name.lower() for name, _value in headers}
        given = request.headers.items() if isinstance(request.headers, Mapping) else request.headers
        own = [(name, value) for name, value in given if name.lower() not in names]
        keep = self._keep(request.keep) if request.keep else None
        return msgspec.structs.replace(request, url=url, headers=[*own, *headers], keep=keep)

    def _keep(self, keep: Keep) -> Keep:
        """The same, of which the credential is taken out."""

        async def take(headers: ReplyHeaders, content: AsyncIterator[bytes]) -> File:
            return await keep.take(self._headers(headers), self._blot.stream(content) if self._blot else content)

        return msgspec.structs.replace(keep, take=take)

    async def account(self) -> Account:
        """What a connector logs in with by itself. Raises Unreachable."""
        opened = await self._open()
        account = account_of(opened.setup)
        if account is None:
            message = f"the connection {opened.row.name!r} is of kind {opened.row.kind}, which does not fit here"
            raise Unreachable("connection_misfit", message, permanent=True)
        await self._note(opened, None)
        return account

    def text(self, text: str) -> str:
        """A text without the credential."""
        return self._blot.text(text)

    def blotted(self, outcome: Outcome) -> Outcome:
        """The outcome without the credential, whatever an action has made of it."""
        return blotted(outcome, self._blot)

    async def _open(self) -> Opened:
        if self._credentials is None:
            raise Unreachable("connection_missing", "connections can not be used here", permanent=True)
        opened = await self._credentials.open(self._tenant_id, self._connection_id)
        self._blot = opened.blot
        return opened

    async def _note(self, opened: Opened, status: Literal["ok", "failed"] | None) -> None:
        assert self._credentials is not None, "it was opened"
        await self._credentials.note(self._tenant_id, opened, status)

    def _blotted(self, reply: HttpReply) -> HttpReply:
        if not self._blot:
            return reply
        return msgspec.structs.replace(reply, headers=self._headers(reply.headers), body=self._blot.raw(reply.body))

    def _headers(self, headers: ReplyHeaders) -> ReplyHeaders:
        text = self._blot.text
        return {
            text(name): text(value) if isinstance(value, str) else [text(one) for one in value]
            for name, value in headers.items()
        }


def _signable(request: HttpRequest, url: str) -> Signable:
    if not isinstance(request.body, Upload):
        return Signable(method=request.method, url=url, body=request.body or b"")
    if not request.body.sha256:
        raise NoSigner("a body of several parts can't be signed while it is sent")
    return Signable(method=request.method, url=url, body=b"", sha256=request.body.sha256)


def _require_host(url: str, opened: Opened) -> None:
    """Raises Unreachable where the credential may not go."""
    try:
        scheme, authority, _rest = exact(url)
        target = URL(f"{scheme}://{authority}")
        host, port = target.raw_host or "", target.port
    except ValueError:
        raise Unreachable("bad_url", "not a URL that can be called", permanent=True) from None
    hosts = opened.credential.hosts
    if not may_go(host, port, hosts):
        allowed = f"only to {', '.join(hosts)}" if hosts else "nowhere yet"
        raise Unreachable(
            "host_not_allowed",
            f"the connection {opened.row.name!r} may be sent {allowed}, not to {host}: "
            "name the host in `config.hosts` of the connection",
            permanent=True,
        )
