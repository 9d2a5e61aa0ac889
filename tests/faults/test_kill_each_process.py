"""Every process is SIGKILLed in turn under load: nothing acknowledged is lost, nothing is done twice unmarked."""

import pytest

from tests.support.broker import APACHE
from tests.support.load import under_load
from tests.support.sink import running_sink
from tests.support.system import running_system

VICTIMS = ("api", "relay", "runner", "projector", "scheduler", "broker", "postgres")


@pytest.mark.slow
async def test_nothing_is_lost_or_doubled_when_each_process_is_killed_in_turn() -> None:
    async with running_system() as system, running_sink() as sink:
        async with under_load(system, sink, senders=4, pause_s=0.02) as load:
            for victim in VICTIMS:
                await system.kill(victim)
                await load.more()
        await load.proven(topic_lost=not APACHE)
