"""A mail as it is written, and as it is read."""

import base64
import time
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dialogues.mails import MAX_FILE, body_of
from consumers.dialogues.worker import encoded
from domain.connector.config import BadConfig, read
from domain.connector.mail import Letter, MailConfig, letter
from domain.dialogue.questions import Mail, MailboxReading, MailTaken

AT = datetime(2027, 1, 1, 9, tzinfo=UTC)


def written(**config: Any) -> Letter:
    return letter(read(MailConfig, {"to": "ada@example.com"} | config), own="hub@example.org", key="run.step", at=AT)


def test_what_is_written_is_read() -> None:
    made = written(
        to=["Ä da <ada@example.com>", "bob@example.com"], cc="c@example.com", bcc=["secret@example.com"],
        subject="Grüße ✓", text="Zwei, bitte.\n", html="<p>Zwei</p>", reply_to="r@example.com",
        attachments=[{"filename": "ä.bin", "content": base64.b64encode(b"\0\xff").decode(), "content_type": "a/b"},
                     {"filename": "b.txt", "text": "é", "content_type": "text/plain"}],
    )  # fmt: skip
    assert made.recipients == ("ada@example.com", "bob@example.com", "c@example.com", "secret@example.com")
    assert b"secret@" not in made.content
    body = body_of(made.content, 7, whole=True)
    assert (body["subject"], body["text"], body["html"]) == ("Grüße ✓", "Zwei, bitte.\n", "<p>Zwei</p>\n")
    assert body["to"] == [{"name": "Ä da", "address": "ada@example.com"}, {"name": "", "address": "bob@example.com"}]
    assert body["from"] == [{"name": "", "address": "hub@example.org"}]
    assert (body["date"], body["message_id"]) == ("2027-01-01T09:00:00+00:00", made.message_id)
    assert body["attachments"] == [
        {"filename": "ä.bin", "content_type": "a/b", "size": 2, "content": "AP8="},
        {"filename": "b.txt", "content_type": "text/plain", "size": 2, "content": "w6k="},
    ]
    assert written().message_id == made.message_id


@pytest.mark.parametrize(
    "config",
    [
        {"to": "nobody"}, {"to": []}, {"subject": "a\r\nBcc: x@example.com"}, {"to": "a@b.c\r\nBcc: x@example.com"},
        {"from": "x y"}, {"to": "a@b.c, d@e.f"}, {"attachments": [{"content": "no base64!"}]},
        {"reply_to": "a@b.c\nX: y"}, {"attachments": [{"text": "x", "content_type": "a/b\r\nX: y"}]},
    ],
)  # fmt: skip
def test_what_makes_no_mail_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BadConfig):
        written(**config)


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_no_data_adds_a_header_or_a_recipient(to: str, subject: str, text: str) -> None:
    try:
        made = written(to=to, subject=subject, text=text)
    except BadConfig:
        return
    assert len(made.recipients) == 1
    mail = message_from_bytes(made.content, policy=policy.default)
    assert set(mail.keys()) <= {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
                                "Content-Transfer-Encoding"}  # fmt: skip


@given(st.binary(max_size=400))
def test_no_mail_breaks_its_reader(raw: bytes) -> None:
    for head in (
        b"",
        b"Subject: =?utf-8?q?",
        b"From: ",
        b"Date: ",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n",
    ):
        sent = encoded(MailboxReading(mails=(Mail(1, body_of(head + raw, 1, whole=True)),), validity=1, uid=1))
        assert b'"uid":1' in sent


@pytest.mark.parametrize(
    "raw",
    [
        "From: Jérôme <j@example.com>\r\n\r\nx".encode(), b"From: \"J\xe9\" <j@example.com>\r\n\r\nx",
        b"From: =?unicode_escape?q?=5Cud800?= <j@example.com>\r\n\r\nx",
        b"Reply-To: =?utf-8?b?mmsaQ==?= <x@y>\r\n\r\nx",
        b"Content-Type: text/plain; charset=unicode_escape\r\n\r\n\\ud800", b"From: " + b"(" * 1_000 + b"\r\n\r\nx",
        b"Content-Transfer-Encoding: " + b"(" * 1_000 + b"\r\n\r\nx", b"Message-ID: <" + b"a." * 500 + b"@[\r\n\r\nx",
        b"From: " + b'"a"' * 200_000 + b"\r\n\r\nx", b"From: " + b"," * 600_000 + b"\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=B\r\n\r\n" + b"--B\r\n\r\nx\r\n" * 100_000,
        b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * 1_000_000,
    ],
)  # fmt: skip
def test_a_mail_that_anybody_may_send_holds_no_folder_up(raw: bytes) -> None:
    before = time.process_time()
    head = b"Subject: order\r\n"
    sent = encoded(MailboxReading(mails=(Mail(1, body_of(head + raw, 1, whole=True)),), validity=1, uid=1))
    assert b'"subject":"order"' in sent
    assert time.process_time() - before < 5


def test_a_name_in_raw_utf_8_or_latin_1_is_text() -> None:
    for raw in ("From: Jérôme <j@example.com>".encode(), "From: Jérôme <j@example.com>".encode("latin-1")):
        assert body_of(raw, 1, whole=True)["from"] == [{"name": "Jérôme", "address": "j@example.com"}]


def test_words_of_a_mail_server_in_latin_1_are_text() -> None:
    words = "angenommen für morgen".encode("latin-1").decode("utf-8", "surrogateescape")
    assert "angenommen für morgen" in encoded(MailTaken({words: words + "\ud800"}, words)).decode()


def test_a_large_file_comes_without_its_content() -> None:
    mail = EmailMessage()
    mail.set_content("x")
    mail.add_attachment(b"\0" * (MAX_FILE + 1), maintype="a", subtype="b", filename="large")
    assert body_of(mail.as_bytes(), 1, whole=True)["attachments"] == [
        {"filename": "large", "content_type": "a/b", "size": MAX_FILE + 1}
    ]
