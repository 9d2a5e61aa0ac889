"""Bytes of files in a directory or an S3-compatible store: an object for each."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from domain.files.span import Span

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART = 5 * 2**20
"""Bytes that are sent at once; S3 takes no smaller part of an upload."""
AT_ONCE = 2
"""Parts of one upload."""
RANGE = 4 * 2**20
"""Bytes that are asked for at once: a request has half a minute, a whole file may take longer."""


class Objects:
    """A directory, or `s3://bucket/prefix` with the AWS_… variables of the environment. `errors` are those of a store
    that can't be reached.
    """

    def __init__(self, url: str) -> None:
        from obstore.exceptions import BaseError  # 20 MB that only such installations need
        from obstore.store import LocalStore, from_url

        self.errors: tuple[type[Exception], ...] = (BaseError, OSError)
        self._store: ObjectStore = from_url(url) if "://" in url else LocalStore(Path(url).absolute(), mkdir=True)

    async def write(self, tenant_id: UUID, file_id: UUID, content: AsyncIterator[bytes]) -> None:
        """Store an object whole, or not at all."""
        import obstore

        await obstore.put_async(
            self._store,
            _name(tenant_id, file_id),
            content,
            use_multipart=True,
            chunk_size=PART,
            max_concurrency=AT_ONCE,
        )

    async def read(self, tenant_id: UUID, file_id: UUID, span: Span) -> AsyncIterator[bytes]:
        """What an object has of a range, part by part, each when it is asked for."""
        import obstore

        for start in range(span.start, span.end, RANGE):
            end = min(start + RANGE, span.end)
            found = await obstore.get_range_async(self._store, _name(tenant_id, file_id), start=start, end=end)
            yield bytes(found)

    async def delete(self, tenant_id: UUID, file_id: UUID) -> None:
        """Delete it, if it is there."""
        import obstore

        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, _name(tenant_id, file_id))


def _name(tenant_id: UUID, file_id: UUID) -> str:
    return f"files/{tenant_id}/{file_id}"
