"""Bodies that become files: binary ones, and forms with files, above a size. They are kept piece by piece as they come.

Who sends is known before anything is kept, so only hooks whose senders are known without the body take more than
MAX_BODY. Where the body itself is signed it is read and verified first, and taken to pieces then.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from uuid import UUID

from litestar.types import Receive
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from app.intake.reading.bodies import SMALL, Bodies, SenderLeft, Whose
from app.intake.refusals import FilesFull, Malformed, NoRoom, RequestTooLarge, TooSlow
from domain.files.file import INLINE_BYTES, FileError
from domain.hook.compiled import Hook
from domain.hook.presets import Basic, Bearer, DedupeBody, GitLab, HeaderToken, IpAllow, Unverified
from domain.log.errors import DomainError
from domain.values.charset import charset_of
from domain.values.headers import filename_of, is_binary, plain_type
from domain.values.json import Json
from domain.values.multipart import field_value, parser_of, text_name
from domain.values.payload import collect
from sql.files.store import FileStore

TIME_S = 600.0
"""How long a sender may take; the server closes connections that send slower than a least rate."""
ROOM = 3 * 2**20
"""Bytes of memory that one such body takes while it comes."""
MAX_FIELDS = 2**20
"""Bytes of all fields of a form that are no files."""
MAX_FILES = 50
"""Of one form."""
_MULTIPART = "multipart/form-data"
_Event = MultipartSegment | bytes | bytearray | None


class Uploads:
    """The bodies of this process that become files."""

    def __init__(self, files: FileStore, bodies: Bodies) -> None:
        self._files = files
        self._bodies = bodies

    def wants(self, hook: Hook, headers: Mapping[str, str]) -> bool:
        """Whether a body of this kind becomes files, if it is large."""
        if hook.raw or "content-encoding" in headers or "ce-specversion" in headers:
            return False
        content_type = headers.get("content-type", "")[:200].lower()
        return content_type.startswith(_MULTIPART) or is_binary(plain_type(content_type.partition(";")[0]))

    def streams(self, hook: Hook, headers: Mapping[str, str]) -> bool:
        """Whether it is taken as it comes, as it may be large and its sender is known without it."""
        length = headers.get("content-length")
        return (length is None or _is_large(length)) and _is_known_by_head(hook) and self.wants(hook, headers)

    async def taken(
        self, receive: Receive, headers: Mapping[str, str], owner_id: UUID, whose: Whose, tenant_id: UUID
    ) -> tuple[bytes, Json]:
        """The whole body where it is small after all, else what it was taken to pieces to. Raises DomainError."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._files.limits.of_workspace:
            raise RequestTooLarge(f"all files of a workspace have at most {self._files.limits.of_workspace} bytes")
        await self._bodies.take(ROOM, whose)
        try:
            async with asyncio.timeout(TIME_S):
                chunks = _chunks(receive)
                first = await _beginning(chunks)
                if len(first) <= INLINE_BYTES:
                    return first, None
                return b"", await self.pieces(_chained(first, chunks), headers, owner_id, tenant_id)
        except TimeoutError:
            raise TooSlow(f"a body has to arrive within {TIME_S:.0f} s") from None
        finally:
            self._bodies.give(ROOM, whose)

    async def pieces(
        self, content: AsyncIterator[bytes], headers: Mapping[str, str], owner_id: UUID, tenant_id: UUID
    ) -> Json:
        """The value that stands for the body: one file, or the fields of a form. Raises DomainError."""
        media_type, options = parse_options_header(headers.get("content-type", "")[:1_000])
        try:
            if plain_type(str(media_type)) == _MULTIPART:
                return collect([field async for field in self._fields(content, options, owner_id, tenant_id)])
            filename = filename_of(headers.get("content-disposition", "")) or ""
            file = await self._files.keep(
                tenant_id, owner_id, content, filename=filename, content_type=plain_type(str(media_type))
            )
            return file.value()
        except BaseException as error:
            await self.forget(owner_id)
            if isinstance(error, MultipartError):
                raise Malformed(f"the body is not valid multipart: {error}") from None
            if isinstance(error, FileError):
                raise _refusal(error) from error
            raise

    async def forget(self, owner_id: UUID) -> None:
        """Nobody needs the files of this request. What can't be forgotten now is swept later."""
        with suppress(Exception):
            await asyncio.shield(self._files.forget_of([owner_id]))

    async def _fields(
        self, content: AsyncIterator[bytes], options: Mapping[str, str], owner_id: UUID, tenant_id: UUID
    ) -> AsyncIterator[tuple[str, Json]]:
        charset, fields, files = charset_of(options.get("charset", "")), 0, 0
        parser = parser_of(options.get("boundary", ""))
        events = _events(parser, content)
        async for segment in events:
            if not isinstance(segment, MultipartSegment):
                continue
            disposition = segment.header("Content-Disposition", "") or ""
            filename = filename_of(disposition, lambda name: text_name(name, charset))
            if filename is None:
                text = b"".join([part async for part in _bounded(_part(events), MAX_FIELDS - fields)])
                fields += len(text)
                value = (
                    field_value(segment, text, charset)
                    if len(text) <= SMALL
                    else await asyncio.to_thread(field_value, segment, text, charset)
                )
            else:
                files += 1
                if files > MAX_FILES:
                    raise RequestTooLarge(f"a form has at most {MAX_FILES} files")
                file = await self._files.keep(
                    tenant_id, owner_id, _part(events), filename=filename, content_type=segment.content_type or ""
                )
                value = file.value()
            yield text_name(segment.name or "", charset), value


def _is_known_by_head(hook: Hook) -> bool:
    """Whether the sender, and the delivery, are known without the body."""
    match hook.preset:
        case Unverified() | Basic() | Bearer() | HeaderToken() | IpAllow() | GitLab(mode="token") as preset:
            return not isinstance(preset.dedupe, DedupeBody)
        case _:
            return False


def _is_large(length: str) -> bool:
    return length.isdecimal() and int(length[:20]) > INLINE_BYTES


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise SenderLeft
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """More than INLINE_BYTES where there are so many."""
    first = bytearray()
    async for chunk in chunks:
        first += chunk
        if len(first) > INLINE_BYTES:
            break
    return bytes(first)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _events(parser: PushMultipartParser, content: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
    with parser:
        async for chunk in content:
            for event in parser.parse(chunk):
                yield event


async def _part(events: AsyncIterator[_Event]) -> AsyncIterator[bytes]:
    """The content of the part that has just begun."""
    async for event in events:
        if event is None:
            return
        if not isinstance(event, MultipartSegment):
            yield bytes(event)


async def _bounded(content: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in content:
        size += len(piece)
        if size > most:
            raise RequestTooLarge(f"the fields of a form that are no files have at most {MAX_FIELDS} bytes")
        yield piece


def _refusal(error: FileError) -> DomainError:
    match error.code:
        case "file_too_large":
            return RequestTooLarge(error.message)
        case "files_full":
            return FilesFull(error.message)
        case _:
            return NoRoom(error.message)
