"""Documentation that needs no other host: /docs is the OpenAPI document as one page, /docs/problems the refusals."""

from collections.abc import Iterator
from html import escape

from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIFormat,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    Schema,
)

from app.http.problems import KINDS

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font:.9em ui-monospace,monospace}summary{cursor:pointer;padding:.2rem 0}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
_METHODS = ("get", "post", "put", "patch", "delete")


@get("/docs", media_type=MediaType.HTML, include_in_schema=False)
async def docs(request: "Request[object, object, State]") -> Response[str]:
    """Every operation of the API."""
    return _page("TriggerHub API", "".join(_operations(request.app.openapi_schema)))


@get("/docs/problems", media_type=MediaType.HTML, include_in_schema=False)
async def problems() -> Response[str]:
    """Every `code` that a refusal can have; the `type` of a problem leads here."""
    rows = "".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code><td>{kind.status}<td>{escape(kind.title)}'
        for kind in KINDS.values()
    )
    return _page("Problems", f"<table><tr><th>code</th><th>status</th><th>meaning</th></tr>{rows}</table>")


def describe_hooks(schema: OpenAPI) -> None:
    """Add the catch URLs, which are raw ASGI, to the document."""
    parameters: list[Parameter | Reference] = [
        Parameter(
            name=name, param_in="path", required=True, schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)
        )
        for name in ("user_id", "zap_id")
    ]
    key = "The sender's id of this delivery: repeats with the same one are answered with the first run"
    parameters.append(Parameter(name="Idempotency-Key", param_in="header", description=key))
    operation = Operation(
        operation_id="catchHook",
        tags=["Webhooks"],
        summary="Start a run of a zap, with any method and body",
        description=(
            "200 means stored: {status: accepted or duplicate, run_id, position}, unless the zap says otherwise; "
            "of a paused zap that holds requests {status: held or duplicate, request_id, position}. "
            "401: the signature is wrong; 409: the zap is paused; 429: over its limit; 503: come again."
        ),
        parameters=parameters,
        responses={"200": OpenAPIResponse(description="The request is committed to the log")},
    )
    assert schema.paths is not None
    schema.paths["/hooks/catch/{user_id}/{zap_id}"] = PathItem(post=operation)


def _page(title: str, body: str) -> Response[str]:
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'<h1>{title}</h1><p><a href="/docs">Operations</a> · <a href="/docs/problems">Problems</a> · '
        f'<a href="/schema/openapi.json">OpenAPI document</a></p>{body}</html>'
    )
    return Response(html, media_type=MediaType.HTML, headers=_HEADERS)


def _operations(schema: OpenAPI) -> Iterator[str]:
    tag = ""
    for path, method, operation in sorted(_all(schema), key=lambda found: (found[2].tags or [""])[0]):
        group = (operation.tags or [""])[0]
        if group != tag:
            tag = group
            yield f"<h2>{escape(tag)}</h2>"
        yield _details(path, method, operation)


def _all(schema: OpenAPI) -> Iterator[tuple[str, str, Operation]]:
    for path, item in (schema.paths or {}).items():
        assert isinstance(item, PathItem)
        for method in _METHODS:
            operation = getattr(item, method)
            if operation is not None:
                yield path, method.upper(), operation


def _details(path: str, method: str, operation: Operation) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(item.name)}</code><td>{item.param_in}<td>{escape(item.description or '')}"
        for item in operation.parameters or []
        if isinstance(item, Parameter)
    )
    return (
        f"<details><summary><code>{method} {escape(path)}</code> {escape(operation.summary or '')}</summary>"
        f"<p>{escape(operation.description or '')}</p><table>{parameters}</table></details>"
    )
