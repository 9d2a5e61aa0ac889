"""Secrets of hooks: encrypted on their way to the table, and known to nobody but the intake after that."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from app.accounts.auth import Principal
from app.accounts.secret_box import SecretBox, Unreadable
from app.commands.zaps import Zaps
from domain.zap.zap import ChangeSecrets
from sql.tables.hook_secrets import HookTables

log = structlog.get_logger()
MAX_SECRETS = 2
"""Live at the same time: the new one, and the old one until all senders have changed."""


class SecretsState(msgspec.Struct, frozen=True):
    """All that is ever told of a zap's secrets."""

    count: int
    changed_at: datetime | None


class HookSecrets:
    """The secrets that senders of a zap sign with."""

    def __init__(self, tables: HookTables, box: SecretBox) -> None:
        self._tables = tables
        self._box = box

    async def of(self, zap_id: UUID) -> tuple[str, ...]:
        """For verification only, newest first."""
        stored = await self._tables.secrets(zap_id)
        return tuple(secret for box in stored.boxes for secret in self._opened(box, zap_id))

    def _opened(self, box: bytes, zap_id: UUID) -> tuple[str, ...]:
        try:
            return (self._box.open(box, zap_id.bytes),)
        except Unreadable as error:
            log.warning("secrets.unreadable", zap_id=str(zap_id), error=str(error))
            return ()

    async def forget(self, principal: Principal, zap_id: UUID) -> None:
        """Of a zap that is gone: its secrets are kept no longer."""
        await self._tables.put_secrets(zap_id, principal.tenant_id, [])

    async def state(self, zaps: Zaps, principal: Principal, zap_id: UUID) -> SecretsState:
        """How many there are. Raises NotFound."""
        await zaps.load(principal.tenant_id, zap_id)
        return await self._state(zap_id)

    async def replace(self, zaps: Zaps, principal: Principal, zap_id: UUID, secrets: Sequence[str]) -> SecretsState:
        """Use these from now on. Raises NotFound.

        The table comes first: the event makes every process read it anew. Should the event fail, the caller hears of
        it and repeats.
        """
        await zaps.load(principal.tenant_id, zap_id)
        boxes = [self._box.seal(secret, zap_id.bytes) for secret in secrets]
        await self._tables.put_secrets(zap_id, principal.tenant_id, boxes)
        await zaps.execute(principal, zap_id, ChangeSecrets(len(boxes)))
        return await self._state(zap_id)

    async def _state(self, zap_id: UUID) -> SecretsState:
        stored = await self._tables.secrets(zap_id)
        return SecretsState(len(stored.boxes), stored.changed_at)
