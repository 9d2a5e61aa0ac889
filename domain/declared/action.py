"""An action of a file: what it sends, and its descriptor, which is like that of any other action."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from domain.connection.hosts import fixed_host, is_named
from domain.connection.kinds import HTTP_KINDS, Kind
from domain.connector.config import BadConfig
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Failed, Outcome
from domain.connector.uses import Uses
from domain.declared.answers import rule_of, settled
from domain.declared.fields import schema_of
from domain.declared.file import Action, Connection, ConnectorFile, ErrorRule, Imported, Output, Request
from domain.declared.filling import Absent, fill, fill_base, fill_fields, fill_path
from domain.declared.form import problems, read
from domain.declared.operation import bracketed, request_of
from domain.values.json import Json, JsonObject

Perform: TypeAlias = Callable[[JsonObject, ActionContext], Awaitable[Outcome]]
"""Sends what a config of http.request says, and gives what came of it."""
NO_OUTPUT = Output(sample=None, response="auto")


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """One action with all that it needs of its file: it is kept, found and used alone."""

    connector: str
    version: str
    title: str
    icon: str
    base_url: str
    hosts: tuple[str, ...]
    connection: Connection
    headers: dict[str, Json]
    errors: tuple[ErrorRule, ...]
    id: str
    action: Action

    @property
    def type(self) -> str:
        """What steps name."""
        return f"{self.connector}.{self.id}"


def declared(file: ConnectorFile) -> list[Declared]:
    """The actions of a file."""
    return [
        Declared(
            connector=file.connector,
            version=file.version,
            title=file.name,
            icon=file.icon,
            base_url=file.base_url.rstrip("/"),
            hosts=file.hosts,
            connection=file.connection,
            headers=file.headers,
            errors=(*action.errors, *file.errors),
            id=id_,
            action=action,
        )
        for id_, action in file.actions.items()
    ]


def descriptor(known: Declared, perform: Perform) -> ActionDescriptor:
    """The action as the catalog and the runner have it."""
    action, schema = known.action, schema_of(known.action)
    output = action.output or NO_OUTPUT

    async def run(config: JsonObject, context: ActionContext) -> Outcome:
        try:
            given = read(schema, config)
            outcome = await perform(request(known, given, context.idempotency_key), context)
            rule = rule_of(outcome, known.errors)
            if rule and rule.read:
                outcome = await perform(_to_read(known, rule.read, given, context.idempotency_key), context)
        except BadConfig as error:
            return Failed(code="bad_config", message=str(error))
        return settled(outcome, known.errors, output)

    return ActionDescriptor(
        type=known.type,
        name=f"{known.title}: {action.name}",
        description=action.description or action.name,
        icon=known.icon,
        run=run,
        schema=schema,
        check=lambda saved: problems(schema, saved),
        example=action.example or None,
        sample=output.sample,
        idempotent=action.effect != "create" or action.idempotency != "none",
        connection=_uses(known),
    )


def _uses(known: Declared) -> Uses | None:
    kinds = [kind for kind in (known.connection.kind, *known.connection.kinds) if kind != "none"]
    if not kinds:
        return None
    fitting: tuple[Kind, ...] = tuple(kind for kind in HTTP_KINDS if kind in kinds) or HTTP_KINDS
    return Uses(host=lambda config: _host(known, config), kinds=fitting, required=known.connection.required)


def _host(known: Declared, config: JsonObject) -> str:
    """Where a config as saved leads; empty where only data can tell."""
    own = known.action.operation.server if known.action.operation else ""
    try:
        return fixed_host(own or fill_base(known.base_url, config))
    except BadConfig:
        return ""


def _with_key(action: Action, given: JsonObject, key: str) -> JsonObject:
    """The input with the step's key in the field that carries it, unless that is set: 32 digits and letters a to f."""
    name = action.idempotency.removeprefix("field:")
    if name not in action.input or given.get(name) is not None:
        return given
    return {**given, name: hashlib.sha256(key.encode()).hexdigest()[:32]}


