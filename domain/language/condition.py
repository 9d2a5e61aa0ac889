"""Conditions over a run's data, such as a trigger's filter.

A condition is JSON: `{"all": [...]}`, `{"any": [...]}`, `{"not": ...}`, or one rule
`{"field": "trigger.body.amount", "operator": "greater_than", "value": 100}`. `check` lists mistakes, `load`
prepares a condition, and `evaluate` decides. It never raises: a value of the wrong type does not fulfil a rule.
"""

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeAlias, cast

import msgspec

from domain.language.operators import NO_VALUE, OPERATORS, Operator, Prepared
from domain.language.spelling import weight
from domain.language.template import templates
from domain.values.json import Json, JsonObject
from domain.values.path import MISSING, Path, look_up, parse_path

MAX_RULES = 100
MAX_DEPTH = 5
MAX_PROGRAM = 5_000
"""Instructions of all regular expressions together, which bound their time."""
_MAX_SHOWN = 100


class Rule(msgspec.Struct, frozen=True):
    """One comparison, ready to be made."""

    field: str
    path: Path
    operator: Operator
    value: Json
    prepared: Prepared


class All(msgspec.Struct, frozen=True):
    """Holds when every part does."""

    parts: "tuple[Condition, ...]"


class AnyOf(msgspec.Struct, frozen=True):
    """Holds when at least one part does."""

    parts: "tuple[Condition, ...]"


class Not(msgspec.Struct, frozen=True):
    """Holds when its part does not."""

    part: "Condition"


Condition: TypeAlias = Rule | All | AnyOf | Not
Context: TypeAlias = Mapping[str, Json]


