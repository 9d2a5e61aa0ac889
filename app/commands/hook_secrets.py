"""Secrets of hooks: encrypted in the table, and read by the intake only."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from app.accounts.auth import Principal
from app.commands.zaps import Zaps
from domain.hook.compiled import HOOKS
from domain.hook.presets import Unknown, load_preset
from domain.hook.verification import needs_secret
from domain.log.errors import Invalid
from domain.starting.registering import PresetsOf, wish_of
from domain.zap.zap import ChangeSecrets
from sql.secrets.secret_box import SecretBox, Unreadable
from sql.tables.hook_secrets import HookTables, secret_context

log = structlog.get_logger()
MAX_SECRETS = 2
"""Secrets that are valid at a time: the new one, and the old one until all senders have changed."""


class SecretsState(msgspec.Struct, frozen=True):
    """All that is ever shown of a zap's secrets."""

    count: int
    changed_at: datetime | None


class HookSecrets:
    """The secrets that senders of a zap sign with."""

    def __init__(self, tables: HookTables, box: SecretBox, presets_of: PresetsOf) -> None:
        self._presets_of = presets_of
        self._tables = tables
        self._box = box

    async def of(self, zap_id: UUID) -> tuple[str, ...]:
        """For verification only, newest first."""
        stored = await self._tables.secrets(zap_id)
        return tuple(secret for box in stored.boxes for secret in self._opened(box, zap_id))

    def _opened(self, box: bytes, zap_id: UUID) -> tuple[str, ...]:
        try:
            return (self._box.open(box, secret_context(zap_id)),)
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

    async def require(self, zaps: Zaps, principal: Principal, zap_id: UUID) -> None:
        """Check that the draft's hook has the secret that it verifies with: without it every request would be refused.

        Where the service is told of the hook, one of the two chooses it.

        Raises NotFound and Invalid.
        """
        draft = (await zaps.load(principal.tenant_id, zap_id)).state.draft
        hook = draft.start_of(HOOKS)
        preset = load_preset(hook.config.get("verification", {"preset": "none"}) if hook else {"preset": "none"})
        if isinstance(preset, Unknown) or not needs_secret(preset):
            return
        if (await self._tables.secrets(zap_id)).boxes:
            return
        known = await self._presets_of(principal.tenant_id, wish_of(hook.config)[0]) if hook else None
        if known is not None and known.chooses_secret:
            await self.replace(zaps, principal, zap_id, [secrets.token_urlsafe(32)])
        elif known is None or not known.register.secret:
            path = f"{draft.place_of(hook.id) if hook else 'trigger'}.config.verification"
            reason = f"this hook needs the secret of its sender first: PUT /api/v1/zaps/{zap_id}/secrets"
            raise Invalid(f"{path}: {reason}", errors=[{"path": path, "reason": reason}])

    async def replace(self, zaps: Zaps, principal: Principal, zap_id: UUID, chosen: Sequence[str]) -> SecretsState:
        """Use these from now on. Raises NotFound.

        The table comes first: the event makes every process read it anew. Should the event fail, the caller hears of
        it and repeats.
        """
        await zaps.load(principal.tenant_id, zap_id)
        boxes = [self._box.seal(secret, secret_context(zap_id)) for secret in chosen]
        await self._tables.put_secrets(zap_id, principal.tenant_id, boxes)
        await zaps.execute(principal, zap_id, ChangeSecrets(len(boxes)))
        return await self._state(zap_id)

    async def _state(self, zap_id: UUID) -> SecretsState:
        stored = await self._tables.secrets(zap_id)
        return SecretsState(len(stored.boxes), stored.changed_at)