def short(key: str) -> str:
    """An idempotency key within 24 characters, for services that take no more."""
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()[:18]).decode()


def request(known: Declared, given: JsonObject, key: str) -> JsonObject:
    """The config of http.request for some input. `key` is the step's idempotency key. Raises BadConfig."""
    action = known.action
    given = _with_key(action, given, key)
    if isinstance(action.operation, Imported):
        sent = request_of(known.base_url, action.operation, given)
    else:
        assert isinstance(action.request, Request)
        sent = filled(
            known.base_url, action.request, {"input": given, "key": key, "short_key": short(key)}, known.hosts
        )
    headers = fill_fields(known.headers, {"input": given})
    if action.idempotency.startswith("header:"):
        headers[action.idempotency.removeprefix("header:")] = key
    own = sent.get("headers")
    if headers or own:
        sent["headers"] = {**headers, **(own if isinstance(own, dict) else {})}
    if action.output:
        sent["response"] = action.output.response
        if action.output.max_bytes:
            sent["max_bytes"] = action.output.max_bytes
    return sent


def _to_read(known: Declared, wanted: Request, given: JsonObject, key: str) -> JsonObject:
    """The config of http.request that reads what an attempt before has made. Raises BadConfig."""
    scope: JsonObject = {"input": _with_key(known.action, given, key)}
    sent = filled(known.base_url, wanted, scope, known.hosts)
    if headers := fill_fields(known.headers, scope):
        own = sent.get("headers")
        sent["headers"] = {**headers, **(own if isinstance(own, dict) else {})}
    return sent


def filled(base_url: str, wanted: Request, scope: JsonObject, hosts: tuple[str, ...] = ()) -> JsonObject:
    """The config of http.request that a request of a file makes. Raises BadConfig."""
    sent: JsonObject = {"method": wanted.method, "url": _url(base_url, wanted, scope, hosts)}
    query, headers = fill_fields(wanted.query, scope), fill_fields(wanted.headers, scope)
    if query:
        sent["query"] = query
    if headers:
        sent["headers"] = headers
    if wanted.json is not msgspec.UNSET:
        sent |= {"body": _body(wanted.json, scope), "body_type": "json"}
    elif wanted.form is not msgspec.UNSET:
        sent |= {"body": bracketed(fill_fields(wanted.form, scope)), "body_type": "form"}
    elif wanted.text is not msgspec.UNSET:
        sent |= {"body": _body(wanted.text, scope), "body_type": "text"}
    elif wanted.multipart is not msgspec.UNSET:
        sent |= {"body": fill_fields(wanted.multipart, scope), "body_type": "multipart"}
    elif wanted.binary is not msgspec.UNSET:
        sent |= {"body": _body(wanted.binary, scope), "body_type": "binary"}
    if wanted.timeout_s:
        sent["timeout_s"] = wanted.timeout_s
    return sent


def _body(wanted: Json, scope: JsonObject) -> Json:
    """An object stays one, also where all its fields are absent."""
    if isinstance(wanted, dict):
        return fill_fields(wanted, scope)
    found = fill(wanted, scope)
    return None if isinstance(found, Absent) else found


def _url(base_url: str, wanted: Request, scope: JsonObject, hosts: tuple[str, ...]) -> str:
    given = scope.get("input")
    if isinstance(wanted.url, str):
        url = fill(wanted.url, scope)
        host = urlsplit(url).hostname if isinstance(url, str) and url.startswith("https://") else None
        if not isinstance(url, str) or not host or not is_named(host, hosts):
            raise BadConfig(f"the address has to begin with https:// and be at {' or '.join(hosts)}")
        return url
    assert isinstance(wanted.path, str)
    fields = given if isinstance(given, dict) else {}
    return fill_base(base_url, fields) + fill_path(wanted.path, fields)
