"""Running a run again: what a new run of the same request takes over from the old one, which stays as it is."""

from uuid import UUID

from domain.log.errors import NotFound, WrongStatus
from domain.run.decide import RequestRun, goes_on
from domain.run.state import ActiveRun, EndedRun
from domain.zap.definition import ActionStep, Definition, ErrorPath, Step


def replay(run: ActiveRun | EndedRun, run_id: UUID, definition: Definition, from_step: str | None) -> RequestRun:
    """The command for a new run of what this one was asked for; `definition` is that of the version it will use.

    From a step on: the outcomes of the steps before it are taken over. Raises NotFound when there is no such step,
    WrongStatus when a step before it has no outcome.
    """
    requested = run.requested
    before = _before(definition.steps, from_step) if from_step is not None else []
    if before is None:
        raise NotFound(f"the version to be run has no step {from_step}")
    for step in before:
        if step.id not in run.outputs and not (step.id in run.errors and goes_on(step)):
            raise WrongStatus(f"the step {step.id}, before {from_step}, has no outcome in this run to go on from")
    ids = [step.id for step in before]
    return RequestRun(
        requested.zap_id,
        requested.zap_version,
        "replay",
        requested.request,
        replay_of=run_id,
        outputs={step_id: run.outputs[step_id] for step_id in ids if step_id in run.outputs},
        errors={step_id: run.errors[step_id] for step_id in ids if step_id in run.errors},
    )


def _before(steps: tuple[Step, ...], step_id: str) -> list[Step] | None:
    """The steps on the way to a step, None where it is not among these."""
    before: list[Step] = []
    for step in steps:
        if step.id == step_id:
            return before
        before.append(step)
        if isinstance(step, ActionStep) and isinstance(step.on_error, ErrorPath):
            within = _before(step.on_error.steps, step_id)
            if within is not None:
                return before + within
    return None
