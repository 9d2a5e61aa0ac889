"""The circuit of a target: when calls pass, and when those that may not come back."""

import heapq
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from consumers.outbound.circuit import (
    FAILURES,
    FIRST_CALLS,
    MAX_OPEN_S,
    MAX_RETRY_AFTER_S,
    OPEN_S,
    RETURNS_PER_S,
    Call,
    Circuit,
    Verdict,
)
from consumers.outbound.turns import JITTER, MAX_WAIT_S


def middle() -> float:
    """No spread at all."""
    return 0.5


def entered(circuit: Circuit, now: float) -> Call:
    call = circuit.enter(now)
    assert call is not None
    return call


def broken(now: float = 0.0) -> Circuit:
    """A circuit that has just opened for the first time."""
    circuit = Circuit(middle)
    for _ in range(FAILURES):
        circuit.leave(entered(circuit, now), now, "failing")
    return circuit


def healed(now: float = OPEN_S) -> Circuit:
    """A circuit whose first probe has just succeeded."""
    circuit = broken()
    circuit.leave(entered(circuit, now), now, "ok")
    return circuit


def under_way(circuit: Circuit, now: float) -> list[Call]:
    """As many calls as it lets pass at once, up to 300."""
    calls = (circuit.enter(now) for _ in range(300))
    return [call for call in calls if call is not None]


def test_a_circuit_opens_at_the_last_of_many_failures_in_a_row() -> None:
    circuit = Circuit(middle)
    for _ in range(FAILURES - 1):
        circuit.leave(entered(circuit, 0), 0, "failing")
    call = entered(circuit, 0)
    circuit.leave(call, 0, "failing")
    assert circuit.enter(0) is None


def test_a_success_among_failures_keeps_it_closed() -> None:
    circuit = Circuit(middle)
    for number in range(10 * FAILURES):
        circuit.leave(entered(circuit, 0), 0, "ok" if number % FAILURES == 0 else "failing")


def test_what_says_nothing_about_the_target_changes_nothing() -> None:
    circuit = Circuit(middle)
    for _ in range(10 * FAILURES):
        circuit.leave(entered(circuit, 0), 0, "unknown")
    assert len(under_way(circuit, 0)) == 300


def test_each_failed_probe_doubles_the_time_up_to_a_limit() -> None:
    circuit, now = broken(), 0.0
    expected = OPEN_S
    for _ in range(20):
        assert circuit.enter(now + expected - 0.001) is None
        now += expected
        circuit.leave(entered(circuit, now), now, "failing")
        expected = min(expected * 2, MAX_OPEN_S)


def test_one_probe_at_a_time() -> None:
    circuit = broken()
    probe = entered(circuit, OPEN_S)
    assert circuit.enter(OPEN_S + 100) is None
    circuit.leave(probe, OPEN_S + 100, "unknown")
    assert len(under_way(circuit, OPEN_S + 100)) == 1


def test_after_a_successful_probe_each_round_lets_twice_as_many_pass() -> None:
    circuit = healed()
    for expected in (2, 4, 8, 16, 32, 64, 128, 300, 300):
        calls = under_way(circuit, OPEN_S)
        assert len(calls) == expected
        for call in calls:
            circuit.leave(call, OPEN_S, "ok")


def test_failures_of_calls_from_before_it_opened_do_not_lengthen_it() -> None:
    circuit = Circuit(middle)
    calls = under_way(circuit, 0)
    for call in calls:
        circuit.leave(call, 0, "failing")
    assert circuit.enter(OPEN_S - 0.001) is None
    entered(circuit, OPEN_S)


def test_a_target_is_left_in_peace_as_long_as_it_wishes() -> None:
    circuit = Circuit(middle)
    circuit.leave(entered(circuit, 0), 0, "failing", 90.0)
    assert circuit.enter(89.9) is None
    assert circuit.after_s(10) >= 80
    circuit.leave(entered(circuit, 90), 90, "ok")
    assert len(under_way(circuit, 90)) == FIRST_CALLS


def test_a_wish_is_over_when_the_target_answers() -> None:
    circuit = Circuit(middle)
    early = entered(circuit, 0)
    circuit.leave(entered(circuit, 0), 0, "failing", 1_000.0)
    circuit.leave(early, 1, "ok")
    for _ in range(FAILURES):
        circuit.leave(entered(circuit, 1), 1, "failing")
    assert circuit.enter(1 + OPEN_S - 0.001) is None
    entered(circuit, 1 + OPEN_S)


@pytest.mark.parametrize("retry_after_s", [1e9, float("inf")])
def test_a_wish_is_believed_up_to_a_limit(retry_after_s: float) -> None:
    circuit = Circuit(middle)
    circuit.leave(entered(circuit, 0), 0, "failing", retry_after_s)
    assert circuit.enter(MAX_RETRY_AFTER_S - 0.1) is None
    entered(circuit, MAX_RETRY_AFTER_S)


