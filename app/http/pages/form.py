"""The form of an approval as HTML, with what was filled in before and what was wrong about it."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from app.commands.approvals import MAX_COMMENT
from domain.flow.forms import Field, fields
from domain.values.json import Json

_INPUTS = {"text": "text", "number": "number", "date": "date"}


def form(schema: Mapping[str, Json], given: Mapping[str, str] | None, errors: Sequence[tuple[str, str]]) -> str:
    """The whole form. `given`: what was sent before, None at first. `errors`: JSON pointers and reasons."""
    parts = [_summary(errors), '<form method="post" autocomplete="off">']
    parts += [_field(field, given, dict(errors)) for field in fields(schema)] if schema else []
    comment = escape((given or {}).get("comment", ""))
    parts.append(f'<label for="comment">Comment</label>{_area("comment", comment, f"maxlength={MAX_COMMENT}")}')
    parts.append(
        '<p class="answers"><button name="decision" value="approve">Approve</button> '
        '<button name="decision" value="reject" formnovalidate>Reject</button></p></form>'
    )
    return "".join(parts)


def _summary(errors: Sequence[tuple[str, str]]) -> str:
    if not errors:
        return ""
    items = "".join(f"<li>{escape(at.removeprefix('/') or 'form')}: {escape(reason)}" for at, reason in errors)
    return f'<div role="alert" class="errors"><p>This was not recorded yet. Please correct:</p><ul>{items}</ul></div>'


def _field(field: Field, given: Mapping[str, str] | None, errors: Mapping[str, str]) -> str:
    name = escape(field.name)
    text = field.default if given is None else given.get(field.name, "")
    pointer = "/" + field.name.replace("~", "~0").replace("/", "~1")
    rules = " required" * field.required + ' aria-invalid="true"' * (pointer in errors)
    about = f"<small>{escape(field.about)}</small>" if field.about else ""
    label = f'<label for="{name}">{escape(field.title)}{" *" * field.required}</label>{about}'
    return label + _input(field, name, text, rules)


def _input(field: Field, name: str, text: str, rules: str) -> str:
    match field.kind:
        case "check":
            checked = " checked" * (text in ("on", "true"))
            # Not `required`: of a box that would mean that it has to be ticked.
            return f'<input type="checkbox" id="{name}" name="{name}" value="true"{checked}>'
        case "choice":
            return f'<select id="{name}" name="{name}"{rules}>{"".join(_options(field, text))}</select>'
        case "long" | "json":
            return _area(name, escape(text), rules)
        case _:
            step = ' step="any"' * (field.kind == "number")
            return f'<input type="{_INPUTS[field.kind]}" id="{name}" name="{name}" value="{escape(text)}"{step}{rules}>'


def _options(field: Field, text: str) -> Iterator[str]:
    yield "<option></option>"
    for choice in field.choices:
        yield f'<option value="{escape(choice)}"{" selected" * (choice == text)}>{escape(choice)}</option>'


def _area(name: str, escaped: str, rules: str) -> str:
    # HTML drops one line feed at the beginning.
    return f'<textarea id="{name}" name="{name}" rows="3" {rules.strip()}>\n{escaped}</textarea>'
