"""Whatever strangers write is read or refused, and soon: each parser with texts that are nearly right, or long."""

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import TARGETS, TOKENS

BUDGET_S = 0.5
"""CPU time for one input of at most about 20 kB. What is quadratic takes seconds for the longest of them."""
LONG = 20_000

nearly_right = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=4), max_size=12).map(b"".join)
endless = st.builds(
    lambda head, token, tail: head + token * (LONG // len(token)) + tail,
    st.sampled_from(TOKENS),
    st.sampled_from(TOKENS) | st.lists(st.sampled_from(TOKENS), min_size=2, max_size=3).map(b"".join),
    st.sampled_from(TOKENS),
)


def tried(name: str, raw: bytes) -> None:
    gc.disable()  # as timeit does: to look through what all tests have loaded takes half a second by itself
    try:
        began = time.thread_time()
        TARGETS[name](raw)
        took = time.thread_time() - began
    finally:
        gc.enable()
    assert took < BUDGET_S, f"{took:.2f} s for {len(raw)} bytes"


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40)
@given(raw=nearly_right)
def test_what_is_nearly_right_is_read_or_refused(name: str, raw: bytes) -> None:
    tried(name, raw)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=8)
@given(raw=endless)
def test_what_is_long_takes_no_longer_than_it_is(name: str, raw: bytes) -> None:
    tried(name, raw)
