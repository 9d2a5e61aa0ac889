"""Envelope encryption: the secrets of each workspace are sealed with a data key of its own.

Only data keys are sealed with the installation's ring, so that replacing its keys seals one row per workspace anew.
"""

import base64
import os
from uuid import UUID

from sql.postgres.pool import Pool
from sql.postgres.queries import Queries
from sql.process.recent import Recent
from sql.secrets.secret_box import SecretBox

_queries = Queries("queries/data_keys.sql")
MOST = 2_000
"""Workspaces whose keys a process keeps open."""


def key_context(tenant_id: UUID) -> bytes:
    """What the key of a workspace is sealed for."""
    return b"data key " + tenant_id.bytes


class DataKeys:
    """The data keys of all workspaces. `ring` is TRIGGERHUB_ENCRYPTION_KEY."""

    def __init__(self, pool: Pool, ring: str) -> None:
        self._pool = pool
        self._ring = SecretBox(ring)
        self._open = Recent[UUID, SecretBox](MOST)

    async def of(self, tenant_id: UUID) -> SecretBox:
        """What seals and opens a workspace's secrets; its key is made when it is first asked for.

        Raises Unreadable, and sql.postgres.pool.CONNECTION_ERRORS.
        """
        found = self._open.get(tenant_id)
        if found is None:
            sealed = await self._pool.fetchval(_queries["data_key"], tenant_id) or await self._made(tenant_id)
            found = SecretBox(self._ring.open(sealed, key_context(tenant_id)))
            self._open.put(tenant_id, found)
        return found

    async def _made(self, tenant_id: UUID) -> bytes:
        """The key that is kept from now on: this one, unless another process was faster."""
        fresh = base64.urlsafe_b64encode(os.urandom(32)).decode()
        sealed = self._ring.seal(fresh, key_context(tenant_id))
        await self._pool.execute(_queries["add_data_key"], tenant_id, sealed)
        kept: bytes = await self._pool.fetchval(_queries["data_key"], tenant_id)
        return kept
