"""The OpenAPI 3.1 document, made from the routes: their types, parameters, docstrings and notes."""

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.http.openapi import hook
from app.http.openapi.examples import EXAMPLES, STREAM
from app.http.openapi.links import add_links
from app.http.openapi.notes import EVENT_STREAM, HEADERS, Doc, Notes, of
from app.http.openapi.refusals import Refusals, codes
from app.http.openapi.schemas import Schemas
from app.http.parameters import Parameter, parameters
from app.http.problems import ProblemDetails
from domain.connector.catalog import Catalog

_DESCRIPTION = (
    "Zaps start runs of actions for webhooks, and everything that happened can be read, searched and replayed. "
    "Requests are read strictly: unknown names are errors, and a refusal lists all that is wrong."
)
_TAGS = {
    "Authentication": "Accounts, sessions and who one is.",
    "API keys": "Credentials for programs.",
    "Catalog": "What zaps can be made of.",
    "Zaps": "A trigger and steps: drafts, published versions, and whether requests are taken.",
    "Triggers": "When zaps start by themselves, and what came of it.",
    "System": "How large this installation is, and what lags.",
    "Templates": "What a template gives, before a zap uses it.",
    "Connections": "What zaps call others with: credentials that can be set, tried and used, and never read.",
    "Variables": "Values with names that all zaps share.",
    "Webhooks": "The hook of a zap: its secrets, and the requests that started no run.",
    "Runs": "What happened, and how to make it happen again.",
    "History": "What things were, who changed what, and the differences.",
    "Audit": "Who did what, when and from where, and the proof that nobody changed the record.",
    "Approvals": "What runs ask people, and their answers.",
    "Live": "What happens, as it happens.",
    "Jobs": "Work on many runs or requests, which can be watched and stopped.",
    "Alerts": "Where alerts may be mailed to.",
    "Dead letters": "Runs that failed for good, grouped by cause.",
    "Health": "For load balancers and monitoring.",
}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route as the document shows it. `answers` has the type of each status that is no refusal."""

    path: str
    method: str
    handler: HTTPRouteHandler
    parameters: Sequence[Parameter]
    body: Any
    needs_body: bool
    answers: Mapping[int, Any]
    notes: Notes

    @property
    def private(self) -> bool:
        """Whether it needs credentials."""
        return bool(self.handler.resolve_guards())


def document(app: Litestar, catalog: Catalog) -> Doc:
    """The whole document, as JSON."""
    operations = list(_operations(app))
    types = [ProblemDetails, *hook.ALL_TYPES, *(wanted for operation in operations for wanted in _types(operation))]
    schemas = Schemas(types, catalog)
    refusals = Refusals()
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas, refusals)
    paths |= hook.paths(schemas, refusals)
    add_links(paths, schemas.components)
    described: Doc = {
        "openapi": "3.1.0",
        "info": {
            "title": "TriggerHub",
            "version": version("triggerhub"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This TriggerHub"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": dict(sorted(refusals.components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key"}
            },
        },
    }
    return described


def _operations(app: Litestar) -> Iterator[Operation]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if handler.resolve_include_in_schema() and "OPTIONS" not in handler.http_methods:
                yield _operation(route.path_format, handler)


def _operation(path: str, handler: HTTPRouteHandler) -> Operation:
    (method,) = handler.http_methods
    notes = of(handler)
    data = handler.parsed_data_field
    answered = handler.parsed_return_field.annotation
    if typing.get_origin(answered) is Response:
        (answered,) = typing.get_args(answered)
    return Operation(
        path=path,
        method=method,
        handler=handler,
        parameters=parameters(handler),
        body=None if data is None else _without_none(data.annotation),
        needs_body=data is not None and not data.is_optional,
        answers={handler.status_code: notes.answer or answered} | dict(notes.statuses),
        notes=notes,
    )


def _without_none(annotation: Any) -> Any:
    (wanted,) = [part for part in typing.get_args(annotation) if part is not type(None)] or [annotation]
    return wanted


def _types(operation: Operation) -> Iterator[Any]:
    yield from (parameter.type for parameter in operation.parameters)
    yield from (wanted for wanted in operation.answers.values() if wanted not in (None, type(None)))
    if operation.body is not None:
        yield operation.body


def _described(operation: Operation, schemas: Schemas, refusals: Refusals) -> Doc:
    handler = operation.handler
    described: Doc = {
        "operationId": str(handler.operation_id),
        "tags": [tag for layer in handler.ownership_layers for tag in layer.tags or ()],
        "summary": handler.summary,
        "description": inspect.cleandoc(handler.fn.__doc__ or ""),
        "security": [{"bearer": []}] if operation.private else [],
    }
    checks_version = "version_conflict" in operation.notes.problems
    shown = [found for found in operation.parameters if found.name != "If-Match" or checks_version]
    if given := [_parameter(parameter, schemas) for parameter in shown]:
        described["parameters"] = given
    if operation.notes.replays and operation.private and operation.method == "POST":
        described["parameters"] = [*given, hook.IDEMPOTENCY_KEY]
    if operation.body is not None:
        content = {"application/json": _media(schemas.of(operation.body))}
        described["requestBody"] = {"required": operation.needs_body, "content": content}
    answers = {str(status): _answer(operation, status, wanted, schemas) for status, wanted in operation.answers.items()}
    described["responses"] = answers | refusals.of(codes(operation))
    return described


def _parameter(parameter: Parameter, schemas: Schemas) -> Doc:
    schema = schemas.of(parameter.type)
    if parameter.default is not None:
        schema = schema | {"default": parameter.default}
    described = parameter.description or _ABOUT.get(parameter.name, "")
    name = {"name": parameter.name, "in": parameter.place, "required": parameter.required}
    return {**name, "description": described, "schema": schema}


_ABOUT = {
    "name": "Its name",
    "version": "Such as 1.0.0",
    "choice": "The name that a field of an action gives under x-choices",
    "zap_id": "The id of a zap", "run_id": "The id of a run", "job_id": "The id of a job",
    "key_id": "The id of an API key", "session_id": "The id of a session", "step_id": "The id of a step",
    "connection_id": "The id of a connection", "file_id": "The id of a file: `$file` of its reference",
    "request_id": "The id of a request that started no run", "group_id": "The id of a group of failed runs",
    "number": "The number of a published version", "other": "The number of another one",
    "status": "Only those with this status",
    "source": "Only runs with this source", "reason": "Only those with this reason",
    "state": "Only groups in this state", "as_of": "As it was then: a time, or a position of the log",
    "zap_version": "Only runs of this published version", "order": "Highest, or newest, first; or the other way round",
    "min_position": "Wait a moment until the list includes this position of the log",
}  # fmt: skip


def _answer(operation: Operation, status: int, wanted: Any, schemas: Schemas) -> Doc:
    described: Doc = {"description": HTTPStatus(status).phrase}
    headers = {name: HEADERS[name] for name in operation.notes.headers}
    if headers and status == operation.handler.status_code:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    if wanted not in (None, type(None)):
        is_stream = operation.notes.media_type == EVENT_STREAM
        media = _stream(schemas.of(wanted)) if is_stream else _media(schemas.of(wanted))
        described["content"] = {operation.notes.media_type: media}
        if status == operation.handler.status_code:
            described["content"] |= {text: {"schema": {"type": "string"}} for text in operation.notes.texts}
    return described


def _stream(event: Doc) -> Doc:
    """A text of many events; of each, the schema is that of its data."""
    schema = {"type": "string", "contentMediaType": EVENT_STREAM, "contentSchema": event}
    return {"schema": schema, "example": STREAM}


def _media(schema: Doc) -> Doc:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name.endswith("Page") and name.removesuffix("Page") in EXAMPLES:
        return {"schema": schema, "example": {"items": [EXAMPLES[name.removesuffix("Page")]], "next_cursor": None}}
    return {"schema": schema, "example": EXAMPLES[name]} if name in EXAMPLES else {"schema": schema}
