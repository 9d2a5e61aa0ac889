"""Mails to addresses that tenants name: only to those whose owners have confirmed that they want them.

An address is asked once, by a mail that holds nothing a tenant has written but the address of its account. Each mail
has a link of its own to the page where its reader says yes or no; the log and the database hold no token.
"""

import asyncio
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from consumers.notifier.mail import MAILS_PER_HOUR, Mail, MailAllowance, MailFailed
from domain.log.ports import NewId
from domain.values.email import for_mail
from sql.tables.mail_addresses import Ask, MailAddress, MailAddresses

log = structlog.get_logger()

AT_ONCE = 20
"""Addresses that are asked in one go, of as many tenants."""
AGAIN = timedelta(minutes=15)
"""After this an address is asked whose mail the server did not take."""
LATER = timedelta(hours=1)
"""After this an address is asked whose tenant has sent all mails of its hour."""
PATH = "/mails/"
TOKEN_BYTES = 24


class NotMailed(Exception):
    """No mail was sent; the text says why, for the tenant."""


class Recipients:
    """All mails to addresses that somebody else than their owners has written down."""

    def __init__(
        self,
        mail: Mail,
        addresses: MailAddresses,
        new_id: NewId,
        public_url: str,
        per_hour: int = MAILS_PER_HOUR,
    ) -> None:
        self._mail = mail
        self._addresses = addresses
        self._new_id = new_id
        self._public_url = public_url
        self._per_hour = per_hour
        self._allowance = MailAllowance(per_hour)

    @property
    def has_server(self) -> bool:
        """Whether there is a mail server."""
        return self._mail.is_set_up

    async def write(
        self, tenant_id: UUID, address: str, subject: str, text: str, *, message_id: UUID, at: datetime
    ) -> None:
        """Mail a text to a confirmed address. Raises NotMailed and MailFailed."""
        (found,) = await self._addresses.of(tenant_id, [address])
        if not found.confirmed:
            await self._addresses.want(tenant_id, [address], at)
            raise NotMailed(_why(found))
        if not self._allowance.take(tenant_id, at):
            raise NotMailed(f"this account's alerts may send {self._per_hour} mails an hour, and have")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        await self._addresses.add_link(token, tenant_id, address, at)
        body = f"{text}\nNo more of these mails:"
        await self._send(address, token, subject, body, message_id=message_id, at=at)

    async def ask(self, moment: datetime) -> None:
        """Ask the addresses whose turn it is."""
        if not self.has_server:
            return
        taken = [await self._taken(ask, moment) for ask in await self._addresses.due(moment, AT_ONCE)]
        await asyncio.gather(*(self._ask(*found, moment) for found in taken if found))

    async def _taken(self, ask: Ask, moment: datetime) -> tuple[Ask, str] | None:
        """A question that may be asked now, and its token. One after the other: tenants share what an address gets."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        if not self._allowance.take(ask.tenant_id, moment):
            await self._addresses.put_off(ask, moment + LATER)
            return None
        return (ask, token) if await self._addresses.begin(ask, token, moment) else None

    async def _ask(self, ask: Ask, token: str, moment: datetime) -> None:
        subject, text = _question(self._public_url, ask)
        try:
            await self._send(ask.address, token, subject, text, message_id=self._new_id(), at=moment)
        except MailFailed as error:
            log.warning("recipients.not_asked", tenant_id=str(ask.tenant_id), error=str(error))
            await self._addresses.put_off(ask, moment + AGAIN)

    async def _send(self, address: str, token: str, subject: str, text: str, *, message_id: UUID, at: datetime) -> None:
        page = f"{self._public_url}{PATH}{token}"
        await self._mail.send(
            for_mail(address), subject, f"{text} {page}\n", message_id=message_id, at=at, stop_url=f"{page}/stop"
        )


def _why(address: MailAddress) -> str:
    if address.stopped:
        return "the owner of this address wants no mails: only the link in one of them can change that"
    return "the owner of this address has not confirmed it yet, by the link in the mail that asks for it"


def _question(public_url: str, ask: Ask) -> tuple[str, str]:
    account = ask.account or "An account that is gone"
    return "Do you want these alerts?", (
        f"{account} would like to mail you alerts about failed runs, or ask you for approvals,\n"
        f"from the TriggerHub at {public_url}\n\n"
        "Nothing more is sent unless you say yes on the page behind this link.\n"
        "If you do not know what this is about, do nothing.\n\n"
        "Yes or no:"
    )
