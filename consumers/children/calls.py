"""Steps that call another zap: which version is called, whether that may be, and what comes of it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import msgspec

from consumers.kafka.patience import patiently
from consumers.rendering.rendering import Rendering
from domain.aggregates import RUN, ZAP
from domain.connector.outcome import Failed, Outcome, Postponed, Succeeded
from domain.flow.steps import ZapStep
from domain.hook.hops import MAX_DEPTH, OWN_PER_MINUTE
from domain.language.template import TooMuchWork
from domain.log.event import Metadata
from domain.log.ports import Clock, EventStore, NewId
from domain.log.stream import follow, load
from domain.run.children import ChildIds, Parent, ZapCalled
from domain.run.commands import CallZap
from domain.run.events import DEADLINE, RunCancelled, RunCompleted, RunFailed, RunRequested
from domain.run.request import called_request, request_append
from domain.run.state import EndedRun, LoadedRun
from domain.values.json import Json
from domain.zap.definition import CALLED, Definition
from domain.zap.zap import LoadedZap
from sql.process.recent import Recent

PAUSED_S = 60.0
"""How long a call waits until it asks again whether a paused zap that holds its requests was enabled."""
REMEMBERED = 500
Allowance = Callable[[UUID], Awaitable[bool]]
"""Whether a zap may be started once more by runs that come from it."""


class Calls:
    """Calls zaps, each run and step once."""

    def __init__(
        self, store: EventStore, rendering: Rendering, clock: Clock, new_id: NewId, allowance: Allowance
    ) -> None:
        self._store = store
        self._allowance = allowance
        self._rendering = rendering
        self._clock = clock
        self._new_id = new_id
        self._zaps: dict[UUID, LoadedZap] = {}
        self._allowed = Recent[UUID, bool](REMEMBERED)

    async def begin(self, run: LoadedRun, step: ZapStep, given: Json) -> CallZap | Outcome:
        """What is to be called, or why nothing is."""
        zap = await self._zap(step.zap_id)
        if zap is None or zap.tenant_id != run.tenant_id or zap.state.status == "deleted" or not zap.state.live:
            return Failed(code="zap_missing", message=f"there is no published zap {step.zap_id}")
        definition = zap.state.version(zap.state.live).definition
        refused = _refusal(run, step, definition) or await self._unfit(run.tenant_id, definition, given)
        if refused is not None:
            return refused
        if zap.state.status == "paused":
            return _paused(definition)
        child_id = ChildIds(run.id, step.id).of(0)
        if step.zap_id in run.state.requested.via and not await self._is_allowed(step.zap_id, child_id):
            message = f"runs that come from the zap {step.zap_id} call it more than {OWN_PER_MINUTE} times a minute"
            return Failed(code="loop_detected", message=message)
        at = self._clock()
        return CallZap(
            ZapCalled(
                step_id=step.id,
                run_id=child_id,
                zap_id=step.zap_id,
                zap_version=zap.state.live,
                at=at,
                waits=step.wait,
                until=at + timedelta(seconds=step.timeout_s) if step.timeout_s else None,
            )
        )

    async def _is_allowed(self, zap_id: UUID, child_id: UUID) -> bool:
        """Whether the zap may be called once more. A call that is decided anew, as its run has moved, counts once."""
        if self._allowed.get(child_id):
            return True
        allowed = await patiently(lambda: self._allowance(zap_id))
        if allowed:
            self._allowed.put(child_id, value=True)
        return allowed

    async def _unfit(self, tenant_id: UUID, definition: Definition, given: Json) -> Failed | None:
        """Why the called zap does not take this input, None where it does."""
        trigger = definition.start_of(CALLED)
        schema = trigger.config.get("input_schema") if trigger else None
        if not isinstance(schema, dict):
            return None
        try:
            found = await self._rendering.check(tenant_id, schema, given)
        except TooMuchWork as error:
            return Failed(
                code="input_invalid", message=f"input: it can not be held against input_schema: {error.message}"
            )
        if not found:
            return None
        at, reason = found[0]
        return Failed(code="input_invalid", message=f"input{at.replace('/', '.')}: {reason}")

    async def child(self, called: ZapCalled) -> LoadedRun | None:
        """The run that was called, None where it has not begun."""
        return await patiently(lambda: load(self._store, RUN, called.run_id))

    async def start(self, run: LoadedRun, called: ZapCalled, given: Json) -> None:
        """Begin the called run, unless it has begun already."""
        zap = await self._zap(called.zap_id)
        assert zap is not None, "it was called"
        requested, definition = run.state.requested, zap.state.version(called.zap_version).definition
        append = request_append(
            RunRequested(
                zap_id=called.zap_id,
                zap_version=called.zap_version,
                source="zap",
                request=called_request(given, definition, CALLED),
                depth=requested.depth + 1,
                via=(*requested.via, requested.zap_id),
                parent=Parent(
                    run_id=run.id,
                    step_id=called.step_id,
                    waits=called.waits,
                    callers=(*_callers(run), requested.zap_id),
                ),
            ),
            definition.behaviour,
            tenant_id=run.tenant_id,
            new_id=self._new_id,
            metadata=Metadata(actor="runner", causation_id=run.last.event_id),
            run_id=called.run_id,
            at=called.at,
        )
        append = msgspec.structs.replace(append, carries=run.first.position)
        await patiently(lambda: self._store.append(append))

    async def _zap(self, zap_id: UUID) -> LoadedZap | None:
        """The zap as it is now; of a known one only what is new is read."""
        known = self._zaps.pop(zap_id, None)
        found = await patiently(lambda: follow(self._store, known) if known else load(self._store, ZAP, zap_id))
        if found is not None:
            self._zaps[zap_id] = found
            if len(self._zaps) > REMEMBERED:
                del self._zaps[next(iter(self._zaps))]
        return found


def outcome(called: ZapCalled, child: EndedRun) -> Succeeded | Failed:
    """What the step comes to, once the called run has ended."""
    run_id = str(called.run_id)
    match child.end:
        case RunCompleted(step_id=step_id, returned=returned, result=result):
            value = child.outputs.get(step_id, result) if returned else None
            return Succeeded({"run_id": run_id, "status": child.status, "value": value})
        case RunFailed(code=code, message=message):
            why = f"the called run failed: {message}"
        case RunCancelled(code="timeout"):
            return timed_out(called)  # the wait was over, and the process that cancelled the run did not come to say so
        case RunCancelled(message=message):
            code, why = "cancelled", "the called run was cancelled" + (f": {message}" if message else "")
        case end if child.status == "timed_out":
            code, why = DEADLINE, f"the called run timed out: {getattr(end, 'message', '')}"
        case _:
            return Succeeded({"run_id": run_id, "status": child.status, "value": None})
    return Failed(code=code, message=why, output={"run_id": run_id, "status": child.status})


def timed_out(called: ZapCalled) -> Failed:
    """The step's failure once it has waited for long enough. The called run is cancelled then."""
    return Failed(code="timeout", message="the called run had not ended in time", output={"run_id": str(called.run_id)})


def _refusal(run: LoadedRun, step: ZapStep, definition: Definition) -> Failed | None:
    if definition.start_of(CALLED) is None:
        message = f"the zap {step.zap_id} can not be called: it has no trigger zap.called"
        return Failed(code="zap_not_callable", message=message)
    requested = run.state.requested
    if step.zap_id in {*_callers(run), requested.zap_id}:
        return Failed(
            code="loop_detected", message=f"the zap {step.zap_id} has called this run: it is not called again"
        )
    if requested.depth + 1 > MAX_DEPTH:
        return Failed(code="loop_detected", message=f"{MAX_DEPTH} runs have started one another before this call")
    return None


def _callers(run: LoadedRun) -> tuple[UUID, ...]:
    parent = run.state.requested.parent
    return parent.callers if parent else ()


def _paused(definition: Definition) -> Outcome:
    message = "the called zap is paused"
    if definition.behaviour.when_paused == "hold":
        return Postponed(code="zap_paused", message=message, after_s=PAUSED_S)
    return Failed(code="zap_paused", message=message)
