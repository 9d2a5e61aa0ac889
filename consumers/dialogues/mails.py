"""A mail (RFC 5322, MIME) as templates see it."""

import base64
from email import message_from_bytes, policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime

from domain.values.json import Json, JsonObject

MAX_MAIL = 2 * 2**20
"""Bytes of a mail that are looked at."""
MAX_TEXT = 200_000
MAX_FILE = 128 * 1024
"""Bytes of an attachment that comes along."""
MAX_FILES = 256 * 1024
"""... and of all of a mail."""


def body_of(raw: bytes, uid: int, whole: bool) -> JsonObject:
    """What a mail says. Whatever is wrong with it, there is something to be seen."""
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
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
        "complete": whole,
    }


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return str(mail[name] or "").strip()[:2_000]
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        return ""  # the parser of the standard library gives up on some that are broken


def _addresses(mail: EmailMessage, name: str) -> Json:
    try:
        header = mail[name]
        listed = header.addresses if isinstance(header, AddressHeader) else ()
        return [{"name": one.display_name, "address": one.addr_spec} for one in listed[:200]]
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        return []


def _date(mail: EmailMessage) -> Json:
    try:
        return parsedate_to_datetime(_header(mail, "date")).isoformat()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _text(mail: EmailMessage, kind: str) -> Json:
    part = mail.get_body((kind,))
    if part is None:
        return None
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return None
    try:
        text = raw.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        text = raw.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")[:MAX_TEXT]


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
