"""The reference: pages that are written from the code, so that they say what it does."""

import json
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points

import click
import msgspec

from app.config.settings import PREFIX, Settings
from app.http.docs import language_notes as notes
from app.http.docs.setting_notes import SETTINGS
from app.http.problems import KINDS
from domain.connector.descriptor import ActionDescriptor
from domain.language import condition
from domain.language.filters import EXAMPLE, FILTERS
from domain.language.operators import OPERATORS
from domain.log.event import Event
from domain.registry import EVENT_TYPES
from domain.values.json import Json


class Reference(msgspec.Struct, frozen=True):
    """One page; `write` gives it as Markdown."""

    title: str
    about: str
    write: Callable[[], str]


def _operators() -> str:
    """A heading for each operator, so that it has an address of its own."""
    about = (
        "A [condition](/docs/guide/conditions) compares a field of the run's data with a value. A value of another "
        "type does not fulfil a rule; it is no error. A missing field is shown here as `null`."
    )
    return "\n\n".join(["# Operators of conditions", about, *map(_operator, OPERATORS)])


def _operator(name: str) -> str:
    note = notes.OPERATORS[name]
    rule: dict[str, Json] = {"field": "trigger.body.x", "operator": name}
    if note.value is not None:
        rule["value"] = note.value
    loaded = condition.load(rule)
    examples = (*note.holds_for, *note.not_for)
    rows = [
        (_code(x), "yes" if condition.evaluate(loaded, {"trigger": {"body": {"x": x}}}) else "no") for x in examples
    ]
    return f"## {name}\n\n{note.meaning}\n\n```json\n{json.dumps(rule)}\n```\n\n{_table(('field', 'holds'), rows)}"


def _filters() -> str:
    rows = [
        (f"`{name}`", filter_.doc, _code_text(filter_.example), _code_text(filter_.result))
        for name, filter_ in sorted(FILTERS.items())
    ]
    data = json.dumps(EXAMPLE["trigger"], indent=2)
    return (
        "# Filters of templates\n\nA filter changes a value inside a [template](/docs/guide/templates): "
        "`{{ trigger.body.name | strip | upcase }}`. They are those of "
        "[Liquid](https://shopify.github.io/liquid/). The examples see this `trigger`:\n\n"
        f"```json\n{data}\n```\n\n{_table(('filter', 'what it does', 'example', 'result'), rows)}"
    )


def _problems() -> str:
    """The heading of each code is the anchor to which the `type` of a problem leads."""
    parts = [f"## {kind.code}\n\n{kind.title}. HTTP status {kind.status}.\n\n{kind.remedy}" for kind in KINDS.values()]
    return (
        "# Problems\n\nEvery refusal is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with a "
        "stable `code`. Its `detail` says what was wrong and what to do; `errors` lists each broken field with its "
        "`path`, its `pointer` and the `reason`. See also [the API](/docs/guide/api).\n\n" + "\n\n".join(parts)
    )


def _actions() -> str:
    """A heading for each action. Imported here, as only who reads this page needs all connectors."""
    from consumers.connectors import catalog

    about = (
        "What a step of the kind `action` can do. Fields take [templates](/docs/guide/templates), unless they "
        "say otherwise."
    )
    return "\n\n".join(["# Actions", about, *map(_action, catalog().actions.values())])


def _action(action: ActionDescriptor) -> str:
    schema = action.form
    properties, required = schema["properties"], schema["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    rows = [
        (f"`{name}`", str(field.get("title", "")), "yes" if name in required else "", str(field.get("description", "")))
        for name, field in properties.items()
        if isinstance(field, dict)
    ]
    table = _table(("field", "what", "required", "how"), rows) if rows else "There is nothing to set."
    example = f"\n\n```json\n{json.dumps(action.example, indent=2)}\n```" if action.example else ""
    sample = f"\n\nIts output:\n\n```json\n{json.dumps(action.sample)}\n```" if action.sample else ""
    return f"## {action.type}\n\n**{action.name}.** {action.description}\n\n{table}{example}{sample}"


