"""A runner that is SIGKILLed within a loop. tests/soak/test_faults.py has a thousand items and seven deaths."""

import pytest

from tests.support.dying import a_loop_whose_runner_dies
from tests.support.rig import Rig

pytestmark = [pytest.mark.slow]


async def test_each_item_has_one_outcome_when_the_runner_dies(rig: Rig) -> None:
    await a_loop_whose_runner_dies(rig, 200, (80,))
