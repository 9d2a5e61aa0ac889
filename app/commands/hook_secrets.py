"""Secrets of hooks: encrypted on their way to the table, and known to nobody but the intake after that.

AES-256-GCM (NIST SP 800-38D) with a random nonce in front; the zap's id is authenticated along, so that a box
that was copied to another zap does not open.
"""

import base64
import os
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.accounts.auth import Principal
from app.commands.zaps import Zaps
from domain.zap.zap import ChangeSecrets
from sql.tables.hook_secrets import HookTables

log = structlog.get_logger()
MAX_SECRETS = 2
"""Live at the same time: the new one, and the old one until all senders have changed."""
_NONCE = 12


class SecretBox:
    """Encrypts and decrypts with TRIGGERHUB_ENCRYPTION_KEY: 32 bytes, in URL-safe base64."""

    def __init__(self, key: str) -> None:
        self._cipher = AESGCM(base64.urlsafe_b64decode(key))

    def seal(self, secret: str, zap_id: UUID) -> bytes:
        """The secret as the table keeps it."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), zap_id.bytes)

    def open(self, box: bytes, zap_id: UUID) -> str | None:
        """The secret, None when the key is another one or the box was tampered with."""
        try:
            return self._cipher.decrypt(box[:_NONCE], box[_NONCE:], zap_id.bytes).decode()
        except (InvalidTag, ValueError):
            log.warning("secrets.unreadable", zap_id=str(zap_id))
            return None


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
        opened = (self._box.open(box, zap_id) for box in stored.boxes)
        return tuple(secret for secret in opened if secret is not None)

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
        boxes = [self._box.seal(secret, zap_id) for secret in secrets]
        await self._tables.put_secrets(zap_id, principal.tenant_id, boxes)
        await zaps.execute(principal, zap_id, ChangeSecrets(len(boxes)))
        return await self._state(zap_id)

    async def _state(self, zap_id: UUID) -> SecretsState:
        stored = await self._tables.secrets(zap_id)
        return SecretsState(len(stored.boxes), stored.changed_at)
