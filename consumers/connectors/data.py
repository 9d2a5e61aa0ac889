"""Data steps: values are set, split, filtered, joined, read and written, without code and network."""

from domain.connector.config import problems
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.data.operation import Operation, Unfit
from domain.data.work import OPERATIONS, work
from domain.language.spelling import weight
from domain.language.template import TooMuchWork
from domain.values.json import Json, JsonObject

QUICK = 5_000
"""Characters of a config up to which a step is done in place: at most some milliseconds."""


async def shaped(type_: str, config: JsonObject, context: ActionContext) -> Json:
    """The output of a data step: in place where that is quick, else in a process. Raises Unfit and TooMuchWork."""
    if not OPERATIONS[type_].heavy and weight(config, QUICK) <= QUICK:
        return work(type_, config, context.clock())
    return await context.shape(type_, config)


def _action(type_: str, operation: Operation) -> ActionDescriptor:
    async def run(config: JsonObject, context: ActionContext) -> Outcome:
        try:
            return Succeeded(await shaped(type_, config, context))
        except Unfit as error:
            return Failed(code="unfit", message=str(error))
        except TooMuchWork as error:
            return Failed(code="data_limit", message=error.message)

    def check(saved: JsonObject) -> dict[str, str]:
        return problems(operation.config, saved) or operation.check(saved)

    return ActionDescriptor(
        type=type_,
        name=operation.name,
        description=operation.description,
        icon=operation.icon,
        run=run,
        config=operation.config,
        check=check,
        example=operation.example,
        sample=operation.sample,
        local=True,
    )


CONNECTOR = Connector(actions=tuple(_action(type_, operation) for type_, operation in OPERATIONS.items()))
