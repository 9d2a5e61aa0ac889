"""A body with files in it: which files these are, and the body as a stream, put together anew for each attempt."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from domain.connector.config import BadConfig
from domain.connector.http_client import Upload
from domain.files.file import File, FileError, Files, files_in
from domain.values.json import Json, JsonObject

Piece: TypeAlias = bytes | File


class Found(msgspec.Struct, frozen=True):
    """The files that a body names, by id, and where they are read from."""

    files: Files | None = None
    by_id: Mapping[str, File] = {}

    def file(self, reference: JsonObject) -> File:
        """The file of a reference. Raises BadConfig where it stands in the definition."""
        found = self.by_id.get(str(reference["$file"]))
        if found is None:
            raise BadConfig("body: a file is what the trigger or an earlier step gives; it can't be written down")
        return found

    def joined(self, pieces: Sequence[Piece]) -> bytes | Upload:
        """Pieces as one body."""
        if all(isinstance(piece, bytes) for piece in pieces):
            return b"".join(piece for piece in pieces if isinstance(piece, bytes))
        size = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces)
        lone = pieces[0] if len(pieces) == 1 else None
        return Upload(size=size, read=lambda: self._read(pieces), sha256=lone.sha256 if isinstance(lone, File) else "")

    async def _read(self, pieces: Sequence[Piece]) -> AsyncIterator[bytes]:
        assert self.files is not None, "they were found there"
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                async for part in self.files.read(piece):
                    yield part


NO_FILES = Found()


async def found(body: Json, files: Files | None) -> Found:
    """Look up all files that a value names. Raises FileError."""
    if b'"$file"' not in msgspec.json.encode(body):  # nearly always, and a third of the time of looking at each value
        return NO_FILES
    references = files_in(body)
    if files is None:
        raise FileError("files_unavailable", "there are no files where a draft is tested")
    return Found(files, {str(one["$file"]): await files.find(one) for one in references})
