"""Reads what is new in a folder of a mail server (IMAP4rev1, RFC 3501), and marks nothing as read."""

import asyncio
import imaplib
import re
import socket
import ssl
import time

from consumers.dialogues.mails import MAX_MAIL, body_of
from consumers.outbound.guarded_loop import GuardedLoop
from domain.connector.http_client import Unreachable
from domain.dialogue.questions import Mail, MailboxReading, MailboxRequest

ANSWER_S = 10.0
"""For one answer of the server."""
MAX_BYTES = 4 * 2**20
"""Of the mails of one reading, as the server has them."""
READ_S = 10.0
"""After which no further mail is asked for."""
_NUMBER = re.compile(rb"\d+")


class _Client(imaplib.IMAP4):
    """A client on a connection that was made for it, to an address that is allowed."""

    def __init__(self, host: str, port: int, made: socket.socket) -> None:
        self._made = made
        super().__init__(host, port, timeout=ANSWER_S)

    def _create_socket(self, _timeout: float | None) -> socket.socket:
        return self._made


async def look(request: MailboxRequest, loop: GuardedLoop) -> MailboxReading:
    """Raises Unreachable where the server refuses something, and OSError where there is none."""
    addresses = await loop.addresses(request.host, request.port)
    return await asyncio.to_thread(_look, request, addresses)


def _look(request: MailboxRequest, addresses: list[str]) -> MailboxReading:
    made = _connected(request, addresses)
    try:
        client = _Client(request.host, request.port, made)
        if request.tls == "starttls":
            client.starttls(ssl.create_default_context())
        _logged_in(client, request)
        reading = _read(client, request)
        client.logout()
    except imaplib.IMAP4.error:
        raise Unreachable("not_understood", "the mail server did not answer as IMAP has it") from None
    finally:
        made.close()
    return reading


def _connected(request: MailboxRequest, addresses: list[str]) -> socket.socket:
    failure = OSError(f"{request.host} has no address")
    for address in addresses:
        try:
            made = socket.create_connection((address, request.port), ANSWER_S)
        except OSError as error:
            failure = error
            continue
        if request.tls != "tls":
            return made
        return ssl.create_default_context().wrap_socket(made, server_hostname=request.host.strip("[]"))
    raise failure


def _logged_in(client: imaplib.IMAP4, request: MailboxRequest) -> None:
    try:
        client.login(request.username, request.password)
    except imaplib.IMAP4.error:
        raise Unreachable("login_refused", "the mail server did not let the account in", permanent=True) from None


def _read(client: imaplib.IMAP4, request: MailboxRequest) -> MailboxReading:
    kind, _data = client.select(_quoted(request.folder), readonly=True)
    if kind != "OK":
        raise Unreachable("no_folder", f"the mail server has no folder {request.folder}", permanent=True)
    validity, upcoming = _told(client, "UIDVALIDITY"), _told(client, "UIDNEXT")
    restarted = request.validity not in {0, validity}
    if restarted or (not request.validity and request.from_end):
        return MailboxReading(mails=(), validity=validity, uid=max(0, upcoming - 1), restarted=restarted)
    listed = _numbers(client, request.uid)
    mails: list[Mail] = []
    size, until = 0, time.monotonic() + READ_S
    for uid in listed[: request.max_mails]:
        raw, whole = _fetched(client, uid)
        size += len(raw)
        if mails and (size > MAX_BYTES or time.monotonic() > until):
            break
        if raw:  # else it was deleted meanwhile
            mails.append(Mail(uid, body_of(raw, uid, whole)))
    last = mails[-1].uid if mails else (listed[-1] if listed else request.uid)
    return MailboxReading(mails=tuple(mails), validity=validity, uid=last, more=any(uid > last for uid in listed))


def _told(client: imaplib.IMAP4, name: str) -> int:
    """A number that the server has said of the folder."""
    _kind, data = client.response(name)
    found = _NUMBER.search(data[0]) if data and isinstance(data[0], bytes) else None
    if found is None:
        raise Unreachable("not_understood", f"the mail server does not say the folder's {name}", permanent=True)
    return int(found[0])


def _numbers(client: imaplib.IMAP4, after: int) -> list[int]:
    """The mails behind one. A range that ends with * always has the last mail, so it is looked at again."""
    kind, data = client.uid("SEARCH", f"UID {after + 1}:*")
    if kind != "OK":
        raise Unreachable("not_understood", "the mail server did not search the folder")
    found = {int(number) for number in _NUMBER.findall(data[0] or b"")}
    return sorted(uid for uid in found if uid > after)


def _fetched(client: imaplib.IMAP4, uid: int) -> tuple[bytes, bool]:
    """A mail's bytes, of a large one the first part; and whether that is all."""
    kind, data = client.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{MAX_MAIL + 1}>)")
    parts = [part[1] for part in data if isinstance(part, tuple)] if kind == "OK" else []
    raw = parts[0] if parts else b""
    return raw[:MAX_MAIL], len(raw) <= MAX_MAIL


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
