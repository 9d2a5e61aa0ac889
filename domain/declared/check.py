"""All that is wrong with the file of a connector, at once: what it holds, and what it names that is not there."""

from collections.abc import Iterator, Mapping

import msgspec

from domain.connector import headers as header_rules
from domain.connector import url as urls
from domain.connector.poll import PACE
from domain.declared import form
from domain.declared.fields import schema_of, schema_of_field
from domain.declared.file import Action, Choice, Connection, ConnectorFile, ErrorRule, Field, Polled, Register, Request
from domain.declared.filling import SEGMENT, slots
from domain.declared.reading import Unreadable, read
from domain.declared.structure import MAX_MISTAKES, Mistake, Place, mistakes, unknown
from domain.hook import config as hook
from domain.values.json import Json
from domain.values.path import parse_path

HOOK_FIELDS = ("hook_id", "hook_name")
"""What paths of a registration may hold besides its own fields."""


class BadFile(ValueError):
    """A file that is no connector; `mistakes` has all that is wrong with it, sorted by pointer."""

    def __init__(self, found: list[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.pointer or '/'}: {mistake.reason}" for mistake in found[:3]))
        self.mistakes = found


def load(content: bytes) -> ConnectorFile:
    """The connector of a file. Raises BadFile."""
    try:
        value = read(content)
    except Unreadable as error:
        raise BadFile([Mistake((), "unreadable", str(error))]) from None
    return loaded(value)


def loaded(value: Json) -> ConnectorFile:
    """The same for what a file holds."""
    found = list(mistakes(ConnectorFile, value))
    if not found:
        file = msgspec.convert(value, ConnectorFile)
        found = list(_of_file(file))
    if found:
        raise BadFile(sorted(dict.fromkeys(found), key=lambda mistake: mistake.at)[:MAX_MISTAKES])
    return file


def _of_file(file: ConnectorFile) -> Iterator[Mistake]:
    yield from _of_address(file.base_url, ("base_url",))
    yield from _of_connection(file.connection, file)
    yield from _of_headers(file.headers, ("headers",))
    yield from _of_rules(file.errors, ("errors",), None, file)
    for id_, action in file.actions.items():
        yield from _of_action(action, ("actions", id_), file)
    for name, choice in file.choices.items():
        yield from _of_choice(choice, ("choices", name), file)
    for name, preset in file.triggers.items():
        for path, reason in hook.problems(preset.config).items():
            yield Mistake(("triggers", name, "config", *path.split(".")), "invalid", reason)
        if preset.poll:
            yield from _of_poll(preset.poll, ("triggers", name, "poll"), file)
        if preset.register:
            yield from _of_register(preset.register, ("triggers", name, "register"), file)
    if not file.actions and not file.triggers:
        yield Mistake(("actions",), "required", "a connector has an action or a trigger")


def _of_address(url: str, at: Place) -> Iterator[Mistake]:
    wrong = urls.check(SEGMENT.sub("x", url))
    if any(found[2] for found in SEGMENT.finditer(url)):
        wrong = "a part of the address is one name: {name}"
    if wrong or "?" in url or "#" in url:
        yield Mistake(at, "invalid", wrong or "it can't have a query")


def _of_connection(connection: Connection, file: ConnectorFile) -> Iterator[Mistake]:
    at: Place = ("connection",)
    if connection.kind == "api_key" and not (connection.in_ and connection.name):
        yield Mistake((*at, "name"), "required", "say `in` and `name`: where an API key goes, and how it is called")
    if connection.kind == "oauth2" and not connection.token_url:
        yield Mistake((*at, "token_url"), "required", "OAuth 2.0 needs the address that gives tokens")
    for name in ("authorize_url", "token_url"):
        url = getattr(connection, name)
        if url and not url.startswith("https://"):
            yield Mistake((*at, name), "invalid", "must begin with https://")
    if connection.test:
        yield from _of_request(connection.test, (*at, "test"), {}, file, roots=frozenset())


def _of_action(action: Action, at: Place, file: ConnectorFile) -> Iterator[Mistake]:
    if bool(action.request) == bool(action.operation):
        yield Mistake((*at, "request"), "required", "an action has a request, or is imported with an operation")
    for name in action.input:
        yield from _of_field(name, (*at, "input", name), action.input, file)
    if action.operation and action.operation.server:
        yield from _of_address(action.operation.server, (*at, "operation", "server"))
    if action.request:
        yield from _of_request(
            action.request, (*at, "request"), action.input, file, roots=frozenset({"input", "key", "short_key"})
        )
        yield from _of_unused(action, at, file)
        if not action.output:
            yield Mistake((*at, "output"), "required", "say what later steps see, with a sample")
    yield from _of_rules(action.errors, (*at, "errors"), action, file)
    if action.output and action.output.pick:
        yield from _of_path(action.output.pick, (*at, "output", "pick"))
    if action.example:
        for path, reason in form.problems(schema_of(action), dict(action.example)).items():
            yield Mistake((*at, "example", *_keys(path)), "invalid", reason)


def _of_field(name: str, at: Place, fields: Mapping[str, Field], file: ConnectorFile) -> Iterator[Mistake]:
    field = fields[name]
    if field.choices and field.choices not in file.choices:
        yield msgspec.structs.replace(
            unknown(field.choices, file.choices, at), at=(*at, "choices"), code="unknown_choices"
        )
    for other in field.depends_on:
        if other not in fields or other == name:
            yield msgspec.structs.replace(unknown(other, fields, at), at=(*at, "depends_on"))
    if field.default is not msgspec.UNSET:
        for path, reason in form.problems(schema_of_field(field), field.default).items():
            yield Mistake((*at, "default", *_keys(path)), "invalid", reason)


def _of_unused(action: Action, at: Place, file: ConnectorFile) -> Iterator[Mistake]:
    assert action.request
    said: Json = msgspec.to_builtins(action.request)
    used = {slot.name.split(".")[1] for slot in slots(said) if slot.name.startswith("input.")}
    used |= {slot.name.split(".")[1] for slot in slots(dict(file.headers)) if slot.name.startswith("input.")}
    addresses = file.base_url + (action.request.path or "")
    used |= {found[1].split(".")[0] for found in SEGMENT.finditer(addresses)}
    for name in action.input:
        if name not in used:
            yield Mistake((*at, "input", name), "unused", "the request does not use this field")


def _of_request(
    request: Request, at: Place, fields: Mapping[str, object], file: ConnectorFile, roots: frozenset[str]
) -> Iterator[Mistake]:
    if bool(request.path) == bool(request.url):
        yield Mistake((*at, "path"), "required", "a request has a path below base_url, or a url that a field gives")
    if isinstance(request.path, str):
        yield from _of_request_path(request.path, (*at, "path"), fields, is_open=not roots)
        for found in SEGMENT.finditer(file.base_url):
            if roots and found[1] not in fields:
                reason = f"base_url needs the field {found[1]}: declare it, or name it in depends_on"
                yield Mistake((*at, "path"), "unknown_field", reason)
    elif request.url and not file.hosts:
        yield Mistake(("hosts",), "required", "say at which hosts the addresses may be that a field gives")
    kinds = ("json", "form", "text", "multipart", "binary")
    bodies = [name for name in kinds if getattr(request, name) is not msgspec.UNSET]
    is_get = request.method == "GET"
    for name in bodies if is_get else bodies[1:]:
        reason = "a GET has no body" if is_get else f"a request has one body: {bodies[0]} is there already"
        yield Mistake((*at, name), "not_allowed", reason)
    yield from _of_headers(request.headers, (*at, "headers"))
    for slot in slots(msgspec.to_builtins(request), at):
        yield from _of_slot(slot.name, slot.at, fields, roots)


def _of_request_path(path: str, at: Place, fields: Mapping[str, object], *, is_open: bool) -> Iterator[Mistake]:
    plain = SEGMENT.sub("x", path)
    if not path.startswith("/") or "//" in path or "?" in path or "#" in path or "{" in plain or "/../" in f"{plain}/":
        yield Mistake(at, "invalid", "must begin with /, without a query; {name} stands for the value of a field")
    for found in SEGMENT.finditer(path):
        name = found[1].split(".")[0]
        field = fields.get(name)
        if name not in fields and not is_open:
            yield msgspec.structs.replace(unknown(name, fields, at), at=at)
        elif isinstance(field, Field) and not field.required and field.default is msgspec.UNSET:
            yield Mistake(at, "not_required", f"the path needs {name}: the field has to be required, or have a default")


def _of_slot(name: str, at: Place, fields: Mapping[str, object], roots: frozenset[str]) -> Iterator[Mistake]:
    root, _, rest = name.partition(".")
    if root not in roots:
        known = " or ".join(f"{{{{ {one}{'.name' * (one == 'input')} }}}}" for one in sorted(roots)) or "nothing"
        yield Mistake(at, "invalid", f"only {known} may stand in a request")
    elif root == "input" and rest.split(".")[0] not in fields:
        field = rest.split(".")[0]
        yield msgspec.structs.replace(unknown(field, fields, at), at=at, code="unknown_field")


def _of_choice(choice: Choice, at: Place, file: ConnectorFile) -> Iterator[Mistake]:
    fields = dict.fromkeys(choice.depends_on)
    roots = frozenset({"input", "search", "cursor"})
    yield from _of_request(choice.request, (*at, "request"), fields, file, roots)
    for name in ("items", "value", "label", "hint"):
        path = getattr(choice, name)
        if path:
            yield from _of_path(path, (*at, name))


def _of_poll(poll: Polled, at: Place, file: ConnectorFile) -> Iterator[Mistake]:
    for name in poll.input:
        yield from _of_field(name, (*at, "input", name), poll.input, file)
        if name in PACE:
            yield Mistake((*at, "input", name), "taken", "every trigger that polls has this field")
    yield from _of_request(poll.request, (*at, "request"), poll.input, file, frozenset({"input", "cursor"}))
    if "cursor" in str(msgspec.to_builtins(poll.request)) and not poll.cursor:
        yield Mistake((*at, "cursor"), "required", "the request has {{ cursor }}: say where in an item that is")
    if poll.next_page and poll.next_page.in_ == "body" and not isinstance(poll.request.json, dict):
        yield Mistake((*at, "next_page", "in"), "invalid", "needs a request with `json`, as the token is a field of it")
    paths = {"items": poll.items, "key": poll.key}
    paths |= {f"changed_by/{number}": path for number, path in enumerate(poll.changed_by)}
    paths |= {"cursor/path": poll.cursor.path} if poll.cursor else {}
    paths |= {"next_page/token": poll.next_page.token} if poll.next_page else {}
    for name, path in paths.items():
        if path:
            yield from _of_path(path, (*at, *name.split("/")))
    if poll.detail and not poll.detail.startswith("/"):
        yield Mistake((*at, "detail"), "invalid", "must begin with /; {name} stands for a field of an item")


def _of_register(register: Register, at: Place, file: ConnectorFile) -> Iterator[Mistake]:
    for name in register.input:
        yield from _of_field(name, (*at, "input", name), register.input, file)
    named: dict[str, object] = dict.fromkeys(HOOK_FIELDS)
    given, roots = {**register.input, **named}, frozenset({"input", "hook"})
    yield from _of_request(register.create, (*at, "create"), given, file, roots)
    yield from _of_request(register.find.request, (*at, "find", "request"), given, file, roots)
    yield from _of_request(register.remove, (*at, "remove"), given, file, roots)
    for name, path in {"id": register.id, "secret": register.secret}.items():
        if path:
            yield from _of_path(path, (*at, name))
    for name in ("items", "inside", "url", "id"):
        path = getattr(register.find, name)
        if path:
            yield from _of_path(path, (*at, "find", name))


def _of_rules(rules: tuple[ErrorRule, ...], at: Place, action: Action | None, file: ConnectorFile) -> Iterator[Mistake]:
    for index, rule in enumerate(rules):
        if rule.read:
            yield from _of_read(rule.read, rule.outcome, (*at, str(index), "read"), action, file)
        for name in ("code", "message", "retry_after"):
            path = getattr(rule, name)
            if path:
                yield from _of_path(path, (*at, str(index), name))
        for path in rule.when.body or {}:
            yield from _of_path(path, (*at, str(index), "when", "body", path))


def _of_read(
    request: Request, outcome: str, at: Place, action: Action | None, file: ConnectorFile
) -> Iterator[Mistake]:
    if action is None or outcome != "succeed":
        yield Mistake(at, "not_allowed", "only an action's own rule may read, where the answer counts as a success")
        return
    carries = action.idempotency.removeprefix("field:")  # which has the step's key where nobody has set it
    fields = {name: None if name == carries else field for name, field in action.input.items()}
    yield from _of_request(request, at, fields, file, roots=frozenset({"input"}))


def _of_path(path: str, at: Place) -> Iterator[Mistake]:
    try:
        parse_path(f"it{path}" if path.startswith("[") else f"it.{path}")
    except ValueError:
        yield Mistake(at, "invalid", f"{path[:50]!r} is no path, such as data.items[0].id")


def _of_headers(headers: Mapping[str, Json], at: Place) -> Iterator[Mistake]:
    for name in headers:
        wrong = header_rules.name_problem(name)
        if wrong:
            yield Mistake((*at, name), "invalid", wrong)


def _keys(path: str) -> Place:
    return tuple(key for key in path.split(".") if key)
