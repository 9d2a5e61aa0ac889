"""Sign-up, sign-in and tokens: /api/v1/auth; the signed-in user: /api/v1/me."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from app.accounts.accounts import Accounts, TokenPair
from app.accounts.auth import AuthedRequest, via_of
from app.http.inputs import Injected, Input, Name, Password
from app.http.openapi.notes import command, notes
from app.http.paging import Page, Paging
from app.http.problems import Problem
from domain.values.email import MAX_EMAIL, Email
from sql.tables.identity import Identity, Session, User

AnyRequest = Request[object, object, State]


class SignUp(Input, frozen=True):
    """A new account."""

    name: Name
    email: Email
    password: Password


class SignIn(Input, frozen=True):
    """Credentials. Any text is taken as an address: one that nobody has is refused like a wrong password."""

    email: Annotated[str, msgspec.Meta(max_length=MAX_EMAIL)]
    password: Annotated[str, msgspec.Meta(max_length=256)]


class Refresh(Input, frozen=True):
    """The refresh token to trade."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=200)]


class SignedIn(msgspec.Struct, frozen=True):
    """Who signed in, and the tokens. `expires_in` is in seconds."""

    user: User
    access_token: str
    refresh_token: str
    expires_in: int


class PasswordChange(Input, frozen=True):
    """The password as it is, and as it shall be."""

    current_password: Annotated[str, msgspec.Meta(max_length=256)]
    new_password: Password


class SessionItem(Session, frozen=True):
    """`current`: the session that asks."""

    current: bool


class AuthController(Controller):
    """The routes that need no credentials."""

    path = "/auth"
    tags = ("Authentication",)
    security = ()

    @command(
        "/signup",
        "signUp",
        "Make an account and sign in",
        "email_taken",
        "sign_up_closed",
        "invalid",
        "busy",
        status_code=201,
    )
    async def sign_up(self, request: AnyRequest, data: JSONBody[SignUp], accounts: Injected[Accounts]) -> SignedIn:
        """409 when the address has an account already."""
        return _signed_in(*await accounts.sign_up(data.name, data.email, data.password, via_of(request)))

    @command("/signin", "signIn", "Sign in", "unauthorized", "rate_limited", "busy")
    async def sign_in(self, request: AnyRequest, data: JSONBody[SignIn], accounts: Injected[Accounts]) -> SignedIn:
        """401 for a wrong password and for an unknown address; 429 after too many failures."""
        return _signed_in(*await accounts.sign_in(data.email, data.password, via_of(request)))

    @command("/refresh", "refreshTokens", "Trade a refresh token for new tokens", "unauthorized")
    async def refresh(self, request: AnyRequest, data: JSONBody[Refresh], accounts: Injected[Accounts]) -> TokenPair:
        """A token works once; using an old one signs the device out. Within 10 s a repeat gets the same answer."""
        return await accounts.refresh(data.refresh_token, via_of(request))


class MeController(Controller):
    """The signed-in user."""

    tags = ("Authentication",)

    @post(
        "/auth/signout",
        summary="End this session",
        status_code=204,
        operation_id="signOut",
        opt=notes("wrong_status", replays=False),
    )
    async def sign_out(self, request: AuthedRequest, accounts: Injected[Accounts]) -> None:
        """The access token and the refresh token stop working at once."""
        await accounts.sign_out(request.user)

    @command(
        "/me/password", "changePassword", "Change the password", "invalid", "rate_limited", "busy", status_code=204,
    )  # fmt: skip
    async def change_password(
        self, request: AuthedRequest, data: JSONBody[PasswordChange], accounts: Injected[Accounts]
    ) -> None:
        """All other sessions of the user end. API keys keep working, and can not do this."""
        await accounts.change_password(request.user, data.current_password, data.new_password)

    @get("/me/sessions", summary="List sessions", operation_id="listSessions")
    async def sessions(
        self, request: AuthedRequest, identity: Injected[Identity], paging: Injected[Paging]
    ) -> Page[SessionItem]:
        """Where the user is signed in, newest first."""
        found = await identity.sessions_of(request.user.user_id)
        older = [session for session in found if paging.before is None or session.id < paging.before]
        current = request.user.session_id
        items = [
            SessionItem(one.id, one.device, one.created_at, one.last_used_at, one.expires_at, one.id == current)
            for one in older
        ]
        return paging.page(items[: paging.enough], lambda item: item.id)

    @delete(
        "/me/sessions/{session_id:uuid}",
        summary="Sign a device out",
        operation_id="deleteSession",
        opt={"scope": "keys"},
    )
    async def end_session(
        self, session_id: FromPath[UUID], request: AuthedRequest, accounts: Injected[Accounts]
    ) -> None:
        """Its tokens stop working at once."""
        await accounts.end_session(request.user, session_id)

    @get("/me", summary="The signed-in user", operation_id="getMe", opt=notes("not_found"))
    async def me(self, request: AuthedRequest, identity: Injected[Identity]) -> User:
        """The user that the credentials belong to."""
        user = await identity.user_by_id(request.user.user_id)
        if user is None:
            raise Problem("not_found", "this account is gone")
        return user


def _signed_in(user: User, tokens: TokenPair) -> SignedIn:
    return SignedIn(user, tokens.access_token, tokens.refresh_token, tokens.expires_in)
