"""E-mail through the operator's mail server."""

import asyncio
from collections import Counter
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal
from uuid import UUID

import aiosmtplib
import msgspec

from domain.values.charset import unescaped

TIMEOUT_S = 10.0
AT_A_TIME = 20
"""Connections to the mail server."""


MAILS_PER_HOUR = 100
"""To all addresses that one tenant's zaps name: nobody is to flood others in the operator's name."""


class MailAllowance:
    """How many mails each tenant has left in this hour of the clock. One notifier works, so its own memory will do."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._hour: datetime | None = None
        self._sent: Counter[UUID] = Counter()

    def take(self, tenant_id: UUID, moment: datetime) -> bool:
        """Whether a tenant may send one more."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour = hour
            self._sent.clear()
        if self._sent[tenant_id] >= self._per_hour:
            return False
        self._sent[tenant_id] += 1
        return True


class MailFailed(Exception):
    """The mail server did not take the message; its text says why, for the zap's owner."""


class MailConfig(msgspec.Struct, frozen=True):
    """How to reach the mail server; without a host there is none."""

    host: str = ""
    port: int = 587
    username: str = ""
    password: str = ""
    tls: Literal["off", "starttls", "tls"] = "starttls"
    sender: str = ""


class Mail:
    """Sends text to one recipient at a time, so that each gets one message and sees no other recipient."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config
        self._slots = asyncio.Semaphore(AT_A_TIME)

    @property
    def is_set_up(self) -> bool:
        """Whether there is a mail server."""
        return bool(self._config.host)

    async def send(
        self, recipient: str, subject: str, text: str, *, message_id: UUID, at: datetime, stop_url: str = ""
    ) -> None:
        """Hand a message to the server; its id is the same on every attempt. Raises MailFailed.

        A POST to `stop_url` ends such mails: mail programs offer that as a button (RFC 2369, RFC 8058).
        """
        config = self._config
        if not self.is_set_up:
            raise MailFailed("no mail server is set up: the operator sets TRIGGERHUB_SMTP_HOST")
        message = EmailMessage()
        message["From"] = config.sender
        message["To"] = recipient
        message["Subject"] = subject
        message["Date"] = format_datetime(at)
        message["Message-ID"] = f"<{message_id}@triggerhub>"
        message["Auto-Submitted"] = "auto-generated"
        if stop_url:
            message["List-Unsubscribe"] = f"<{stop_url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(text)
        try:
            async with self._slots:
                await self._hand_over(message, recipient)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MailFailed(f"the mail server did not take it: {unescaped(str(error))}") from error

    async def _hand_over(self, message: EmailMessage, recipient: str) -> None:
        config = self._config
        await aiosmtplib.send(
            message,
            sender=config.sender,
            recipients=[recipient],
            hostname=config.host,
            port=config.port,
            username=config.username or None,
            password=config.password or None,
            use_tls=config.tls == "tls",
            start_tls=config.tls == "starttls",
            timeout=TIMEOUT_S,
        )