class InvalidCondition(ValueError):
    """`problems` has a reason for each broken path."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {reason}" if path else reason for path, reason in problems.items()))
        self.problems = problems


class Decision(msgspec.Struct, frozen=True):
    """The outcome of a condition. `path` is the first part that decided it, `reason` says why in words."""

    holds: bool
    path: str
    reason: str


def check(raw: Json, wrong: Callable[[Path], str | None] | None = None, *, rendered: bool = False) -> dict[str, str]:
    """The mistakes in a condition, by path; empty when it is valid. `wrong` checks the path of a field.

    `rendered`: whether templates in its values are rendered before it is loaded; otherwise there may be none.
    """
    loader = _Loader(wrong, rendered=rendered)
    loader.load(raw)
    return loader.problems


def load(raw: Json) -> Condition:
    """A condition ready to be evaluated; worth keeping. Raises InvalidCondition."""
    loader = _Loader()
    condition = loader.load(raw)
    if condition is None:
        raise InvalidCondition(loader.problems)
    return condition


def evaluate(condition: Condition, context: Context) -> bool:
    """Whether the condition holds; never raises."""
    return _settle(condition, context, "")[0]


def explain(condition: Condition, context: Context) -> Decision:
    """The same decision with the part that decided it, for the record of a filtered request."""
    holds, path, part = _settle(condition, context, "")
    return Decision(holds, path, _in_words(part, context))


def cost(condition: Condition, context: Context, most: int) -> int:
    """About how many characters its rules look at together; counting stops past `most`."""
    match condition:
        case Rule():
            found = look_up(context, condition.path)
            return 50 if found is MISSING else 50 + weight(found, most)
        case Not(part):
            return cost(part, context, most)
        case All(parts) | AnyOf(parts):
            total = 0
            for part in parts:
                total += cost(part, context, most - total)
                if total > most:
                    break
            return total


def _settle(condition: Condition, context: Context, path: str) -> tuple[bool, str, Condition]:
    """The result, and the part that decided it: a single rule, or a group as a whole."""
    match condition:
        case Rule():
            return condition.operator.holds(look_up(context, condition.path), condition.prepared), path, condition
        case Not(part):
            holds, inner, settled = _settle(part, context, _join(path, "not"))
            return not holds, inner, settled
        case All(parts) | AnyOf(parts):
            name, decisive = ("all", False) if isinstance(condition, All) else ("any", True)
            for index, part in enumerate(parts):
                outcome = _settle(part, context, _join(path, f"{name}[{index}]"))
                if outcome[0] is decisive:
                    return outcome
            return not decisive, path, condition


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _in_words(part: Condition, context: Context) -> str:
    if not isinstance(part, Rule):
        return "every part holds" if isinstance(part, All) else "no part holds"
    actual = look_up(context, part.path)
    found = "is missing" if actual is MISSING else f"is {_shown(actual)}"
    wanted = "" if part.operator.takes_nothing else f" {_shown(part.value)}"
    return f"{part.field} {part.operator.name}{wanted}: {found}"


def _shown(value: object) -> str:
    # Unlike msgspec's, this encoder takes half a surrogate pair.
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _meant(near: list[str]) -> str:
    return f"; did you mean {near[0]}?" if near else ""


class _Problem(ValueError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class _Loader:
    """One pass over a condition that collects its mistakes, and counts rules and the size of regular expressions.

    Without a word on `rendered` a text is itself, whatever it looks like: it may have come with the data.
    """

    def __init__(self, wrong: Callable[[Path], str | None] | None = None, *, rendered: bool | None = None) -> None:
        self.wrong = wrong
        self.rendered = rendered
        self.problems: dict[str, str] = {}
        self.rules = 0
        self.program = 0

    def load(self, raw: Json) -> Condition | None:
        """The condition, None where it has problems."""
        condition = self._condition(raw, "", 1)
        if self.rules > MAX_RULES:
            self.problems[""] = f"at most {MAX_RULES} rules"
        if self.program > MAX_PROGRAM:
            self.problems[""] = "the regular expressions are too large together"
        return None if self.problems else condition

    def _condition(self, raw: Json, path: str, depth: int) -> Condition | None:
        try:
            return self._parse(raw, path, depth)
        except _Problem as problem:
            self.problems[problem.path] = problem.reason
            return None

    def _parse(self, raw: Json, path: str, depth: int) -> Condition | None:
        if depth > MAX_DEPTH:
            raise _Problem(path, f"nested deeper than {MAX_DEPTH} levels")
        match raw:
            case {"all": parts, **rest} if not rest:
                return All(self._parts(parts, _join(path, "all"), depth))
            case {"any": parts, **rest} if not rest:
                return AnyOf(self._parts(parts, _join(path, "any"), depth))
            case {"not": part, **rest} if not rest:
                inner = self._condition(part, _join(path, "not"), depth + 1)
                return inner and Not(inner)
            case {"field": field, "operator": operator, **rest} if rest.keys() <= {"value"}:
                return self._rule(field, operator, cast("JsonObject", rest), path)
        raise _Problem(path, "one of {all}, {any}, {not}, or {field, operator, value}")

    def _parts(self, raw: Json, path: str, depth: int) -> tuple[Condition, ...]:
        if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_RULES:
            raise _Problem(path, f"a list of 1 to {MAX_RULES} conditions")
        parts = [self._condition(part, f"{path}[{index}]", depth + 1) for index, part in enumerate(raw)]
        return tuple(part for part in parts if part is not None)

    def _rule(self, field: Json, name: Json, rest: JsonObject, path: str) -> Rule:
        self.rules += 1
        operator = OPERATORS.get(name) if isinstance(name, str) else None
        if operator is None:
            near = get_close_matches(name[:_MAX_SHOWN], OPERATORS, 1) if isinstance(name, str) else []
            raise _Problem(_join(path, "operator"), f"one of {', '.join(OPERATORS)}" + _meant(near))
        if not isinstance(field, str):
            raise _Problem(_join(path, "field"), "a path like trigger.body.amount")
        try:
            keys = parse_path(field)
        except ValueError as error:
            raise _Problem(_join(path, "field"), str(error)) from None
        reason = self.wrong(keys) if self.wrong else None
        if reason:
            raise _Problem(_join(path, "field"), reason)
        if self.rendered is not None and any(templates(rest.get("value"))):
            return self._template(field, keys, operator, path)
        try:
            prepared = operator.prepare(rest)
        except (ValueError, RecursionError) as error:
            raise _Problem(_join(path, "value"), str(error)) from None
        self.program += getattr(prepared, "programsize", 0)
        return Rule(field, keys, operator, rest.get("value"), prepared)

    def _template(self, field: str, keys: Path, operator: Operator, path: str) -> Rule:
        if not self.rendered:
            raise _Problem(_join(path, "value"), "a fixed value: only the conditions of steps may have templates here")
        if operator.takes_nothing:
            raise _Problem(_join(path, "value"), NO_VALUE)
        return Rule(field, keys, operator, None, None)
