"""Hashes: every byte that the appender decides counts, and no two events share a preimage."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql.log.hashing import GENESIS, commit_hash, event_hash

EVENT: dict[str, Any] = {
    "kind": 1,
    "stream_id": UUID(int=1),
    "tenant_id": UUID(int=2),
    "ordering_key": UUID(int=3),
    "event_id": UUID(int=4),
    "type_": "zap.run.completed",
    "schema_version": 1,
    "meta": b"{}",
    "data": b'{"a":1}',
}


def test_the_hash_of_an_event_is_fixed_for_ever() -> None:
    """Anybody who kept a hash must be able to check it with a later release."""
    assert event_hash(**EVENT).hex() == "a355693029961a831202615b434860a289373241eedf4cf884b6a284cb4afa03"
    at = datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
    assert (
        commit_hash(GENESIS, 7, at, b"\x00" * 36).hex()
        == "a8843f0e05d44c532ea4f0d9fe40dd7b8db3ee440e6d2a32ec4e51455292074d"
    )
    assert hashlib.sha256(b"triggerhub").digest() == GENESIS


@pytest.mark.parametrize("field", EVENT)
def test_every_field_counts(field: str) -> None:
    other = {int: 2, UUID: UUID(int=9), str: "zap.run.failed", bytes: b"{ }"}[type(EVENT[field])]
    assert event_hash(**{**EVENT, field: other}) != event_hash(**EVENT)


@given(st.binary(min_size=1, max_size=6), st.integers(0, 5))
def test_bytes_can_not_move_from_one_field_to_the_next(raw: bytes, cut: int) -> None:
    moved = event_hash(**{**EVENT, "meta": raw[:cut], "data": raw[cut:]})
    whole = event_hash(**{**EVENT, "meta": raw, "data": b""})
    assert (moved == whole) == (cut >= len(raw))


@given(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_microsecond_counts(at: datetime) -> None:
    assert commit_hash(GENESIS, 0, at, b"") != commit_hash(GENESIS, 0, at + timedelta(microseconds=1), b"")


def test_the_predecessor_and_its_position_count() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    hashes = {commit_hash(GENESIS, 0, at, b"x"), commit_hash(b"y" * 32, 0, at, b"x"), commit_hash(GENESIS, 1, at, b"x")}
    assert len(hashes) == 3
