"""What an author of a connector reads: the mistakes of a file, or what became of each of its tries."""

from collections.abc import AsyncIterator

from consumers.connectors.http import request
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from consumers.trial.stand_in import stand_in
from consumers.trial.trial import Trial, Tried
from domain.declared.action import declared
from domain.declared.check import BadFile, load
from domain.log.ports import Clock


def mistakes_of(content: bytes) -> list[str]:
    """A line for each mistake, none for a file that is right."""
    try:
        load(content)
    except BadFile as error:
        return [f"{mistake.pointer or '/'}: {mistake.reason}" for mistake in error.mistakes]
    return []


async def tries_of(content: bytes, clock: Clock) -> AsyncIterator[Tried]:
    """Each action of a file with each kind of answer, against a stand-in on this machine. Raises BadFile."""
    actions = declared(load(content))
    async with stand_in() as service, Outbound(parse_networks("127.0.0.0/8")) as http:
        async for tried in Trial(actions, service, http, request, clock).cases():
            yield tried
