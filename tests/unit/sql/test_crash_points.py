"""A crash point acts in its role only, at its pass only."""

import subprocess
import sys
from pathlib import Path

import pytest

from sql.process.crash_points import EXIT_CODE, parse

ROOT = Path(__file__).parents[3]
PASSES = """
from sql.process.crash_points import arm, reached
arm({spec!r}, {role!r})
for _ in range(5):
    reached("runner.before_action")
    reached("runner.after_action")
    print("passed", flush=True)
"""


@pytest.mark.parametrize(
    ("spec", "role", "code", "passed"),
    [
        ("", "runner", 0, 5),
        ("runner.after_action", "runner", EXIT_CODE, 0),
        ("runner.after_action:3", "runner", EXIT_CODE, 2),
        ("runner.after_action:6", "runner", 0, 5),
        ("runner.after_action:3", "relay", 0, 5),
    ],
)
def test_a_process_dies_at_its_point_and_pass(spec: str, role: str, code: int, passed: int) -> None:
    script = [sys.executable, "-c", PASSES.format(spec=spec, role=role)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("passed")) == (code, passed), done.stderr


@pytest.mark.parametrize("spec", ["runner", "runner.after_action:", "runner.after_action:²", "runner.after_action:-1"])
def test_what_is_no_point_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="give"):
        parse(spec)
