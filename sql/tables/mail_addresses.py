"""Whom mails may go to: addresses that tenants name, what their owners have said, and the links by which they do."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.values.email import canonical
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/mails.sql")

MAX_ADDRESSES = 1_000
"""That one tenant may name; whoever has said no counts for good, so that asking has an end."""
ASKS_A_DAY = 3
"""Mails that ask one address whether it wants mails, of all tenants together."""

State: TypeAlias = Literal["asked", "confirmed", "stopped"]
"""`asked`: its owner has not answered. `stopped`: its owner wants no mails (any more)."""


class MailAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address that alerts are mailed to. They are, once its owner has confirmed it by the link in a mail.

    `stopped`: the owner wants no mails; only the owner can change that, by the link in any of them.
    """

    email: str
    confirmed: bool = False
    stopped: bool = False
    changed_at: datetime | None = None


class Ask(msgspec.Struct, frozen=True):
    """An address that is to be asked, and the e-mail address of the account that wants to write there, if it exists."""

    tenant_id: UUID
    address: str
    account: str | None


class Link(msgspec.Struct, frozen=True):
    """What the link in a mail is about."""

    address: str
    state: State
    account: str | None


class MailAddresses:
    """The tables. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def want(self, tenant_id: UUID, addresses: Sequence[str], moment: datetime) -> None:
        """Have addresses asked that the tenant has not named before."""
        if addresses:
            spelt = sorted({canonical(address) for address in addresses})
            await self._pool.execute(_queries["want_mails"], tenant_id, spelt, moment, MAX_ADDRESSES)

    async def ask_again(self, tenant_id: UUID, address: str, moment: datetime) -> None:
        """Have an address asked once more that has not answered."""
        await self._pool.execute(_queries["ask_again"], tenant_id, canonical(address), moment)

    async def of(self, tenant_id: UUID, addresses: Sequence[str]) -> list[MailAddress]:
        """How these addresses stand; those that the tenant has never named are neither confirmed nor stopped."""
        spelt = {canonical(address): MailAddress(email=canonical(address)) for address in addresses}
        rows = await self._pool.fetch(_queries["mail_addresses_of"], tenant_id, list(spelt))
        return list((spelt | {row[0]: _address(*row) for row in rows}).values())

    async def all(self, tenant_id: UUID) -> list[MailAddress]:
        """All that the tenant has named, at most MAX_ADDRESSES or a few more."""
        return [_address(*row) for row in await self._pool.fetch(_queries["mail_addresses_page"], tenant_id)]

    async def due(self, moment: datetime, limit: int) -> list[Ask]:
        """Addresses that are to be asked, one of each tenant."""
        return [Ask(*row) for row in await self._pool.fetch(_queries["due_asks"], moment, limit)]

    async def put_off(self, ask: Ask, until: datetime) -> None:
        """Ask later."""
        await self._pool.execute(_queries["put_off_ask"], ask.tenant_id, ask.address, until)

    async def begin(self, ask: Ask, token: str, moment: datetime) -> bool:
        """Whether an address may be asked now, by a mail with this link; otherwise its turn comes tomorrow."""
        values = (ask.tenant_id, ask.address, moment, ASKS_A_DAY, _hash(token))
        return await self._pool.fetchval(_queries["begin_ask"], *values) is not None

    async def add_link(self, token: str, tenant_id: UUID, address: str, moment: datetime) -> None:
        """Remember the link of a mail, before it is sent."""
        await self._pool.execute(_queries["add_mail_link"], _hash(token), tenant_id, canonical(address), moment)

    async def link(self, token: str) -> Link | None:
        """What a link is about; None for one that was never sent, or is too old."""
        row = await self._pool.fetchrow(_queries["mail_link"], _hash(token))
        return Link(*row) if row else None

    async def answer(self, token: str, state: Literal["confirmed", "stopped"], moment: datetime) -> bool:
        """Do as the reader of a mail says; False where there is no such link."""
        return await self._pool.fetchval(_queries["answer_mail_link"], _hash(token), state, moment) is not None


def _address(email: str, state: State, changed_at: datetime) -> MailAddress:
    return MailAddress(email=email, confirmed=state == "confirmed", stopped=state == "stopped", changed_at=changed_at)


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
