"""Content on its way: in pieces of one size, counted and hashed as they pass."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

from domain.files.file import File, FileError

PIECE = 2**20
"""Bytes of a piece; only the last one may be shorter."""


class Measured:
    """Content that comes in: at most `most` bytes. Raises FileError; what it raised is kept in `error`.

    Whoever takes it may be a library that makes another error of ours.
    """

    def __init__(self, content: AsyncIterator[bytes], most: int) -> None:
        self._content = content
        self._most = most
        self._hash = sha256()
        self.size = 0
        self.error: BaseException | None = None

    @property
    def digest(self) -> bytes:
        """Of all that has passed."""
        return self._hash.digest()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content, once."""
        try:
            async for piece in _regrouped(self._content):
                self.size += len(piece)
                if self.size > self._most:
                    raise FileError("file_too_large", f"a file may have at most {self._most:,} bytes here")
                await asyncio.to_thread(self._hash.update, piece)
                yield piece
        except BaseException as error:
            self.error = error
            raise


async def proven(file: File, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Content that goes out. The last piece comes once the whole has the file's size and hash; else FileError."""
    hashed, size = sha256(), 0
    held: bytes | None = None
    async for piece in content:
        if held is not None:
            yield held
        await asyncio.to_thread(hashed.update, piece)
        size, held = size + len(piece), piece
    if size != file.size or hashed.hexdigest() != file.sha256:
        raise FileError("file_damaged", f"the stored content of the file {file.id} is not what was kept")
    if held is not None:
        yield held


async def _regrouped(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = bytearray()
    async for piece in content:
        held += piece
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)
