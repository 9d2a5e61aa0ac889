"""An authorization server that rotates refresh tokens, and takes back the whole family of one that is used twice."""

import asyncio
import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from yarl import URL

CLIENT, SECRET = "the-client", "canary-client-secret"


class OAuthServer:
    """`lasts_s` of access tokens; `answers` counts by grant. `broken`: the status that is answered instead.

    With a `refusal` it grants nothing any more, and repeats what it was sent beside these words.
    """

    def __init__(self) -> None:
        self.url = ""
        self.secret = SECRET
        self.refusal = ""
        self.lasts_s = 3_600
        self.delay_s = 0.0
        self.broken = 0
        self.only_basic = False
        self.answers: Counter[str] = Counter()
        self.valid: set[str] = set()
        self._challenges: dict[str, str] = {}
        self._family: list[str] = []
        self._count = 0

    def consent(self, authorize_url: str) -> dict[str, str]:
        """What the browser comes back with after somebody has consented."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(authorize_url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._challenges)}"
        self._challenges[code] = asked["code_challenge"]
        return {"code": code, "state": asked["state"]}

    async def authorize(self, request: web.Request) -> web.Response:
        """The page where somebody consents: this one does at once, and sends the browser back."""
        back = self.consent(str(request.url))
        raise web.HTTPFound(str(URL(request.query["redirect_uri"]).with_query(back)))

    def take_back(self) -> None:
        """Somebody takes the consent back: no token of before is worth anything."""
        self._family, self.valid = [], set()

    async def token(self, request: web.Request) -> web.Response:
        """The token endpoint."""
        form = dict(await request.post())
        await asyncio.sleep(self.delay_s)
        if self.broken:
            return web.json_response({"error": "server_error"}, status=self.broken)
        if self.refusal:
            said = f"{self.refusal}: {form} {request.headers.get('Authorization')}"
            return web.json_response({"error": "invalid_grant", "error_description": said}, status=400)
        if not self._is_client(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        grant = str(form["grant_type"])
        if not self._grants(grant, form):
            self.take_back()
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.answers[grant] += 1
        return web.json_response(self._tokens(refreshable=grant in {"authorization_code", "refresh_token"}))

    async def api(self, request: web.Request) -> web.Response:
        """An API that takes the tokens."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return web.json_response({"token": token}, status=200 if token in self.valid else 401)

    def _is_client(self, request: web.Request, form: dict[str, Any]) -> bool:
        if form["grant_type"].startswith("urn:"):
            return True
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{self.secret}".encode()).decode()
        by_form = form.get("client_id") == CLIENT and form.get("client_secret") == self.secret
        return request.headers.get("Authorization") == basic or (by_form and not self.only_basic)

    def _grants(self, grant: str, form: dict[str, Any]) -> bool:
        if grant == "refresh_token":
            return bool(self._family) and form["refresh_token"] == self._family[-1]
        if grant == "authorization_code":
            digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
            wanted = self._challenges.pop(str(form["code"]), "")
            return base64.urlsafe_b64encode(digest).decode().rstrip("=") == wanted
        return True

    def _tokens(self, *, refreshable: bool) -> dict[str, Any]:
        self._count += 1
        access, refresh = f"canary-access-{self._count}", f"canary-refresh-{self._count}"
        self.valid = {access}
        more = {}
        if refreshable:
            self._family.append(refresh)
            more = {"refresh_token": refresh}
        return {"access_token": access, "token_type": "Bearer", "expires_in": self.lasts_s, "scope": "a b", **more}


@asynccontextmanager
async def oauth_server() -> AsyncIterator[OAuthServer]:
    """One on a free loopback port."""
    server = OAuthServer()
    app = web.Application()
    app.router.add_get("/authorize", server.authorize)
    app.router.add_post("/token", server.token)
    app.router.add_route("*", "/api/{tail:.*}", server.api)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
