"""What is allowed in a definition, and yet may not be what its owner wants. It is told, and stops nobody."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from domain.connector.descriptor import ActionDescriptor
from domain.flow.contents import scopes, templated, walk
from domain.flow.delays import always_fails
from domain.flow.steps import ActionStep, ApprovalStep, DelayStep, PathsStep, ReturnStep, Step, StopStep, WaitForStep
from domain.language.mistakes import Mistake
from domain.language.template import Place, has_template
from domain.values.json import Json
from domain.zap.definition import Definition

_NO_MAIL = (
    "no mail server is set up, so nobody is told by e-mail: GET /api/v1/approvals has the links. The operator sets "
    "TRIGGERHUB_SMTP_HOST"
)
_NO_PATH = "where no path matches nothing is taken, and the run goes on; `otherwise` says what happens then"
_PAST = "this moment has passed, and `if_past` is fail, so the step always fails"
_LITERAL = "a name stands as it is written: templates are replaced in values only"
_BLOCKS = "the zap's runs are one at a time: while one waits here, those behind it wait, too"


def advice(
    definition: Definition, actions: Mapping[str, ActionDescriptor], now: datetime, *, has_mail: bool
) -> Iterator[Mistake]:
    """Everything of the kind, with its place. `actions`: those by type that may have advice of their own.

    `has_mail`: whether there is a mail server.
    """
    is_serial = definition.behaviour.concurrency.mode == "serial"
    yield from _never_reached(definition.steps, ("steps",))
    for path, step, _depth in walk(definition.steps, "steps"):
        at = tuple(path.split("."))
        yield from _of_step(step, at, now, has_mail=has_mail)
        if isinstance(step, ActionStep) and step.type in actions:
            for name, reason in actions[step.type].advice(step.config).items():
                yield Mistake((*at, "config", name), "not_as_meant", reason)
        for scope in scopes(step):
            yield from _never_reached(scope.steps, (*at, *scope.at.split(".")))
        field, value = templated(step)
        yield from _names(value, (*at, field) if field else at)
        if is_serial and isinstance(step, ApprovalStep | WaitForStep):
            yield Mistake(at, "blocks_others", _BLOCKS)


def _never_reached(steps: Sequence[Step], at: Place) -> Iterator[Mistake]:
    """The first step behind one that always ends the run."""
    for index, step in enumerate(steps[:-1]):
        if isinstance(step, StopStep | ReturnStep):
            yield Mistake(
                (*at, str(index + 1)), "never_reached", f"no run comes here: {step.id} before it ends the run"
            )
            return


def _names(value: Json, at: Place) -> Iterator[Mistake]:
    """Names of fields that look like templates."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and has_template(key):
                yield Mistake((*at, key), "literal_name", _LITERAL)
            yield from _names(inner, (*at, str(key)))


def _of_step(step: Step, at: Place, now: datetime, *, has_mail: bool) -> Iterator[Mistake]:
    match step:
        case ApprovalStep():
            if not has_mail and any(recipient.email for recipient in step.to):
                yield Mistake((*at, "to"), "no_mail_server", _NO_MAIL)
        case DelayStep():
            if always_fails(step, now):
                yield Mistake((*at, "until"), "always_past", _PAST)
        case PathsStep():
            if not step.otherwise:
                yield Mistake((*at, "paths"), "no_otherwise", _NO_PATH)