def test_ten_thousand_that_are_refused_at_once_do_not_come_back_at_once() -> None:
    circuit = Circuit(Random(1).random)
    for _ in range(FAILURES):
        circuit.leave(entered(circuit, 0), 0, "failing")
    moments = [circuit.after_s(0) for _ in range(10_000)]
    per_10_s = Counter(moment // 10 for moment in moments)
    assert max(per_10_s.values()) <= 10 * RETURNS_PER_S * (1 + JITTER)
    assert min(moments) >= OPEN_S * 0.8
    assert max(moments) <= (OPEN_S * 1.2 + 10_000 / RETURNS_PER_S) * (1 + JITTER)


@pytest.mark.parametrize("down_s", [60.0, 3_600.0, 36_000.0])
def test_an_outage_with_ten_thousand_runs_waiting(down_s: float) -> None:
    """Simulated: few calls reach the dead target, all runs are done soon after it heals, and it is not overrun."""
    world = Outage(down_s)
    for number in range(10_000):
        world.at(number / 100, "arrive")
    world.run()
    assert world.done == 10_000
    assert world.sent_while_down < 200 + down_s / (MAX_OPEN_S * 0.8)
    assert world.refused <= 10_000 * (10 + down_s / 1_500)
    assert world.finished - down_s < max(200.0, 0.6 * down_s)
    assert world.most_at_first <= 4


class Outage:
    """A target that times out after 1 s until a moment, and answers within 0.1 s after it."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.circuit = Circuit(Random(7).random)
        self.events: list[tuple[float, int, str, Call | None]] = []
        self.done = self.sent_while_down = self.refused = self.most_at_first = self._order = self._running = 0
        self.healed_at = self.finished = 0.0

    def at(self, moment: float, what: str, call: Call | None = None) -> None:
        self._order += 1
        heapq.heappush(self.events, (moment, self._order, what, call))

    def run(self) -> None:
        while self.events:
            now, _, what, call = heapq.heappop(self.events)
            if call is None:
                self._arrive(now)
                continue
            verdict: Verdict = "ok" if what == "answer" else "failing"
            self.circuit.leave(call, now, verdict)
            if verdict == "failing":
                self.at(now + 5, "arrive")
                continue
            self._running -= 1
            self.healed_at = self.healed_at or now
            self.done, self.finished = self.done + 1, now

    def _arrive(self, now: float) -> None:
        call = self.circuit.enter(now)
        if call is None:
            self.refused += 1
            self.at(now + self.circuit.after_s(now), "arrive")
        elif now < self.until:
            self.sent_while_down += 1
            self.at(now + 1, "fail", call)
        else:
            self._running += 1
            if self.healed_at and now < self.healed_at + 0.1:
                self.most_at_first = max(self.most_at_first, self._running)
            self.at(now + 0.1, "answer", call)


class CircuitMachine(RuleBasedStateMachine):
    """Any order of calls, ends and waits."""

    calls: Bundle[Call] = Bundle("calls")

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.circuit = Circuit(Random(seed).random)
        self.now = 0.0
        self.probes: set[Call] = set()
        self.open_calls: dict[Call, None] = {}

    @rule(seconds=st.floats(0, 2 * MAX_OPEN_S))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=calls, count=st.integers(1, 2 * FAILURES))
    def enter(self, count: int) -> MultipleResults[Call]:
        return multiple(*self._entered(count))

    def _entered(self, count: int) -> Iterator[Call]:
        for _ in range(count):
            was_open = self.circuit._down_since is not None
            call = self.circuit.enter(self.now)
            if call is None:
                continue
            self.open_calls[call] = None
            if was_open:
                assert self.now >= self.circuit._open_until
                self.probes.add(call)
            yield call

    @rule(call=consumes(calls), retry_after_s=st.none() | st.floats())
    def fail(self, call: Call, retry_after_s: float | None) -> None:
        self._leave(call, "failing", retry_after_s)

    @rule(call=consumes(calls))
    def give_up(self, call: Call) -> None:
        self._leave(call, "unknown")

    @rule()
    def fail_all(self) -> None:
        for call in list(self.open_calls):
            self._leave(call, "failing")

    @rule(call=consumes(calls))
    def succeed(self, call: Call) -> None:
        if call not in self.open_calls:
            return
        self._leave(call, "ok")
        for further in self._entered(1):
            self._leave(further, "unknown")
            return
        raise AssertionError("a success did not close the circuit")

    def _leave(self, call: Call, verdict: Verdict, retry_after_s: float | None = None) -> None:
        if call not in self.open_calls:
            return
        self.circuit.leave(call, self.now, verdict, retry_after_s)
        del self.open_calls[call]
        self.probes.discard(call)

    @rule()
    def be_refused(self) -> None:
        after_s = self.circuit.after_s(self.now)
        assert 0 < after_s <= MAX_WAIT_S * (1 + JITTER)
        if self.circuit._down_since is not None:
            assert after_s >= min(self.circuit._open_until - self.now, MAX_WAIT_S / 2)

    @invariant()
    def never_two_probes(self) -> None:
        assert len(self.probes) <= 1

    def teardown(self) -> None:
        """Whatever has happened: once nothing is under way and the longest wish is over, a call passes and heals it."""
        for call in list(self.open_calls):
            self._leave(call, "unknown")
        self.circuit.leave(entered(self.circuit, self.now + MAX_RETRY_AFTER_S), self.now + MAX_RETRY_AFTER_S, "ok")
        assert self.circuit.enter(self.now + MAX_RETRY_AFTER_S) is not None


TestCircuit = CircuitMachine.TestCase
TestCircuit.settings = settings(max_examples=60, stateful_step_count=30)
