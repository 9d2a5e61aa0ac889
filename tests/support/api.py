"""The real application over a real Postgres, called in process, and what tests do with it again and again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import httpx
import msgspec
from argon2 import PasswordHasher
from litestar import Litestar

from app.http.asgi import create_app
from app.http.services import Services
from consumers.connectors import manual, schedule, webhook
from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Outcome, Succeeded
from domain.values.json import JsonObject
from sql.log.event_store import PgEventStore
from tests.support.stores import PATIENCE_S, patient_store

SECRET = "a secret for tests that is 32 bytes long at least"
ENCRYPTION_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
PASSWORD = "correct horse battery staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Most tests make an account, and few look at how its password is kept."""
HOOK_URL = "http://testserver.local"


class EchoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the echo says."""

    text: str


async def _echo(config: JsonObject, _context: ActionContext) -> Outcome:
    return Succeeded(config)


CATALOG = Catalog(
    triggers={
        trigger.type: trigger
        for trigger in (*webhook.CONNECTOR.triggers, *manual.CONNECTOR.triggers, *schedule.CONNECTOR.triggers)
    },
    actions={
        "test.echo": ActionDescriptor(
            type="test.echo",
            name="Echo",
            description="Gives back its config",
            icon="echo",
            run=_echo,
            config=EchoConfig,
        )
    },
)


def services(store: PgEventStore, dsn: str, **changes: Any) -> Services:
    """What the application is built from, with test values."""
    values: dict[str, Any] = {
        "store": store, "dsn": dsn, "catalog": CATALOG, "jwt_secret": SECRET,
        "encryption_key": ENCRYPTION_KEY, "public_url": HOOK_URL,
        "max_body": 100_000, "password_hasher": QUICK,
    } | changes  # fmt: skip
    return Services(**values)


@asynccontextmanager
async def running_api(dsn: str, patience_s: float = PATIENCE_S, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application of its own, with its own store, on this database."""
    async with patient_store(dsn, "api test", patience_s=patience_s) as store:
        app = create_app(services(store, dsn, **changes))
        async with _alive(app):
            transport = httpx.ASGITransport(cast(Any, app), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=HOOK_URL) as client:
                yield client


@asynccontextmanager
async def _alive(app: Litestar) -> AsyncIterator[None]:
    """The lifespan in a task of its own: it must end where it began, and fixtures are torn down in another task."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    living = asyncio.create_task(live())
    await asyncio.wait({living, asyncio.create_task(started.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stop.set()
        await living


class Person:
    """Somebody with an account: requests with their access token."""

    def __init__(self, api: httpx.AsyncClient, signed_in: dict[str, Any]) -> None:
        self.api = api
        self.id: str = signed_in["user"]["id"]
        self.email: str = signed_in["user"]["email"]
        self.access_token: str = signed_in["access_token"]
        self.refresh_token: str = signed_in["refresh_token"]

    async def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.access_token}"} | options.pop("headers", {})
        return await self.api.request(method, f"/api/v1{path}", headers=headers, **options)

    async def create_zap(
        self, name: str = "My zap", text: str = "hello", trigger: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A draft; the answer's body."""
        body = zap_body(name, text)
        body["trigger"]["config"] = trigger or {}
        answer = await self("POST", "/zaps", json=body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def live_zap(
        self, name: str = "My zap", trigger: dict[str, Any] | None = None, secrets: Sequence[str] = ()
    ) -> dict[str, Any]:
        """A published zap, with this config of its trigger; the answer's body with `hook_url`."""
        created = await self.create_zap(name, trigger=trigger)
        if secrets:
            kept = await self("PUT", f"/zaps/{created['id']}/secrets", json={"secrets": list(secrets)})
            assert kept.status_code == 200, kept.text
        answer = await self("POST", f"/zaps/{created['id']}/publish")
        assert answer.status_code == 200, answer.text
        published: dict[str, Any] = answer.json()
        return published


def zap_body(name: str = "My zap", text: str = "hello") -> dict[str, Any]:
    """A valid zap to create."""
    return {
        "name": name,
        "trigger": {"type": "webhook.catch", "config": {}},
        "steps": [{"id": "echo", "kind": "action", "type": "test.echo", "config": {"text": text}}],
    }


async def sign_up(api: httpx.AsyncClient, email: str = "", name: str = "Ada") -> Person:
    """A new account with PASSWORD."""
    body = {"name": name, "email": email or f"{uuid4().hex}@example.org", "password": PASSWORD}
    answer = await api.post("/api/v1/auth/signup", json=body)
    assert answer.status_code == 201, answer.text
    return Person(api, answer.json())
