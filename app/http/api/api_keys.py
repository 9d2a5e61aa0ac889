"""API keys: /api/v1/api-keys."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, delete, get
from litestar.params import FromPath, JSONBody

from app.accounts.accounts import Accounts
from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected, Input, Name
from app.http.openapi.notes import command
from app.http.paging import Page, Paging
from sql.tables.identity import ApiKey, Identity, Scope


class NewApiKey(Input, frozen=True):
    """What the key is for, and what it may do: `read`, `write`, and `keys` to make and delete API keys."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=3)] = ("read", "write")


class CreatedApiKey(ApiKey, frozen=True):
    """A fresh key. `key` is shown this once."""

    key: str


class ApiKeyController(Controller):
    """Keys act for their user until they are deleted."""

    path = "/api-keys"
    tags = ("API keys",)
    opt = {"scope": "keys"}  # noqa: RUF012 - Litestar's own declaration

    @command("/", "createApiKey", "Make a key", "limit_reached", status_code=201)
    async def create(
        self, data: JSONBody[NewApiKey], request: AuthedRequest, accounts: Injected[Accounts]
    ) -> CreatedApiKey:
        """The answer is the only one that contains the whole key."""
        kept, key = await accounts.create_key(request.user, data.name, tuple(dict.fromkeys(data.scopes)))
        return CreatedApiKey(kept.id, kept.name, kept.prefix, kept.scopes, kept.created_at, key)

    @get("/", summary="List keys", operation_id="listApiKeys")
    async def list_keys(
        self, request: AuthedRequest, identity: Injected[Identity], paging: Injected[Paging]
    ) -> Page[ApiKey]:
        """Newest first, by name and prefix."""
        keys = await identity.api_keys(request.user.user_id, paging.before, paging.enough)
        return paging.page(keys, lambda key: key.id)

    @delete("/{key_id:uuid}", summary="Revoke a key", operation_id="deleteApiKey")
    async def revoke(self, key_id: FromPath[UUID], request: AuthedRequest, accounts: Injected[Accounts]) -> None:
        """The key stops working at once."""
        await accounts.delete_key(request.user, key_id)