def _events() -> str:
    parts = [_event(kind.name, kind.schema_version, kind.struct) for kind in EVENT_TYPES]
    return (
        "# Events\n\nThe log consists of these events. On the topic each is a CloudEvent whose `type` is the name and "
        "the version, such as `zap.run.requested.v1`. A stored event never changes; a new field has a default.\n\n"
        + "\n\n".join(parts)
    )


def _event(name: str, version: int, struct: type[Event]) -> str:
    rows = [
        (f"`{f.encode_name}`", _type(f.type), "yes" if f.required else "no") for f in msgspec.structs.fields(struct)
    ]
    table = _table(("field", "type", "always there"), rows) if rows else "No fields."
    return f"## {name}\n\nVersion {version}. {_lines(struct.__doc__)}\n\n{table}"


def _type(annotation: object) -> str:
    """The JSON type of a field, in words."""
    schema = msgspec.json.schema(annotation).copy()
    parts = schema.get("anyOf", [schema])
    return " or ".join(dict.fromkeys(_type_name(part) for part in parts))


def _type_name(part: "dict[str, object]") -> str:
    if "$ref" in part:
        return str(part["$ref"]).rsplit("/", 1)[-1]
    if isinstance(values := part.get("enum"), list):
        return ", ".join(f"`{value}`" for value in values)
    return " ".join(str(word) for word in (part.get("type", "any"), part.get("format")) if word)


def _settings() -> str:
    rows = [
        (f"`{PREFIX}{name.upper()}`", _default(name), SETTINGS[name].meaning) for name in Settings.__struct_fields__
    ]
    return (
        "# Settings\n\nAll settings are environment variables. `triggerhub up` needs none of them. Sizes are bytes or "
        f"have a unit: `512KB`, `10MB`, `1GB`. An empty variable counts as absent, except `{PREFIX}OUTBOUND_ALLOW`. "
        "`triggerhub doctor` shows what is in force.\n\n" + _table(("variable", "default", "meaning"), rows)
    )


def _default(name: str) -> str:
    value = getattr(Settings(), name)
    return SETTINGS[name].default or ("none" if value in {"", ()} else f"`{value}`")


def _commands() -> str:
    (script,) = entry_points(group="console_scripts", name="triggerhub")
    group: click.Group = import_module(f"{script.module}.commands").main
    parts = [_command(name, command) for name, command in group.commands.items()]
    return (
        "# Commands\n\nIn a checkout the program is `.venv/bin/triggerhub`. Commands that are started beside a running "
        "`up` find its servers, ports and secrets in the data directory.\n\n" + "\n\n".join(parts)
    )


def _command(name: str, command: click.Command) -> str:
    usage = " ".join(["triggerhub", name, *command.collect_usage_pieces(click.Context(command))])
    return f"## {name}\n\n{_lines(command.help)}\n\n    {usage}"


def _table(heading: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    titles = list(heading)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _code(value: Json) -> str:
    return _code_text(json.dumps(value, ensure_ascii=False))


def _code_text(text: str) -> str:
    """Inline code that survives a table; a line break is shown as ⏎."""
    shown = text.replace("\n", "⏎")
    return f"`` {shown} ``" if shown.strip() else "(empty)"


def _lines(text: str | None) -> str:
    return " ".join((text or "").split())


REFERENCES = {
    "actions": Reference("Actions", "what steps can do, with all their fields", _actions),
    "operators": Reference("Operators", "what conditions and filters of hooks compare with", _operators),
    "filters": Reference("Template filters", "each with an example and its result", _filters),
    "problems": Reference("Problems", "the codes of refusals", _problems),
    "events": Reference("Events", "what the log consists of", _events),
    "settings": Reference("Settings", "environment variables", _settings),
    "commands": Reference("Commands", "of the program triggerhub", _commands),
}
"""All pages by name, in the order of the navigation."""
