"""Sign-up, sign-in and tokens: /api/v1/auth; the signed-in user: /api/v1/me."""

from typing import Annotated

import msgspec
from litestar import Controller, Request, get, post
from litestar.datastructures import State
from litestar.params import JSONBody

from app.accounts.accounts import Accounts, TokenPair
from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected, Input, Name, Password
from app.http.openapi.notes import command, notes
from app.http.problems import Problem
from domain.values.email import MAX_EMAIL, Email
from sql.tables.identity import Identity, User


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
    async def sign_up(self, data: JSONBody[SignUp], accounts: Injected[Accounts]) -> SignedIn:
        """409 when the address has an account already."""
        return _signed_in(*await accounts.sign_up(data.name, data.email, data.password))

    @command("/signin", "signIn", "Sign in", "unauthorized", "rate_limited", "busy")
    async def sign_in(
        self, request: "Request[object, object, State]", data: JSONBody[SignIn], accounts: Injected[Accounts]
    ) -> SignedIn:
        """401 for a wrong password and for an unknown address; 429 after too many failures."""
        client = request.client.host if request.client else ""
        return _signed_in(*await accounts.sign_in(data.email, data.password, client))

    @command("/refresh", "refreshTokens", "Trade a refresh token for new tokens", "unauthorized")
    async def refresh(self, data: JSONBody[Refresh], accounts: Injected[Accounts]) -> TokenPair:
        """A token works once; using an old one signs the device out. Within 10 s a repeat gets the same answer."""
        return await accounts.refresh(data.refresh_token)


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

    @get("/me", summary="The signed-in user", operation_id="getMe", opt=notes("not_found"))
    async def me(self, request: AuthedRequest, identity: Injected[Identity]) -> User:
        """The user that the credentials belong to."""
        user = await identity.user_by_id(request.user.user_id)
        if user is None:
            raise Problem("not_found", "this account is gone")
        return user


def _signed_in(user: User, tokens: TokenPair) -> SignedIn:
    return SignedIn(user, tokens.access_token, tokens.refresh_token, tokens.expires_in)
