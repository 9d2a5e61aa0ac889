"""Sessions of the web UI: /api/v1/auth/session. Their refresh token is in a cookie that no script can read."""

from datetime import timedelta
from typing import Annotated, Literal, TypeVar

import msgspec
from litestar import Controller, Response, delete, get
from litestar.datastructures import Cookie
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from app.accounts.accounts import SESSION_LIFETIME, Accounts, TokenPair
from app.accounts.auth import via_of
from app.http.api.auth import AnyRequest, SignIn, SignUp
from app.http.inputs import Injected
from app.http.openapi.notes import command, notes
from app.http.services import Services
from domain.log.errors import Unauthorized
from sql.tables.identity import User

T = TypeVar("T")
_COOKIE = "triggerhub_session"
_PATH = "/api/v1/auth"
Own = Annotated[
    Literal["1"], HeaderParameter(name="TriggerHub-UI", description="`1`: another site's page cannot send this header")
]

Everywhere = Annotated[bool, QueryParameter(description="End all sessions of the user; API keys keep working")]


class SessionOut(msgspec.Struct, frozen=True):
    """Who signed in, and the access token, for `expires_in` seconds."""

    user: User
    access_token: str
    expires_in: int


class AccessOut(msgspec.Struct, frozen=True):
    """A fresh access token, for `expires_in` seconds."""

    access_token: str
    expires_in: int


class SignUpState(msgspec.Struct, frozen=True):
    """Whether one can sign up now; `first`: nobody has yet."""

    open: bool
    first: bool


class SessionController(Controller):
    """As /auth, for pages: the refresh token travels in a cookie, `HttpOnly` and `SameSite=Strict`."""

    path = "/auth"
    tags = ("Authentication",)
    security = ()

    @get("/signup", summary="Can one sign up?", operation_id="getSignUp")
    async def can_sign_up(self, accounts: Injected[Accounts]) -> SignUpState:
        """What a sign-in page offers."""
        return SignUpState(*await accounts.may_sign_up())

    @command(
        "/session/signup", "signUpSession", "Make an account and begin a session of the UI",
        "email_taken", "sign_up_closed", "invalid", "busy", status_code=201, answer=SessionOut,
    )  # fmt: skip
    async def sign_up(
        self, request: AnyRequest, data: JSONBody[SignUp], accounts: Injected[Accounts], services: Injected[Services]
    ) -> Response[SessionOut]:
        """As POST /auth/signup; the refresh token comes as a cookie."""
        user, tokens = await accounts.sign_up(data.name, data.email, data.password, via_of(request))
        return _kept(SessionOut(user, tokens.access_token, tokens.expires_in), tokens, services, 201)

    @command("/session", "beginSession", "Begin a session of the UI",
             "unauthorized", "rate_limited", "busy", answer=SessionOut)  # fmt: skip
    async def begin(
        self, request: AnyRequest, data: JSONBody[SignIn], accounts: Injected[Accounts], services: Injected[Services]
    ) -> Response[SessionOut]:
        """As POST /auth/signin; the refresh token comes as a cookie."""
        user, tokens = await accounts.sign_in(data.email, data.password, via_of(request))
        return _kept(SessionOut(user, tokens.access_token, tokens.expires_in), tokens, services)

    @command("/session/refresh", "refreshSession", "Go on with a session of the UI", "unauthorized", answer=AccessOut)
    async def refresh(
        self, request: AnyRequest, accounts: Injected[Accounts], services: Injected[Services], *, own: Own
    ) -> Response[AccessOut]:
        """A new access token for the cookie, which is replaced. 401 where there is no session (any more)."""
        del own
        cookie = request.cookies.get(_COOKIE)
        if cookie is None:
            raise Unauthorized("there is no session here: sign in", "Bearer")
        tokens = await accounts.refresh(cookie, via_of(request))
        return _kept(AccessOut(tokens.access_token, tokens.expires_in), tokens, services)

    @delete("/session", summary="End a session of the UI", operation_id="endSession", status_code=204, opt=notes())
    async def end(
        self,
        request: AnyRequest,
        accounts: Injected[Accounts],
        services: Injected[Services],
        *,
        own: Own,
        everywhere: Everywhere = False,
    ) -> Response[None]:
        """Its tokens stop working at once. A cookie of no session is forgotten, too."""
        del own
        await accounts.end_sessions(request.cookies.get(_COOKIE, ""), via_of(request), everywhere=everywhere)
        gone = _cookie("", timedelta(0), services)
        return Response(None, status_code=204, cookies=[gone])


def _kept(answer: T, tokens: TokenPair, services: Services, status_code: int = 200) -> Response[T]:
    cookie = _cookie(tokens.refresh_token, SESSION_LIFETIME, services)
    return Response(answer, status_code=status_code, cookies=[cookie])


def _cookie(value: str, lifetime: timedelta, services: Services) -> Cookie:
    return Cookie(
        key=_COOKIE,
        value=value,
        path=services.public_path + _PATH,
        max_age=int(lifetime.total_seconds()),
        secure=services.public_url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )
