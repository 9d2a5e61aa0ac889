"""A mail (RFC 5322, MIME) as templates see it."""

import base64
from email import policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage, MIMEPart
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parsedate_to_datetime
from typing import Any

from domain.values.charset import charset_of, text_of, unescaped
from domain.values.json import Json, JsonObject

MAX_HEADER = 4_000
"""Characters of a header that are read: the standard library takes the square of their number."""
MAX_PARTS = 250
"""Of a mail: each line of it is compared with the boundaries of all parts that are around it."""
MAX_MAIL = 2 * 2**20
"""Bytes of a mail that are looked at."""
MAX_TEXT = 200_000
MAX_FILE = 128 * 1024
"""Bytes of an attachment that comes along."""
MAX_FILES = 256 * 1024
"""... and of all of a mail."""


class _TooManyParts(Exception):
    """A mail that is made to take long."""


class _Careful(policy.EmailPolicy):
    """What senders wrote in UTF-8 is text, and what the standard library cannot take apart is an empty header."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        try:
            return super().header_fetch_parse(name, unescaped(value[:MAX_HEADER]))
        except Exception:  # noqa: BLE001 - it fails in any way, with errors of recursion and of unbound names among them
            return super().header_fetch_parse(name, "")


_POLICY = _Careful()


def body_of(raw: bytes, uid: int, whole: bool) -> JsonObject:
    """What a mail says. Whatever is wrong with it, there is something to be seen."""
    try:
        return _told(_read(BytesParser, raw), uid) | {"complete": whole}
    except Exception:  # noqa: BLE001 - the next look would meet it again, and no mail behind it would ever be read
        return _told(_read(BytesHeaderParser, raw), uid) | {"complete": False}


def _read(parser: "type[BytesParser[Any]]", raw: bytes) -> EmailMessage:
    left = iter(range(MAX_PARTS))

    def part(**named: Any) -> EmailMessage:
        if next(left, None) is None:
            raise _TooManyParts
        return EmailMessage(**named)

    mail = parser(part, policy=_POLICY).parsebytes(raw)
    assert isinstance(mail, EmailMessage)
    return mail


def _told(mail: EmailMessage, uid: int) -> JsonObject:
    return {
        "uid": uid,
        "message_id": _header(mail, "message-id"),
        "from": _addresses(mail, "from"),
        "to": _addresses(mail, "to"),
        "cc": _addresses(mail, "cc"),
        "reply_to": _addresses(mail, "reply-to"),
        "subject": _header(mail, "subject"),
        "date": _date(mail),
        "in_reply_to": _header(mail, "in-reply-to"),
        "text": _text(mail, "plain"),
        "html": _text(mail, "html"),
        "attachments": _attachments(mail),
    }


def _header(mail: EmailMessage, name: str) -> str:
    return str(mail[name] or "").strip()[:2_000]


def _addresses(mail: EmailMessage, name: str) -> Json:
    header = mail[name]
    listed = header.addresses if isinstance(header, AddressHeader) else ()
    return [{"name": one.display_name, "address": one.addr_spec} for one in listed[:200]]


def _date(mail: EmailMessage) -> Json:
    try:
        return parsedate_to_datetime(_header(mail, "date")).isoformat()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _text(mail: EmailMessage, kind: str) -> Json:
    part = mail.get_body((kind,))
    raw = part.get_payload(decode=True) if part else None
    if part is None or not isinstance(raw, bytes):
        return None
    charset = charset_of(part.get_content_charset(""))
    return text_of(raw, charset).replace("\r\n", "\n")[:MAX_TEXT]


def _attachments(mail: EmailMessage) -> list[Json]:
    found: list[Json] = []
    room = MAX_FILES
    for part in mail.iter_attachments():
        raw = part.get_payload(decode=True)
        content = raw if isinstance(raw, bytes) else b""
        kept = len(content) <= min(MAX_FILE, room)
        room -= len(content) if kept else 0
        found.append(_attachment(part, content, kept=kept))
    return found[:100]


def _attachment(part: MIMEPart, content: bytes, *, kept: bool) -> JsonObject:
    """A file as `http.request` sends it; of a large one only what it is."""
    named: JsonObject = {
        "filename": (part.get_filename() or "")[:300],
        "content_type": part.get_content_type(),
        "size": len(content),
    }
    return named | ({"content": base64.b64encode(content).decode()} if kept else {})
