"""A real mail server for tests, on loopback: what it takes it keeps, and it can be told to refuse."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from consumers.notifier.mail import MailConfig

USERNAME, PASSWORD = "hub", "mail secret"


class MailServer:
    """Mails by recipient, in order of arrival. `refusal` is what it answers instead of taking one."""

    def __init__(self) -> None:
        self.port = 0
        self.refusal = ""
        self.boxes: dict[str, list[EmailMessage]] = {}

    @property
    def mails(self) -> list[EmailMessage]:
        """All of them."""
        return [mail for box in self.boxes.values() for mail in box]

    def config(self, **changes: Any) -> MailConfig:
        """How to send to it."""
        values: dict[str, Any] = {
            "host": "127.0.0.1", "port": self.port, "tls": "off", "sender": "hub@example.com",
        } | changes  # fmt: skip
        return MailConfig(**values)

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Called by aiosmtpd with each mail."""
        if self.refusal:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        for recipient in envelope.rcpt_tos:
            self.boxes.setdefault(recipient, []).append(mail)
        return "250 taken"


@asynccontextmanager
async def running_mail_server(tls: ssl.SSLContext | None = None, *, login: bool = False) -> AsyncIterator[MailServer]:
    """A server on a free port; with a context it insists on STARTTLS, with `login` on the user above."""
    mails = MailServer()

    def authenticate(
        _server: object, _session: object, _envelope: object, _how: str, data: LoginPassword
    ) -> AuthResult:
        known = (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    def serve() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of log-ins without TLS, which are for tests
            return SMTP(
                mails,
                hostname="mail.example.com",
                tls_context=tls,
                require_starttls=tls is not None,
                authenticator=authenticate if login else None,
                auth_required=login,
                auth_require_tls=tls is not None,
                enable_SMTPUTF8=True,
            )

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    mails.port = server.sockets[0].getsockname()[1]
    try:
        yield mails
    finally:
        server.close()
        await server.wait_closed()
