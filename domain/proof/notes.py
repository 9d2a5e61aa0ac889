"""Signed checkpoints of the tree: C2SP tlog-checkpoint in a C2SP signed-note, by Ed25519.

A checkpoint says: the log `origin` had `size` events, whose tree has this root. Whoever keeps one can tell later
whether the log is still the same up to there.
"""

import base64
import binascii
from hashlib import sha256
from typing import Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_DASH = "— "


class BadNote(ValueError):
    """A text that is no checkpoint, or is not signed by the key."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The state of a log: how many events, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\n"


class Signer:
    """Signs in the name of a log. `seed`: the 32 bytes of an Ed25519 key."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        """The signed note of a checkpoint."""
        text = Checkpoint(self._name, size, root).text
        signature = self.verifier.key_hash + self._key.sign(text.encode())
        return f"{text}\n{_DASH}{self._name} {_encoded(signature)}\n"


def signer(key: str, public_url: str) -> Signer:
    """The signer of the log of an installation: named after its URL, with a key in base64."""
    return Signer(f"{public_url.partition('://')[2].rstrip('/')}/log", seed_of(key))


def seed_of(key: str) -> bytes:
    """The seed in a setting."""
    return base64.urlsafe_b64decode(key)


class Verifier(msgspec.Struct, frozen=True):
    """The public side of a signer."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, key: str) -> Self:
        """A verifier's key as `key` writes it. Raises BadNote."""
        try:
            name, key_hash, rest = key.strip().split("+", 2)
            raw = _decoded(rest)
        except ValueError:
            raise BadNote("this is no verifier's key: they look like name+hash+key") from None
        found = cls(name, raw[1:])
        if raw[:1] != _ED25519 or len(raw) != 33 or found.key_hash.hex() != key_hash:
            raise BadNote("this verifier's key is damaged, or of another kind than Ed25519")
        return found

    @property
    def key_hash(self) -> bytes:
        """What names the key in signatures."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @property
    def key(self) -> str:
        """The key as tools for signed notes take it."""
        return f"{self.name}+{self.key_hash.hex()}+{_encoded(_ED25519 + self.public)}"

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note that this key has signed. Raises BadNote."""
        text, _, signatures = note.rpartition("\n\n")
        for line in signatures.splitlines():
            name, _, signature = line.removeprefix(_DASH).partition(" ")
            if line.startswith(_DASH) and name == self.name and self._signed(signature, f"{text}\n"):
                return checkpoint_of(note)
        raise BadNote("the checkpoint is not signed by this log's key")

    def _signed(self, signature: str, text: str) -> bool:
        try:
            raw = _decoded(signature)
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw[4:], text.encode())
        except (ValueError, InvalidSignature):
            return False
        return raw[:4] == self.key_hash


def checkpoint_of(note: str) -> Checkpoint:
    """What a note says, whoever signed it. Raises BadNote."""
    lines = note.split("\n\n", maxsplit=1)[0].split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), _decoded(lines[2])
    except (IndexError, ValueError):
        raise BadNote("this is no checkpoint: its lines are origin, size and root, then signatures") from None
    if str(size) != lines[1] or len(root) != 32:
        raise BadNote("the size or the root of the checkpoint is damaged")
    return Checkpoint(origin, size, root)


def notes_in(text: str) -> list[str]:
    """The notes that were written to a file one after the other."""
    found, lines = [], list[str]()
    for line in text.splitlines():
        if lines and lines[-1].startswith(_DASH) and not line.startswith(_DASH):
            found.append("".join(f"{part}\n" for part in lines))
            lines = []
        if line or lines:
            lines.append(line)
    return [*found, "".join(f"{part}\n" for part in lines)] if lines else found


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str) -> bytes:
    """Strictly: there is one text for each value. Raises ValueError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if _encoded(raw) != text:
        raise ValueError("not canonical")
    return raw
