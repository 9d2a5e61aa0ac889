"""One target with inputs that Hypothesis makes: NAME and SECONDS."""

import sys
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import TARGETS, TOKENS

tokens = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=8), max_size=60).map(b"".join)


def main(name: str, seconds: int) -> None:
    """Rounds of inputs until the time is over. Raises what the target raises."""
    target, until = TARGETS[name], time.monotonic() + seconds

    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(raw=tokens | st.binary(max_size=2_000))
    def round_(raw: bytes) -> None:
        target(raw)

    while time.monotonic() < until:
        round_()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
