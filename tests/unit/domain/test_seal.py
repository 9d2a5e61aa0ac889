"""A message counts with the seal of this installation's relay, for its partition, and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.seal import HEADER, is_sealed, seal

KEY, OTHER = b"k" * 32, b"o" * 32
VALUE = b'{"type":"zap.run.requested.v1"}'


@given(st.binary(max_size=64), st.integers(0, 10_000), st.binary(max_size=1_000))
def test_a_sealed_message_counts(key: bytes, partition: int, value: bytes) -> None:
    assert is_sealed([key], partition, value, [(HEADER, seal(key, partition, value))])


@given(st.integers(0, len(VALUE) - 1), st.integers(1, 255))
def test_a_changed_byte_breaks_the_seal(place: int, change: int) -> None:
    changed = bytearray(VALUE)
    changed[place] ^= change
    assert not is_sealed([KEY], 1, bytes(changed), [(HEADER, seal(KEY, 1, VALUE))])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("other", seal(KEY, 1, VALUE))],
        [(HEADER, b"")],
        [(HEADER, seal(KEY, 1, VALUE)[:-1])],
        [(HEADER, seal(KEY, 1, VALUE) + b"x")],
        [(HEADER, seal(OTHER, 1, VALUE))],
        [(HEADER, seal(b"", 1, VALUE))],
        [(HEADER, seal(KEY, 2, VALUE))],
        [(HEADER, seal(KEY, 1, VALUE)), (HEADER, seal(KEY, 1, VALUE))],
    ],
)
def test_anything_else_does_not_count(headers: list[tuple[str, bytes]]) -> None:
    assert not is_sealed([KEY], 1, VALUE, headers)


def test_while_a_key_is_replaced_both_count() -> None:
    for key in (KEY, OTHER):
        assert is_sealed([OTHER, KEY], 0, VALUE, [(HEADER, seal(key, 0, VALUE))])
