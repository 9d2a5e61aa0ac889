"""The life of a zap: drafts, numbered versions, and whether its hook takes requests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.log.errors import DomainError, NotFound, WrongStatus
from domain.zap import events as zap
from domain.zap.definition import Definition
from domain.zap.zap import (
    INITIAL,
    ChangeDraft,
    CreateZap,
    DeleteZap,
    Draft,
    EnableZap,
    FlagZap,
    PauseZap,
    PublishedVersion,
    PublishZap,
    RollBackZap,
    UnflagZap,
    Zap,
    ZapCommand,
    ZapState,
    decide,
    evolve,
)
from tests.support.builders import a_definition
from tests.support.given import THEN, given_zap

ONE, TWO = a_definition("one"), a_definition("one", "two")
CREATED = zap.ZapCreated(name="Orders", definition=ONE)
PUBLISHED = zap.ZapPublished(number=1, name="Orders", definition=ONE)
CHANGED = zap.ZapDraftChanged(name="Orders", definition=TWO)
PUBLISHED_TWICE = (
    CREATED,
    PUBLISHED,
    zap.ZapEnabled(),
    CHANGED,
    zap.ZapPublished(number=2, name="Orders", definition=TWO),
)
EXISTING: list[ZapCommand] = [ChangeDraft("x", ONE), PublishZap(), RollBackZap(1), EnableZap(), PauseZap()]


def test_a_new_zap_is_a_draft() -> None:
    given_zap().when(CreateZap("Orders", ONE)).then(CREATED)
    assert given_zap(CREATED).state == Zap(name="Orders", draft=ONE, trusted_since=THEN)


def test_a_stream_holds_one_zap() -> None:
    given_zap(CREATED).when(CreateZap("Other", TWO)).then_raises(WrongStatus)


@pytest.mark.parametrize("command", [*EXISTING, DeleteZap()], ids=lambda command: type(command).__name__)
def test_what_never_was_can_not_be_changed(command: ZapCommand) -> None:
    given_zap().when(command).then_raises(NotFound)


@pytest.mark.parametrize("command", EXISTING, ids=lambda command: type(command).__name__)
def test_a_deleted_zap_can_not_be_changed(command: ZapCommand) -> None:
    given_zap(CREATED, PUBLISHED, zap.ZapDeleted()).when(command).then_raises(NotFound)


def test_deleting_twice_is_deleting_once() -> None:
    given_zap(CREATED).when(DeleteZap()).then(zap.ZapDeleted())
    given_zap(CREATED, zap.ZapDeleted()).when(DeleteZap()).then_nothing()


def test_the_draft_changes_only_when_it_differs() -> None:
    given_zap(CREATED).when(ChangeDraft("Orders", TWO)).then(CHANGED)
    given_zap(CREATED).when(ChangeDraft("Orders", ONE)).then_nothing()
    given_zap(CREATED).when(ChangeDraft("Bills", ONE)).then(zap.ZapDraftChanged(name="Bills", definition=ONE))


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), ([1], [True])])
def test_values_that_only_python_takes_for_equal_are_a_change(old: object, new: object) -> None:
    before, after = a_definition("one", config={"n": old}), a_definition("one", config={"n": new})  # type: ignore[dict-item]
    given_zap(zap.ZapCreated(name="Orders", definition=before)).when(ChangeDraft("Orders", after)).then(
        zap.ZapDraftChanged(name="Orders", definition=after)
    )


def test_the_order_of_keys_is_no_change() -> None:
    before, after = a_definition("one", config={"a": 1, "b": 2}), a_definition("one", config={"b": 2, "a": 1})
    given_zap(zap.ZapCreated(name="Orders", definition=before)).when(ChangeDraft("Orders", after)).then_nothing()


def test_the_first_publish_enables() -> None:
    given_zap(CREATED).when(PublishZap()).then(PUBLISHED, zap.ZapEnabled())


def test_publishing_an_unchanged_draft_makes_no_version() -> None:
    given_zap(CREATED, PUBLISHED, zap.ZapEnabled()).when(PublishZap()).then_nothing()


def test_publishing_a_paused_zap_leaves_it_paused() -> None:
    given_zap(CREATED, PUBLISHED, zap.ZapEnabled(), zap.ZapPaused(), CHANGED).when(PublishZap()).then(
        zap.ZapPublished(number=2, name="Orders", definition=TWO)
    )


def test_versions_are_numbered_on_after_a_roll_back() -> None:
    given_zap(*PUBLISHED_TWICE, zap.ZapRolledBack(number=1)).when(PublishZap()).then(
        zap.ZapPublished(number=3, name="Orders", definition=TWO)
    )


BACK_TO_ONE = (zap.ZapRolledBack(number=1), zap.ZapDraftChanged(name="Orders", definition=ONE))


def test_rolling_back_uses_an_earlier_version_also_as_the_draft() -> None:
    given_zap(*PUBLISHED_TWICE).when(RollBackZap(1)).then(*BACK_TO_ONE)
    given_zap(*PUBLISHED_TWICE).when(RollBackZap(2)).then_nothing()
    given_zap(*PUBLISHED_TWICE).when(RollBackZap(3)).then_raises(NotFound, "version 3")
    given_zap(*PUBLISHED_TWICE, *BACK_TO_ONE).when(PublishZap()).then_nothing()
    given_zap(*PUBLISHED_TWICE, *BACK_TO_ONE).when(RollBackZap(1)).then_nothing()


def test_a_draft_that_was_never_published_is_set_aside_by_a_roll_back() -> None:
    edited = zap.ZapDraftChanged(name="Half done", definition=TWO)
    for number in (1, 2):
        back = given_zap(*PUBLISHED_TWICE, edited).when(RollBackZap(number))
        back.then(
            zap.ZapRolledBack(number=number, sets_aside=True),
            zap.ZapDraftChanged(name="Orders", definition=ONE if number == 1 else TWO),
        )
    state = given_zap(*PUBLISHED_TWICE, edited, zap.ZapRolledBack(number=1, sets_aside=True), BACK_TO_ONE[1]).state
    assert isinstance(state, Zap)
    assert (state.name, state.draft, state.set_aside, state.draft_differs) == (
        "Orders", ONE, Draft("Half done", TWO), False,
    )  # fmt: skip


def test_rolling_back_takes_the_flags_away_and_counts_as_trust() -> None:
    """Who has just repaired a zap in this way would find it flagged, and paused, at once."""
    flagged = zap.ZapFlagged(flag=zap.Flag(kind="failing", detail="no run completes", since=THEN))
    given_zap(*PUBLISHED_TWICE, flagged).when(RollBackZap(1)).then(*BACK_TO_ONE, zap.ZapUnflagged(kind="failing"))
    later = THEN + timedelta(days=1)
    before = given_zap(*PUBLISHED_TWICE).state
    after = evolve(before, zap.ZapRolledBack(number=1), later)
    assert isinstance(after, Zap)
    assert after.trusted_since == later


def test_a_roll_back_of_the_first_release_left_the_draft_alone() -> None:
    state = given_zap(*PUBLISHED_TWICE, zap.ZapRolledBack(number=1)).state
    assert isinstance(state, Zap)
    assert (state.live, state.draft) == (1, TWO)
    assert state.version(1) == PublishedVersion(1, "Orders", ONE, THEN)


def test_enabling_and_pausing_need_a_published_version() -> None:
    given_zap(CREATED).when(EnableZap()).then_raises(WrongStatus, "publish")
    given_zap(CREATED).when(PauseZap()).then_raises(WrongStatus, "publish")


def test_enabling_and_pausing_what_already_is_so_does_nothing() -> None:
    live = (CREATED, PUBLISHED, zap.ZapEnabled())
    given_zap(*live).when(EnableZap()).then_nothing()
    given_zap(*live).when(PauseZap()).then(zap.ZapPaused())
    given_zap(*live, zap.ZapPaused()).when(PauseZap()).then_nothing()
    given_zap(*live, zap.ZapPaused()).when(EnableZap()).then(zap.ZapEnabled())


names = st.sampled_from(["Orders", "Bills"])
definitions: st.SearchStrategy[Definition] = st.sampled_from([ONE, TWO, a_definition()])
commands: st.SearchStrategy[ZapCommand] = st.one_of(
    st.builds(CreateZap, names, definitions),
    st.builds(ChangeDraft, names, definitions),
    st.builds(RollBackZap, st.integers(0, 4)),
    st.sampled_from([PublishZap(), EnableZap(), PauseZap(), DeleteZap()]),
)
events: st.SearchStrategy[zap.ZapEvent] = st.one_of(
    st.builds(zap.ZapCreated, name=names, definition=definitions),
    st.builds(zap.ZapDraftChanged, name=names, definition=definitions),
    st.builds(zap.ZapPublished, number=st.integers(-1, 5), name=names, definition=definitions),
    st.builds(zap.ZapRolledBack, number=st.integers(-1, 5)),
    st.sampled_from([zap.ZapEnabled(), zap.ZapPaused(), zap.ZapDeleted()]),
)


def decided(command: ZapCommand, state: ZapState) -> list[zap.ZapEvent]:
    try:
        return decide(command, state)
    except DomainError:
        return []


def folded(state: ZapState, happened: Sequence[zap.ZapEvent]) -> ZapState:
    for event in happened:
        state = evolve(state, event, THEN)
    return state


@given(st.lists(commands, max_size=12), commands)
def test_deciding_twice_yields_nothing_new(past: list[ZapCommand], command: ZapCommand) -> None:
    state: ZapState = INITIAL
    for earlier in past:
        state = folded(state, decided(earlier, state))
    state = folded(state, decided(command, state))
    assert decided(command, state) == []


@given(st.lists(commands, max_size=20))
def test_published_versions_never_change_and_are_numbered_without_holes(past: list[ZapCommand]) -> None:
    state: ZapState = INITIAL
    versions: tuple[PublishedVersion, ...] = ()
    for command in past:
        state = folded(state, decided(command, state))
        if isinstance(state, Zap):
            assert state.versions[: len(versions)] == versions
            versions = state.versions
            assert [version.number for version in versions] == list(range(1, len(versions) + 1))
            assert state.live in range(len(versions) + 1)


@given(st.lists(events, max_size=12))
def test_evolve_takes_any_events_in_any_order(happened: list[zap.ZapEvent]) -> None:
    folded(INITIAL, happened)


SINCE = datetime(2026, 1, 1, tzinfo=UTC)
FAILING = zap.Flag(kind="failing", detail="all runs have failed", since=SINCE)
GONE = zap.Flag(kind="target_gone", step_id="one", detail="410", since=SINCE)
LIVE = (CREATED, PUBLISHED, zap.ZapEnabled())


def test_a_zap_is_flagged_once_for_each_reason() -> None:
    given_zap(*LIVE).when(FlagZap(FAILING)).then(zap.ZapFlagged(flag=FAILING))
    flagged = given_zap(*LIVE, zap.ZapFlagged(flag=FAILING))
    flagged.when(FlagZap(FAILING, pause=True)).then_nothing()
    flagged.when(FlagZap(GONE)).then(zap.ZapFlagged(flag=GONE))
    other = msgspec.structs.replace(GONE, step_id="two")
    given_zap(*LIVE, zap.ZapFlagged(flag=GONE)).when(FlagZap(other)).then(zap.ZapFlagged(flag=other))


def test_a_flag_can_pause_an_enabled_zap() -> None:
    paused = zap.ZapPaused(reason=FAILING.detail)
    given_zap(*LIVE).when(FlagZap(FAILING, pause=True)).then(zap.ZapFlagged(flag=FAILING), paused)
    given_zap(*LIVE, zap.ZapPaused()).when(FlagZap(FAILING, pause=True)).then(zap.ZapFlagged(flag=FAILING))


def test_publishing_and_enabling_take_flags_away() -> None:
    flagged = (*LIVE, zap.ZapFlagged(flag=FAILING), zap.ZapFlagged(flag=GONE))
    gone = [zap.ZapUnflagged(kind="failing"), zap.ZapUnflagged(kind="target_gone", step_id="one")]
    given_zap(*flagged).when(EnableZap()).then(*gone)
    given_zap(*flagged, zap.ZapPaused()).when(EnableZap()).then(zap.ZapEnabled(), *gone)
    given_zap(*flagged).when(PublishZap()).then(*gone)
    given_zap(*flagged, CHANGED).when(PublishZap()).then(
        zap.ZapPublished(number=2, name="Orders", definition=TWO), *gone
    )
    given_zap(*flagged, *gone).when(EnableZap()).then_nothing()


def test_a_completed_run_takes_only_its_flag_away() -> None:
    flagged = given_zap(*LIVE, zap.ZapFlagged(flag=FAILING), zap.ZapFlagged(flag=GONE))
    flagged.when(UnflagZap("failing")).then(zap.ZapUnflagged(kind="failing"))
    given_zap(*LIVE).when(UnflagZap("failing")).then_nothing()
    state = given_zap(
        *LIVE, zap.ZapFlagged(flag=FAILING), zap.ZapFlagged(flag=GONE), zap.ZapUnflagged(kind="failing")
    ).state
    assert isinstance(state, Zap)
    assert state.flags == (GONE,)
