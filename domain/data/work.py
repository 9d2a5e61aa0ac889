"""All data steps, by the type of their action."""

from collections.abc import Mapping
from datetime import datetime

from domain.connector.config import BadConfig, read
from domain.data.dates import DATES
from domain.data.groups import GROUPS
from domain.data.lists import LISTS
from domain.data.markup import MARKUP
from domain.data.operation import Operation, Unfit
from domain.data.schemas import SCHEMAS
from domain.data.tables import TABLES
from domain.data.texts import TEXTS
from domain.data.values import VALUES
from domain.values.json import Json, JsonObject

OPERATIONS: Mapping[str, Operation] = {**VALUES, **LISTS, **GROUPS, **TABLES, **MARKUP, **DATES, **TEXTS, **SCHEMAS}
_MAY_BE_NULL = frozenset({"value", "default", "text"})


def work(type_: str, config: JsonObject, now: datetime) -> Json:
    """What a data step gives for its config, rendered. Raises Unfit, and nothing else."""
    operation = OPERATIONS[type_]
    given = {name: value for name, value in config.items() if value is not None or name in _MAY_BE_NULL}
    try:
        return operation.work(read(operation.config, given), now)
    except BadConfig as error:
        raise Unfit(str(error)) from None
    except RecursionError:
        raise Unfit("nested too deep") from None
