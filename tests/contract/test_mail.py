"""Mails reach a real server: in clear, by STARTTLS and with a user; what it refuses is told in its words."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from consumers.notifier.mail import Mail, MailConfig, MailFailed
from domain.zap.settings import OnFailure
from sql.process.clock import new_id
from tests.support.certificates import Authority
from tests.support.clock import START
from tests.support.mail_server import PASSWORD, USERNAME, MailServer, running_mail_server

ADA = "ada@example.com"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as mails:
        yield mails


async def send(config: MailConfig, subject: str = "Orders: 3 runs failed", text: str = "Three.") -> None:
    await Mail(config).send(ADA, subject, text, message_id=new_id(), at=START)


async def test_text_arrives_as_it_was_written(server: MailServer) -> None:
    text = "Zwölf × 503 → „Aufträge“\n.\n" + "long " * 500 + "\n"
    await send(server.config(), "Aufträge → CRM: 3 runs failed", text)
    (mail,) = server.boxes[ADA]
    assert mail.get_content().replace("\r\n", "\n") == text
    assert mail["subject"] == "Aufträge → CRM: 3 runs failed"
    assert mail["date"] == "Thu, 01 Jan 2026 12:00:00 +0000"
    assert mail["auto-submitted"] == "auto-generated"


async def test_the_url_that_ends_such_mails_arrives_as_it_is_however_long(server: MailServer) -> None:
    url = f"https://{'long.' * 40}example.com/mails/{'t' * 32}/stop"
    await Mail(server.config()).send(ADA, "x" * 300, "y", message_id=new_id(), at=START, stop_url=url)
    (mail,) = server.boxes[ADA]
    assert mail["list-unsubscribe"] == f"<{url}>"
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert mail["subject"] == "x" * 300


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[MailServer]:
    """A server that takes mails only by STARTTLS and from a user, with a certificate that nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Authority(tmp_path).issue("mail"))
    async with running_mail_server(context, login=True) as mails:
        yield mails


async def test_tls_is_insisted_on_and_certificates_are_checked(strict: MailServer) -> None:
    with pytest.raises(MailFailed, match="certificate"):
        await send(strict.config(tls="starttls", username=USERNAME, password=PASSWORD))
    with pytest.raises(MailFailed):
        await send(strict.config(tls="off"))
    assert strict.mails == []


async def test_a_server_without_starttls_gets_nothing_in_clear(server: MailServer) -> None:
    with pytest.raises(MailFailed, match="STARTTLS"):
        await send(server.config(tls="starttls", username=USERNAME, password=PASSWORD))
    assert server.mails == []


async def test_a_user_signs_in_or_is_told_that_it_failed(
    strict: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    await send(strict.config(tls="starttls", username=USERNAME, password=PASSWORD))
    assert len(strict.boxes[ADA]) == 1
    with pytest.raises(MailFailed, match="535") as failed:
        await send(strict.config(tls="starttls", username=USERNAME, password="not the secret"))
    assert "not the secret" not in str(failed.value)
    with pytest.raises(MailFailed):
        await send(strict.config(tls="starttls"))
    assert len(strict.mails) == 1


@pytest.mark.parametrize(
    "address", ["ada+hub@example.com", "o'hara@example.com", "!#$%&*/=?^_`{|}~-@example.com", "ü@example.com"]
)
async def test_an_odd_address_that_settings_allow_is_the_one_recipient(server: MailServer, address: str) -> None:
    assert msgspec.convert({"email": [address]}, OnFailure).email == (address,)
    await Mail(server.config()).send(address, "x", "y", message_id=new_id(), at=START)
    assert list(server.boxes) == [address]


@pytest.mark.parametrize(
    "address", ["a,b@example.com", '"@example.com', "a<b@example.com", "a(@b;c", "a@b,c", "a@b>", "a\\@b", "a", "a@b@c"]
)
def test_what_mail_libraries_would_read_otherwise_is_no_address(address: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"email": [address]}, OnFailure)


async def test_refusals_and_absence_are_failures(server: MailServer) -> None:
    server.refusal = "554 no thanks"
    with pytest.raises(MailFailed, match="no thanks"):
        await send(server.config())
    with pytest.raises(MailFailed, match="TRIGGERHUB_SMTP_HOST"):
        await send(MailConfig())
    with pytest.raises(MailFailed):
        await send(server.config(port=1))
