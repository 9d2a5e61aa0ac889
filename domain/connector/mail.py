"""A mail that an action writes (RFC 5322, MIME): what can be set, and its bytes."""

import base64
import binascii
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses
from typing import Annotated, TypeAlias
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Meta

from domain.connector.config import BadConfig
from domain.files.file import FileError, Files, files_in, is_file
from domain.values.json import Json, JsonObject

MAX_BYTES = 15 * 2**20
"""Of a mail with all that is attached."""
Address = Annotated[str, Meta(min_length=3, max_length=400)]
Addresses: TypeAlias = Address | list[Address]


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file: one of the run, or `content` in base64, as an answer that is not text has it, or `text`."""

    file: Json = None
    filename: Annotated[str, Meta(max_length=255)] = "file"
    content: str | None = None
    text: str | None = None
    content_type: str | None = None


class MailConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent to whom."""

    to: Annotated[Addresses, Meta(title="To", description="One address, or a list of them")]
    subject: Annotated[str, Meta(title="Subject", max_length=900)] = ""
    text: Annotated[str, Meta(title="Text", max_length=2_000_000)] = ""
    html: Annotated[str, Meta(title="HTML", max_length=2_000_000, description="Shown instead of the text")] = ""
    cc: Annotated[Addresses, Meta(title="Copies to")] = []
    bcc: Annotated[Addresses, Meta(title="Blind copies to", description="Nobody sees them")] = []
    from_: Annotated[str, Meta(title="From", max_length=400, description="Otherwise the account's own address")] = (
        msgspec.field(name="from", default="")
    )
    reply_to: Annotated[str, Meta(title="Answers to", max_length=400)] = ""
    attachments: Annotated[
        list[Attachment],
        Meta(
            title="Attachments", description="A list of files, or of {filename, file | content | text}", max_length=50
        ),
    ] = []


class Letter(msgspec.Struct, frozen=True):
    """A mail's bytes, its id, and between whom it goes."""

    content: bytes
    message_id: str
    sender: str
    recipients: tuple[str, ...]


def letter(config: MailConfig, *, own: str, key: str, at: datetime, shows_bcc: bool = False) -> Letter:
    """The mail. Its Message-ID follows from `key`, so a server that sees it twice can know.

    `own`: who sends it unless the config says; empty where the server knows.
    `shows_bcc`: the server takes the recipients from the mail, and blind copies out of it. Raises BadConfig.
    """
    sender = config.from_ or own
    address = _address("from", sender) if sender else ""
    mail = EmailMessage(policy=SMTP)
    message_id = f"<{uuid5(NAMESPACE_URL, key)}@{address.rpartition('@')[2] or 'triggerhub'}>"
    headers = {"From": sender, "To": _listed(config.to), "Cc": _listed(config.cc), "Reply-To": config.reply_to}
    headers |= {"Bcc": _listed(config.bcc)} if shows_bcc else {}
    headers |= {"Subject": config.subject, "Date": format_datetime(at), "Message-ID": message_id}
    try:
        for name, value in headers.items():
            if value:
                mail[name] = value
        mail.set_content(config.text)
        if config.html:
            mail.add_alternative(config.html, subtype="html")
        for file in config.attachments:
            _attach(mail, file)
        content = mail.as_bytes()
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise BadConfig(f"this makes no mail: {error}") from None
    if len(content) > MAX_BYTES:
        raise BadConfig(f"the mail has {len(content):,} bytes; {MAX_BYTES:,} are allowed")
    to = [_address(field, one) for field in ("to", "cc", "bcc") for one in _each(getattr(config, field))]
    if not to:
        raise BadConfig("to: nobody is named")
    return Letter(content, message_id, address, tuple(dict.fromkeys(to)))


def _each(given: Addresses) -> list[str]:
    return [one for one in ([given] if isinstance(given, str) else given) if one.strip()]


def _listed(given: Addresses) -> str:
    return ", ".join(_each(given))


def _address(field: str, text: str) -> str:
    """The one address in a text. Raises BadConfig."""
    found = getaddresses([text])
    address = found[0][1] if len(found) == 1 else ""
    local, _at, host = address.rpartition("@")
    if not local or not host or any(character.isspace() for character in address):
        raise BadConfig(f"{field}: {text[:100]!r} is not one e-mail address; for several write a list")
    return address


def _attach(mail: EmailMessage, file: Attachment) -> None:
    main, _, sub = (file.content_type or "application/octet-stream").partition(";")[0].strip().partition("/")
    try:
        content = base64.b64decode(file.content, validate=True) if file.content else (file.text or "").encode()
    except (binascii.Error, ValueError):
        raise BadConfig(f"attachments: the content of {file.filename!r} is not base64") from None
    mail.add_attachment(content, maintype=main, subtype=sub or "octet-stream", filename=file.filename)


async def with_files(config: JsonObject, files: Files | None) -> JsonObject:
    """The config with the content of all attached files in it: a mail is small. Raises BadConfig and FileError."""
    attachments = config.get("attachments")
    if not isinstance(attachments, list) or not files_in(attachments):
        return config
    if files is None:
        raise FileError("files_unavailable", "there are no files where a draft is tested")
    left, found = MAX_BYTES, list[Json]()
    for one in attachments:
        reference = one if is_file(one) else one.get("file") if isinstance(one, dict) else None
        if not is_file(reference):
            found.append(one)
            continue
        file = await files.find(reference)
        left -= file.size
        if left < 0:
            raise BadConfig(f"attachments: they have more than the {MAX_BYTES:,} bytes that a mail may have")
        named = one if isinstance(one, dict) and one is not reference else {}
        content = b"".join([piece async for piece in files.read(file)])
        found.append(
            {
                "filename": named.get("filename") or file.filename or "file",
                "content_type": named.get("content_type") or file.content_type,
                "content": base64.b64encode(content).decode(),
            }
        )
    return {**config, "attachments": found}


def given(config: dict[str, Json]) -> dict[str, Json]:
    """A rendered config without what is null, as a template makes what is not there."""
    return {name: value for name, value in config.items() if value is not None}
