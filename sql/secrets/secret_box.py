"""Secrets at rest: sealed with AES-256-GCM (NIST SP 800-38D), under a ring of keys so that keys can be replaced.

A box is a version byte, four bytes that name the key, a random nonce, and the ciphertext. What the secret belongs to is
authenticated along, so that a box that was copied elsewhere does not open. Boxes of the first release have neither
version nor name; they still open. Setting a secret again seals it under the newest key.
"""

import base64
import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NAME = 4
_NONCE = 12


class Unreadable(ValueError):
    """The box was sealed under a key that is not on the ring, for something else, or was tampered with."""


class SecretBox:
    """Seals with the first key of TRIGGERHUB_ENCRYPTION_KEY, opens with any: 32 bytes each, in URL-safe base64."""

    def __init__(self, keys: str) -> None:
        ring = [base64.urlsafe_b64decode(key) for key in keys.split(",")]
        self._ciphers = {sha256(b"triggerhub key name\0" + key).digest()[:_NAME]: AESGCM(key) for key in ring}
        self._newest = next(iter(self._ciphers))

    def seal(self, secret: str, context: bytes) -> bytes:
        """The secret as a table keeps it. `context` says what it belongs to, for instance the id of a zap."""
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self._newest].encrypt(nonce, secret.encode(), context)
        return _VERSION + self._newest + nonce + sealed

    def open(self, box: bytes, context: bytes) -> str:
        """The secret. Raises Unreadable."""
        name = box[len(_VERSION) :][:_NAME]
        if box.startswith(_VERSION) and name in self._ciphers:
            secret = _opened(self._ciphers[name], box[len(_VERSION) + _NAME :], context)
            if secret is not None:
                return secret
        for cipher in self._ciphers.values():
            secret = _opened(cipher, box, context)
            if secret is not None:
                return secret
        raise Unreadable("no key on the ring opens this box")

    def is_current(self, box: bytes) -> bool:
        """Whether the box is sealed in today's form under the newest key."""
        return box.startswith(_VERSION + self._newest)


def _opened(cipher: AESGCM, sealed: bytes, context: bytes) -> str | None:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context).decode()
    except (InvalidTag, ValueError):
        return None
