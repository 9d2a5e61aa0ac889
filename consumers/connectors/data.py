"""Data steps: values are set, split, filtered, joined, read and written, without code and network."""

from datetime import timedelta

from domain.connector.config import present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.data.groups import Once
from domain.data.operation import Operation, Unfit
from domain.data.work import OPERATIONS, work
from domain.language.spelling import weight
from domain.language.template import TooMuchWork
from domain.log.ports import StoreUnavailable
from domain.memory.changes import Unremembered
from domain.memory.memory import Place
from domain.values.json import Json, JsonObject

QUICK = 5_000
"""Characters of a config up to which a step is done in place: at most some milliseconds."""


async def shaped(type_: str, config: JsonObject, context: ActionContext) -> Json:
    """The output of a data step: in place where that is quick, else in a process. Raises Unfit and TooMuchWork."""
    if not OPERATIONS[type_].heavy and weight(config, QUICK) <= QUICK:
        return work(type_, config, context.clock())
    return await context.shape(type_, config)


async def _unseen(made: Json, config: JsonObject, context: ActionContext) -> Json:
    """Those items that no run has seen within the window, where the step compares with other runs."""
    assert isinstance(made, dict)
    keys, items, duplicates = made.pop("keys", None), made["items"], made["duplicates"]
    if not isinstance(keys, list):
        return made
    given = present(config)
    wanted = read(Once, {**given, "items": list[Json]()})
    assert wanted.scope != "list"
    assert isinstance(items, list)
    assert isinstance(duplicates, int)
    ids = [bytes.fromhex(str(key)) for key in keys]
    place = Place(wanted.scope, wanted.name or context.idempotency_key.rpartition(".")[2])
    new = await context.memory.first(place, ids, timedelta(seconds=wanted.window_s), context.idempotency_key)
    kept = [item for item, key in zip(items, ids, strict=True) if key in new]
    return {"items": kept, "count": len(kept), "duplicates": duplicates + len(items) - len(kept)}


def _action(type_: str, operation: Operation) -> ActionDescriptor:
    async def run(config: JsonObject, context: ActionContext) -> Outcome:
        try:
            made = await shaped(type_, config, context)
            return Succeeded(await _unseen(made, config, context) if type_ == "data.dedupe" else made)
        except Unfit as error:
            return Failed(code="unfit", message=str(error))
        except TooMuchWork as error:
            return Failed(code="data_limit", message=error.message)
        except Unremembered as error:
            return Failed(code=error.code, message=str(error))
        except StoreUnavailable:
            return Retry(code="store_unavailable", message="what is remembered can't be reached now")

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
