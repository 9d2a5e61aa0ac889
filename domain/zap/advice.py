"""What is allowed in a definition, and yet may not be what its owner wants. It is told, and stops nobody."""

from collections.abc import Iterator

from domain.flow.contents import templated, walk
from domain.flow.steps import ApprovalStep, PathsStep, Step, WaitForStep
from domain.language.mistakes import Mistake
from domain.language.template import Place, has_template
from domain.values.json import Json
from domain.zap.definition import Definition

_NO_MAIL = (
    "no mail server is set up, so nobody is told by e-mail: GET /api/v1/approvals has the links. The operator sets "
    "TRIGGERHUB_SMTP_HOST"
)
_NO_PATH = "where no path matches nothing is taken, and the run goes on; `otherwise` says what happens then"
_LITERAL = "a name stands as it is written: templates are replaced in values only"
_BLOCKS = "the zap's runs are one at a time: while one waits here, those behind it wait, too"


def advice(definition: Definition, *, has_mail: bool) -> Iterator[Mistake]:
    """Everything of the kind, with its place. `has_mail`: whether there is a mail server."""
    is_serial = definition.behaviour.concurrency.mode == "serial"
    for path, step, _depth in walk(definition.steps, "steps"):
        at = tuple(path.split("."))
        yield from _of_step(step, at, has_mail=has_mail)
        field, value = templated(step)
        yield from _names(value, (*at, field) if field else at)
        if is_serial and isinstance(step, ApprovalStep | WaitForStep):
            yield Mistake(at, "blocks_others", _BLOCKS)


def _names(value: Json, at: Place) -> Iterator[Mistake]:
    """Names of fields that look like templates."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and has_template(key):
                yield Mistake((*at, key), "literal_name", _LITERAL)
            yield from _names(inner, (*at, str(key)))


def _of_step(step: Step, at: Place, *, has_mail: bool) -> Iterator[Mistake]:
    match step:
        case ApprovalStep():
            if not has_mail and any(recipient.email for recipient in step.to):
                yield Mistake((*at, "to"), "no_mail_server", _NO_MAIL)
        case PathsStep():
            if not step.otherwise:
                yield Mistake((*at, "paths"), "no_otherwise", _NO_PATH)
