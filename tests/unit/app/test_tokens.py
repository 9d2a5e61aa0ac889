"""Tokens as values: what can be read back, and that nothing else can."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.tokens import (
    ACCESS_LIFETIME,
    LEEWAY_S,
    BadToken,
    RefreshToken,
    Tokens,
    fingerprint,
    is_api_key,
    key_prefix,
    new_api_key,
)
from sql.process.clock import new_id, now

SECRET = "0123456789abcdef0123456789abcdef"
TOKENS = Tokens(SECRET)
USER, SESSION = UUID(int=1), UUID(int=2)


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens("x" * 31)


def test_tokens_of_the_old_secret_are_good_while_it_is_being_replaced() -> None:
    new = "f" * 32
    before, during, after = TOKENS, Tokens(f"{new},{SECRET}"), Tokens(new)
    refresh = RefreshToken(SESSION, 3)
    for maker, readers in ((before, (before, during)), (during, (during, after))):
        for reader in readers:
            assert reader.read_access(maker.access(USER, SESSION, now(), new_id())).user_id == USER
            assert reader.read_refresh(maker.refresh(refresh)) == refresh
    with pytest.raises(BadToken):
        after.read_access(before.access(USER, SESSION, now(), new_id()))
    with pytest.raises(BadToken):
        after.read_refresh(before.refresh(refresh))


def test_an_access_token_proves_user_and_session() -> None:
    claims = TOKENS.read_access(TOKENS.access(USER, SESSION, now(), new_id()))
    assert (claims.user_id, claims.session_id) == (USER, SESSION)


@pytest.mark.parametrize(("late_s", "good"), [(-LEEWAY_S / 2, True), (LEEWAY_S / 2, True), (LEEWAY_S + 5, False)])
def test_an_access_token_ends_after_its_lifetime_and_a_little_leeway(late_s: float, good: bool) -> None:
    token = TOKENS.access(USER, SESSION, now() - ACCESS_LIFETIME - timedelta(seconds=late_s), new_id())
    if good:
        TOKENS.read_access(token)
    else:
        with pytest.raises(BadToken):
            TOKENS.read_access(token)


def test_a_token_of_another_secret_or_kind_is_refused() -> None:
    other = Tokens(SECRET[::-1])
    for bad in (other.access(USER, SESSION, now(), new_id()), TOKENS.refresh(RefreshToken(SESSION, 0)), new_api_key()):
        with pytest.raises(BadToken):
            TOKENS.read_access(bad)
    for bad in (other.refresh(RefreshToken(SESSION, 0)), TOKENS.access(USER, SESSION, now(), new_id())):
        with pytest.raises(BadToken):
            TOKENS.read_refresh(bad)


@given(st.uuids(), st.integers(0, 2**32 - 1))
def test_a_refresh_token_can_be_read_back(session: UUID, number: int) -> None:
    token = RefreshToken(session, number)
    assert TOKENS.read_refresh(TOKENS.refresh(token)) == token


def test_the_next_refresh_token_is_always_the_same_and_another_one() -> None:
    first = RefreshToken(SESSION, 0)
    assert TOKENS.refresh(first.next()) == TOKENS.refresh(first.next()) != TOKENS.refresh(first)


@given(st.text(max_size=120))
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (TOKENS.read_access, TOKENS.read_refresh, lambda t: TOKENS.read_refresh("thr_" + t)):
        with pytest.raises(BadToken):
            read(text)


def test_api_keys_are_long_and_random() -> None:
    keys = {new_api_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(is_api_key(key) and len(key) == 47 for key in keys)
    key = keys.pop()
    assert key.startswith(key_prefix(key))
    assert len(key_prefix(key)) == 12
    assert len(fingerprint(key)) == 32
