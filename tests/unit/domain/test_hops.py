"""The header that says how many runs have started one another."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hook.hops import NO_HOPS, Hop, Hops

HOPS = Hops("secret-1,secret-0")


@given(st.builds(Hop, st.integers(0, 9_999), st.uuids(), st.lists(st.uuids(), max_size=10).map(tuple)))
def test_what_is_written_is_read(hop: Hop) -> None:
    assert HOPS.read(HOPS.write(hop)) == hop
    assert Hops("secret-1").read(HOPS.write(hop)) == hop
    assert HOPS.read(Hops("secret-0").write(hop)) == hop
    assert Hops("another").read(HOPS.write(hop)) is None


@given(st.text(max_size=90))
def test_anything_else_counts_as_absent(value: str) -> None:
    assert HOPS.read(value) is None


@pytest.mark.parametrize("depth", ["0", "1", "10"])
def test_a_changed_header_counts_as_absent(depth: str) -> None:
    value = HOPS.write(Hop(11, UUID(int=7)))
    assert HOPS.read(depth + value[2:]) is None
    assert HOPS.read(value + " ") is None
    assert HOPS.read(value.upper()) is None


def test_without_a_secret_nothing_is_written_or_believed() -> None:
    assert NO_HOPS.write(Hop(1, UUID(int=7))) == ""
    assert NO_HOPS.read(HOPS.write(Hop(1, UUID(int=7)))) is None
