"""The chance that a test of faults takes: its seed is printed, and SEED=… (TRIGGERHUB_SOAK_SEED) repeats it."""

import os
import random
import secrets


def seeded() -> random.Random:
    """A source of chance for one test."""
    seed = int(os.environ.get("TRIGGERHUB_SOAK_SEED") or secrets.randbelow(10**9))
    print(f"\nseed {seed}")  # noqa: T201 - shown when the test fails, and by `pytest -s`
    return random.Random(seed)
