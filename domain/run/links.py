"""Addresses by which people outside carry a run on: they cannot be guessed, and follow from the installation's secret.

So they need no table: an approval's link can be mailed again, and a callback's is known before the run comes to its
step. Of an approval's token the log has the hash, which decides; a callback's token is checked by itself.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from uuid import UUID

import msgspec

APPROVE, RESUME = "/approve/", "/hooks/resume/"
MAX_TOKEN = 200
"""Characters."""
_MAC = 24
_ID = 16


class Callback(msgspec.Struct, frozen=True):
    """The step whose callback this is."""

    run_id: UUID
    step_id: str


class Links:
    """Makes tokens with the first of the installation's secrets, and knows those of any. Without one there are none."""

    def __init__(self, secret: str, public_url: str) -> None:
        secrets = [one.encode() for one in secret.split(",") if one]
        self._approvals = [hmac.digest(one, b"TriggerHub approval v1", "sha256") for one in secrets]
        self._callbacks = [hmac.digest(one, b"TriggerHub callback v1", "sha256") for one in secrets]
        self._public_url = public_url

    def new_token_hash(self, run_id: UUID, step_id: str, recipient: int) -> str:
        """The hash of the token for one who is asked now."""
        return token_hash(_approval(self._approvals[0], run_id, step_id, recipient)) if self._approvals else ""

    def approval_url(self, run_id: UUID, step_id: str, recipient: int, token_sha256: str) -> str | None:
        """The link of one who was asked; None where its key is gone."""
        tokens = (_approval(key, run_id, step_id, recipient) for key in self._approvals)
        found = next((token for token in tokens if hmac.compare_digest(token_hash(token), token_sha256)), None)
        return found and f"{self._public_url}{APPROVE}{found}"

    def callback_url(self, run_id: UUID, step_id: str) -> str:
        """The URL to which the first request lets the step go on."""
        if not self._callbacks:
            return ""
        said = run_id.bytes + step_id.encode()
        token = _text(run_id.bytes + _mac(self._callbacks[0], said) + step_id.encode())
        return f"{self._public_url}{RESUME}{token}"

    def read_callback(self, token: str) -> Callback | None:
        """Whose callback a token is; None where we have not made it."""
        raw = _bytes(token)
        mac, step_id = raw[_ID : _ID + _MAC], raw[_ID + _MAC :]
        if not step_id or not any(hmac.compare_digest(_mac(key, raw[:_ID] + step_id), mac) for key in self._callbacks):
            return None
        return Callback(UUID(bytes=raw[:_ID]), step_id.decode())


def run_of(token: str) -> UUID | None:
    """The run that an approval's token names; whether it is a true one, the run's log decides."""
    raw = _bytes(token)
    return UUID(bytes=raw[:_ID]) if len(raw) == _ID + _MAC else None


def token_hash(token: str) -> str:
    """What the log keeps of a token: its SHA-256, in hex."""
    return sha256(token.encode()).hexdigest()


def _approval(key: bytes, run_id: UUID, step_id: str, recipient: int) -> str:
    return _text(run_id.bytes + _mac(key, run_id.bytes + bytes([recipient]) + step_id.encode()))


def _mac(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, said, "sha256")[:_MAC]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(token: str) -> bytes:
    """What a token stands for; nothing where it is spelt in another way than ours."""
    if len(token) > MAX_TOKEN or not token.isascii():
        return b""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if _text(raw) == token else b""


NO_LINKS = Links("", "")
"""For whoever has no secret: nothing it makes is a link."""
