"""Who answers an action in a rehearsal: whoever tests, the record of an earlier run, the connector's sample; or the
target itself.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from uuid import UUID

import msgspec

from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.steps import ActionStep, ApprovalStep, Step, WaitForStep
from domain.run.state import ActiveRun, EndedRun, idempotency_key
from domain.values.json import Json, JsonObject
from domain.zap.definition import Definition
from projections.step_detail import AnsweredBy

UNKNOWN: Json = {"$stub": "nothing was sent, and no answer of this step is known: give one in stubs"}
_SOME_TIME = "2026-01-01T12:00:00+00:00"
_APPROVED: Json = {"decision": "approve", "by": "ada@example.com", "comment": "", "form": {}, "at": _SOME_TIME}
_CALLED_BACK: Json = {"body": {}, "headers": {}, "query": {}, "at": _SOME_TIME}


class Answers:
    """The answers of one rehearsal, and by whom each of them was given, by idempotency key."""

    def __init__(self, given: Mapping[str, Outcome], catalog: Catalog) -> None:
        self._given = given
        self._catalog = catalog
        self.recorded: dict[UUID, Mapping[str, Outcome]] = {}
        """What is on record, by the run of the rehearsal and step."""
        self.by: dict[str, AnsweredBy] = {}

    def catalog(self, *, real: bool) -> Catalog:
        """The same connectors, whose actions only answer. With `real`, those for which none is given do act.

        What only computes does so, and is not said to have been answered by anybody.
        """
        answering = _Each(self._catalog.actions, partial(self._answering, real=real))
        return msgspec.structs.replace(self._catalog, actions=answering)

    def _of(self, key: str, sample: Json) -> Outcome:
        step_id = _step_id(key)
        if step_id in self._given:
            self.by[key] = "stub"
            return self._given[step_id]
        on_record = self.recorded.get(UUID(key.rpartition(".")[0]), {})
        if step_id in on_record:
            self.by[key] = "record"
            return on_record[step_id]
        self.by[key] = "sample"
        return Succeeded(UNKNOWN if sample is None else sample)

    def of_step(self, run_id: UUID, step: Step) -> Outcome:
        """The answer for a step of a run that is not carried out."""
        return self._of(idempotency_key(run_id, step.id), self._sample(step))

    def _sample(self, step: Step) -> Json:
        match step:
            case ActionStep():
                action = self._catalog.actions.get(step.type)
                return action.sample if action else None
            case ApprovalStep():
                return _APPROVED
            case WaitForStep():
                return _CALLED_BACK
            case _:
                return None

    def _answering(self, action: ActionDescriptor, *, real: bool) -> ActionDescriptor:
        async def run(config: JsonObject, context: ActionContext) -> Outcome:
            key = context.idempotency_key
            if action.local and _step_id(key) not in self._given:
                return await action.run(config, context)
            if real and _step_id(key) not in self._given:
                self.by[key] = "target"
                return await action.run(config, context)
            return self._of(key, action.sample)

        return msgspec.structs.replace(action, run=run)


class _Each(Mapping[str, ActionDescriptor]):
    """The same actions, each made another one when it is asked for."""

    def __init__(
        self, actions: Mapping[str, ActionDescriptor], made: Callable[[ActionDescriptor], ActionDescriptor]
    ) -> None:
        self._actions = actions
        self._made = made

    def __getitem__(self, type_: str) -> ActionDescriptor:
        return self._made(self._actions[type_])

    def __iter__(self) -> Iterator[str]:
        return iter(self._actions)

    def __len__(self) -> int:
        return len(self._actions)


def _step_id(key: str) -> str:
    return key.rpartition(".")[2]


def recorded(run: ActiveRun | EndedRun, original: Definition, draft: Definition) -> Mapping[str, Outcome]:
    """What a run has on record of the steps that its version and the draft have both, by id."""
    found: dict[str, Outcome] = {}
    for _path, step in draft.all_steps():
        if not _is_like(step, original.step(step.id)):
            continue
        if step.id in run.outputs:
            found[step.id] = Succeeded(run.outputs[step.id])
        elif step.id in run.errors:
            error = run.errors[step.id]
            found[step.id] = Failed(code=error.code, message=error.message, output=error.output)
    return found


def _is_like(step: Step, other: Step | None) -> bool:
    """Whether they do the same kind of thing, so that the answer to one may be the answer to the other."""
    if isinstance(step, ActionStep) and isinstance(other, ActionStep):
        return step.type == other.type
    return type(step) is type(other)
