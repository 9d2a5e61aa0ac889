"""Secrets at rest: only the right key and context open a box, and keys can be replaced."""

import base64
import os
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sql.secrets.secret_box import SecretBox, Unreadable

OLD, NEW = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))
ZAP = uuid4().bytes


def test_a_sealed_secret_opens_again_and_never_looks_the_same() -> None:
    box = SecretBox(OLD)
    first, second = box.seal("whsec_é", ZAP), box.seal("whsec_é", ZAP)
    assert first != second
    assert box.open(first, ZAP) == box.open(second, ZAP) == "whsec_é"
    assert b"whsec" not in first


def test_a_box_opens_for_what_it_was_sealed_for_only() -> None:
    box = SecretBox(OLD)
    with pytest.raises(Unreadable):
        box.open(box.seal("secret", ZAP), uuid4().bytes)


@pytest.mark.parametrize("place", [0, 1, 4, 5, 16, 17, -1])
def test_a_changed_byte_makes_a_box_unreadable(place: int) -> None:
    box = SecretBox(OLD)
    sealed = bytearray(box.seal("secret", ZAP))
    sealed[place] ^= 1
    with pytest.raises(Unreadable):
        box.open(bytes(sealed), ZAP)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" * 17, bytes(range(40))], ids=len)
def test_what_is_no_box_is_unreadable(sealed: bytes) -> None:
    with pytest.raises(Unreadable):
        SecretBox(OLD).open(sealed, ZAP)


def test_a_new_key_in_front_seals_while_the_old_one_still_opens() -> None:
    before, during, after = SecretBox(OLD), SecretBox(f"{NEW},{OLD}"), SecretBox(NEW)
    old_box = before.seal("secret", ZAP)
    assert during.open(old_box, ZAP) == "secret"
    assert not during.is_current(old_box)
    new_box = during.seal("secret", ZAP)
    assert during.is_current(new_box)
    assert after.open(new_box, ZAP) == "secret"
    with pytest.raises(Unreadable):
        after.open(old_box, ZAP)


def test_boxes_of_the_first_release_open_whatever_their_first_byte_is() -> None:
    box = SecretBox(f"{NEW},{OLD}")
    cipher = AESGCM(base64.urlsafe_b64decode(OLD))
    nonces = [bytes([first]) + os.urandom(11) for first in range(256)]
    nonces.append(box.seal("x", ZAP)[:12])  # as unlucky as can be: it looks like a box of today
    for nonce in nonces:
        sealed = nonce + cipher.encrypt(nonce, b"secret", ZAP)
        assert box.open(sealed, ZAP) == "secret"
