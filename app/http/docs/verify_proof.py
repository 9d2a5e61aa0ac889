"""Checks a proof of TriggerHub without TriggerHub: needs Python 3.11 or newer, and the package `cryptography`.

    python verify_proof.py FILE [--key KEY]

FILE is the answer of GET /api/v1/audit/proof (of one event) or of /api/v1/audit/consistency (of two checkpoints).
KEY is the verifier's key of the log, as you learned it before, elsewhere than from FILE: without it the key in the
file is believed, which proves only that file and checkpoint belong together.

What is checked: the event's bytes have the hash that is the leaf's; the audit path leads from the leaf to the root of
the checkpoint (RFC 9162, 2.1.3); or the second tree contains the first one (2.1.4); the checkpoint is signed by the
key (C2SP signed-note, Ed25519). Exit code 0: it is proven. 1: it is not.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EVENT, CONSISTENCY = "triggerhub-event-proof-1", "triggerhub-consistency-proof-1"
FIELDS: dict[str, dict[str, type]] = {
    EVENT: {"position": int, "version": int, "recorded_us": int, "event_hash": str, "inclusion": list,
            "checkpoint": str, "key": str},
    CONSISTENCY: {"from": str, "to": str, "consistency": list, "key": str},
}  # fmt: skip


class NotProven(Exception):
    """What is wrong with the proof."""


def verify(text: str, key: str | None = None) -> str:
    """What a proof proves, in words. Raises NotProven."""
    proof = read(text)
    if key is not None and key.strip() != proof["key"]:
        raise NotProven("the key in the file is not the key of the log")
    if proof["format"] == EVENT:
        return verify_event(proof)
    (old, old_root), (new, new_root) = (checkpoint(proof[name], proof["key"]) for name in ("from", "to"))
    check_consistency(old, old_root, new, new_root, [decoded(one) for one in proof["consistency"]])
    return f"The log of {new} events begins with the log of {old} events."


def verify_event(proof: dict[str, Any]) -> str:
    """What the proof of an event proves. Raises NotProven."""
    event_hash = decoded(proof["event_hash"])
    content = "its content was forgotten, its hash stays"
    if proof["event"] is not None:
        event = decoded(proof["event"])
        if hashlib.sha256(event).digest() != event_hash:
            raise NotProven("the event's bytes do not have the event's hash")
        content = described(event)
    size, root = checkpoint(proof["checkpoint"], proof["key"])
    try:
        leaf = struct.pack(">qiq32s", proof["position"], proof["version"], proof["recorded_us"], event_hash)
    except struct.error:
        raise NotProven("a number is out of range") from None
    path = [decoded(one) for one in proof["inclusion"]]
    check_inclusion(hashlib.sha256(b"\x00" + leaf).digest(), proof["position"] - 1, size, path, root)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=proof["recorded_us"])
    return f"Position {proof['position']} of the log of {size} events, recorded at {at.isoformat()}:\n{content}"


def described(event: bytes) -> str:
    """An event's canonical bytes, for people. Raises NotProven."""
    try:
        _kind, schema, type_size, meta_size, data_size = struct.unpack_from(">hhIII", event)
        stream, tenant, _key, event_id = (uuid.UUID(bytes=event[at : at + 16]) for at in range(16, 80, 16))
        kind = event[80 : 80 + type_size].decode()
        meta = event[80 + type_size : 80 + type_size + meta_size].decode()
        data = event[80 + type_size + meta_size :].decode()
    except (struct.error, ValueError):
        raise NotProven("the event's bytes cannot be read") from None
    if len(event) != 80 + type_size + meta_size + data_size:
        raise NotProven("the event's bytes have another length than they say")
    return f"{kind} v{schema}, id {event_id}, of stream {stream} of tenant {tenant}\nmeta {meta}\ndata {data}"


def read(text: str) -> dict[str, Any]:
    """The fields of a proof, with their types. Raises NotProven."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise NotProven("a field is there twice")
        return dict(pairs)

    try:
        proof: Any = json.loads(text, object_pairs_hook=once)
    except ValueError:
        raise NotProven("the file is not JSON") from None
    fields = FIELDS.get(proof.get("format", "")) if isinstance(proof, dict) else None
    if fields is None:
        raise NotProven("the file is no proof that this program knows")
    wanted = {"format", *fields} | ({"event"} if proof["format"] == EVENT else set())
    if set(proof) != wanted or any(type(proof[name]) is not kind for name, kind in fields.items()):
        raise NotProven("a field is missing, unknown, or of the wrong type")
    if not isinstance(proof.get("event"), (str, type(None))):
        raise NotProven("the event is no text")
    return dict(proof)


def decoded(text: Any) -> bytes:
    """Base64, of which there is one text for each value. Raises NotProven."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise NotProven("a value is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NotProven("a value is not canonical base64")
    return raw


def checkpoint(note: str, key: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the key has signed. Raises NotProven."""
    try:
        name, key_hash, encoded = key.split("+", 2)
        public = decoded(encoded)
        text, signatures = note.split("\n\n")
        origin, size, root, end = (text + "\n").split("\n")
        lines = signatures.split("\n")
    except ValueError:
        raise NotProven("the checkpoint or the key is damaged") from None
    expected = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    if key_hash != expected.hex() or public[:1] != b"\x01" or len(public) != 33:
        raise NotProven("the key is damaged, or of another kind than Ed25519")
    if lines[1:] != [""] or not lines[0].startswith(f"— {name} ") or origin != name or end:
        raise NotProven("the checkpoint is not of this log")
    signature = decoded(lines[0][len(f"— {name} ") :])
    try:
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{text}\n".encode())
    except InvalidSignature:
        raise NotProven("the signature does not fit") from None
    if signature[:4] != expected or not size.isdigit() or str(int(size)) != size:
        raise NotProven("the checkpoint is damaged")
    return int(size), decoded(root)


def node(left: bytes, right: bytes) -> bytes:
    """RFC 9162, 2.1.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    """RFC 9162, 2.1.3.2. Raises NotProven."""
    if not 0 <= index < size:
        raise NotProven("the event is behind the checkpoint")
    fn, sn, found = index, size - 1, leaf
    for one in path:
        if sn == 0:
            raise NotProven("the audit path is too long")
        if fn & 1 or fn == sn:
            found = node(one, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node(found, one)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or found != root:
        raise NotProven("the audit path does not lead to the root of the checkpoint")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: list[bytes]) -> None:
    """RFC 9162, 2.1.4.2. Raises NotProven."""
    if old == new and old_root == new_root and not path:
        return
    if not 0 < old < new or not path:
        raise NotProven("the two checkpoints contradict each other, or come in the wrong order")
    if old & (old - 1) == 0:
        path = [old_root, *path]
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for one in path[1:]:
        if sn == 0:
            raise NotProven("the proof is too long")
        if fn & 1 or fn == sn:
            first, second = node(one, first), node(one, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node(second, one)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or first != old_root or second != new_root:
        raise NotProven("the log of the second checkpoint does not contain that of the first")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Checks a proof of TriggerHub, without TriggerHub.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", help="the verifier's key of the log, as you learned it elsewhere")
    given = parser.parse_args()
    try:
        sys.stdout.write(verify(given.file.read_bytes().decode(), given.key) + "\n")
    except (NotProven, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"NOT PROVEN: {error}\n")
        return 1
    if given.key is None:
        sys.stderr.write("(signed by the key in the file: give --key to know that it is the log's)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
