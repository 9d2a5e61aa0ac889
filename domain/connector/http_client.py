"""The one way out that actions and alerts have, as a Protocol; consumers/outbound is what stands behind it."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from domain.connection.signing import Signing
from domain.connector.config import BadConfig
from domain.files.file import File, Files, is_file
from domain.values.json import Json

MAX_REPLY_BYTES = 256 * 1024
"""Of an answer, where whoever asks sets no limit."""
Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
ReplyHeaders: TypeAlias = Mapping[str, str | list[str]]


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A body that is read while it is sent, anew each time. `sha256`, in hex, where the whole body is one file."""

    size: int
    read: Callable[[], AsyncIterator[bytes]]
    sha256: str = ""


def upload_of(file: File, files: Files) -> Upload:
    """A body that is one file."""
    return Upload(size=file.size, read=lambda: files.read(file), sha256=file.sha256)


Content: TypeAlias = bytes | Upload


class Given(msgspec.Struct, frozen=True):
    """What an action sends: content with its type and the name that it came under, which may be empty."""

    content: Content
    content_type: str
    filename: str = ""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.size if isinstance(self.content, Upload) else len(self.content)


FileField: TypeAlias = Annotated[
    Json,
    Meta(
        title="File",
        description="What the trigger or an earlier step gives; or a text",
        extra_json_schema={"format": "file"},
    ),
]
"""A file in a step's config, see content_of."""


async def content_of(value: Json, files: Files | None) -> Given:
    """What a value says: a file of the run, a small one that is in the value itself, text, or any JSON.

    Raises BadConfig and FileError.
    """
    match value:
        case dict() if is_file(value) and files is not None:
            file = await files.find(value)
            return Given(upload_of(file, files), file.content_type, file.filename)
        case {"content": str(encoded), "content_type": content_type, **more}:
            try:
                content = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise BadConfig("what a file holds is base64") from None
            return Given(content, str(content_type), str(more.get("filename") or ""))
        case str():
            return Given(value.encode("utf-8", "replace"), "text/plain; charset=utf-8")
    return Given(msgspec.json.encode(value), "application/json")


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Keeps the content of a successful answer as a file, where it `wants` that by its headers.

    Content of `above` bytes at most is given as it is. `take` raises FileError.
    """

    wants: Callable[[ReplyHeaders], bool]
    above: int
    take: Callable[[ReplyHeaders, AsyncIterator[bytes]], Awaitable[File]]


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes out. `timeout_s` bounds it from the look-up of the name to the end of the answer."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes | Upload | None = None
    timeout_s: float
    max_bytes: int = MAX_REPLY_BYTES
    """Of the answer; what comes beyond that is dropped."""
    signing: Signing | None = None
    """How the connection's secret signs the request, instead of going along with it."""
    bare: bool = False
    """Without the credential of the connection: the request goes where somebody's answer leads."""
    keep: Keep | None = None


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a target, with its content coding undone; a header that came several times is a list.

    `truncated`: it was larger than was asked for. `size` is then as much as is known of its size.
    `file`: its content was kept as that, and `body` is empty.
    """

    status: int
    headers: ReplyHeaders
    body: bytes
    size: int = 0
    truncated: bool = False
    file: File | None = None

    def header(self, name: str) -> str:
        """A header's value, the first where there are several; empty where it isn't there."""
        return header_of(self.headers, name)

    def retry_after_s(self, at: datetime) -> float | None:
        """The target's wish in seconds: a number or a date (RFC 9110 §10.2.3); None where it makes no sense."""
        text = self.header("retry-after").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, (parsedate_to_datetime(text) - at).total_seconds())
        except (ValueError, TypeError, IndexError, OverflowError):
            return None


def header_of(headers: ReplyHeaders, name: str) -> str:
    """A header's value, the first where there are several; empty where it isn't there."""
    found = headers.get(name, "")
    return found if isinstance(found, str) else found[0]


class HttpClient(Protocol):
    """The one way out: guarded against internal addresses, no redirects, bounded in time and size.

    Raises domain.connector.http_client.Unreachable (class of failure in `.code`), FileError where a file is sent or
    kept, and nothing else.
    """

    async def request(self, request: HttpRequest) -> HttpReply: ...


class Unreachable(Exception):
    """No complete answer came, or none that can be read.

    `code` is one of address_refused, dns, connect, tls, timeout, broken, unreadable, bad_url,
    bad_request; or circuit_open or rate_limited, with `after_s`: nothing was sent, and may be in so many seconds.
    Of the connection: host_not_allowed, connection_missing, connection_unreadable, needs_reconnect.
    """

    def __init__(self, code: str, message: str, *, permanent: bool = False, after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.after_s = after_s
