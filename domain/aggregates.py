"""Every aggregate: which streams tell of it, and how they are folded. domain/log/stream.py loads and changes them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from domain.intake import admission
from domain.intake import events as intake
from domain.job import job
from domain.log.event import StreamKind
from domain.log.stream import Aggregate
from domain.registration import events as registration_events
from domain.registration import registration
from domain.registry import decode
from domain.run import events as run_events
from domain.run import state as run
from domain.zap import events as zap_events
from domain.zap import zap

S = TypeVar("S")
E = TypeVar("E")


def _undated(evolve: Callable[[S, E], S]) -> Callable[[S, E, datetime], S]:
    """Of an aggregate for which it does not count when something was recorded."""
    return lambda state, event, _at: evolve(state, event)


def _waits(state: run.ActiveRun | run.EndedRun) -> bool:
    return isinstance(state, run.ActiveRun) and state.waits_until is not None


ZAP: Aggregate[zap.Zap, zap_events.ZapEvent] = Aggregate(
    noun="zap",
    kind=StreamKind.CORE,
    first="zap.created",
    decode=decode,
    evolve=zap.evolve,
    due_at=zap_events.due_at,
)
RUN: Aggregate[run.ActiveRun | run.EndedRun, run_events.RunEvent] = Aggregate(
    noun="run",
    kind=StreamKind.RUN,
    first="zap.run.requested",
    decode=decode,
    evolve=_undated(run.evolve),
    due_at=run_events.due_at,
    waits=_waits,
)
REQUESTS: Mapping[StreamKind, Aggregate[admission.KeptRequest, intake.IntakeEvent]] = {
    kind: Aggregate(
        noun="request",
        kind=kind,
        first="zap.request.rejected",
        decode=decode,
        evolve=_undated(admission.evolve),
    )
    for kind in (StreamKind.REQUEST, StreamKind.CORE)
}
"""By the kind of stream: earlier releases kept requests in CORE."""
REGISTRATION: Aggregate[registration.Registration, registration_events.RegistrationEvent] = Aggregate(
    noun="registration",
    kind=StreamKind.CORE,
    first="zap.hook.called",
    decode=decode,
    evolve=registration.evolve,
)
JOB: Aggregate[job.Job, job.JobEvent] = Aggregate(
    noun="job", kind=StreamKind.CORE, first="job.requested", decode=decode, evolve=_undated(job.evolve)
)
