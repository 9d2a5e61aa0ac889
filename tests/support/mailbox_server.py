"""A mail server that keeps mail, as far as a client that reads needs it (RFC 3501), on loopback."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

USERNAME, PASSWORD = "ada", 'canary "mailbox" \\secret'
_UIDS = re.compile(r"UID (\d+):\*")
_PART = re.compile(r"(\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)")


class MailboxServer:
    """Mails of the folder by their number. `seen` is what clients have said, without the password."""

    def __init__(self) -> None:
        self.port = 0
        self.password = PASSWORD
        self.validity = 17
        self.mails: dict[int, bytes] = {}
        self.seen: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            tag, _, command = line.partition(" ")
            self.seen.append(command.partition(" ")[0] if command.startswith("LOGIN") else command)
            for answer in self._answers(command):
                writer.write(answer + b"\r\n")
            writer.write(f"{tag} {self._status(command)}\r\n".encode())
            await writer.drain()
        writer.close()

    def _status(self, command: str) -> str:
        quoted = self.password.replace("\\", "\\\\").replace('"', '\\"')
        if command.startswith("LOGIN") and command != f'LOGIN {USERNAME} "{quoted}"':
            return f"NO {command} is wrong"
        if command.startswith("EXAMINE") and command != 'EXAMINE "INBOX"':
            return "NO there is none"
        return (
            "OK done"
            if command.split(" ", maxsplit=1)[0] in {"CAPABILITY", "LOGIN", "EXAMINE", "UID", "LOGOUT"}
            else "BAD what"
        )

    def _answers(self, command: str) -> list[bytes]:
        last = max(self.mails, default=0)
        if command == "CAPABILITY":
            return [b"* CAPABILITY IMAP4rev1"]
        if command.startswith("EXAMINE"):
            told = [f"* {len(self.mails)} EXISTS", f"* OK [UIDVALIDITY {self.validity}] ok"]
            return [line.encode() for line in (*told, f"* OK [UIDNEXT {last + 1}] ok")]
        if found := _UIDS.search(command):
            uids = [uid for uid in self.mails if uid >= int(found[1])] or [*self.mails][-1:]  # as RFC 3501 has it
            return [("* SEARCH " + " ".join(map(str, uids))).encode()]
        if found := _PART.search(command):
            part = self.mails.get(int(found[1]), b"")[: int(found[2])]
            return [b"* 1 FETCH (UID %s BODY[]<0> {%d}\r\n%s)" % (found[1].encode(), len(part), part)] if part else []
        return [b"* BYE"] if command == "LOGOUT" else []


@asynccontextmanager
async def mailbox_server() -> AsyncIterator[MailboxServer]:
    """One on a free port."""
    mailbox = MailboxServer()
    server = await asyncio.start_server(mailbox.serve, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mailbox
