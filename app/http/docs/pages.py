"""The addresses under /docs."""

import gzip
from functools import cache
from html import escape
from pathlib import Path
from typing import Annotated

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import Parameter
from litestar.response import Redirect

from app.http.docs import layout
from app.http.docs.guides import ORDER, guides
from app.http.docs.markdown import to_html
from app.http.docs.reference import REFERENCES
from app.http.problems import Problem

_HERE = Path(__file__).parent
_JS, _CSS = "text/javascript", "text/css"
_ASSETS = {
    "docs.css": ("static/docs.css", _CSS),
    "start.js": ("static/start.js", _JS),
    "verify_proof.py": ("verify_proof.py", "text/x-python"),
    "swagger-ui.css": ("swagger_ui/swagger-ui.css.gz", _CSS),
    "swagger-ui-bundle.js": ("swagger_ui/swagger-ui-bundle.js.gz", _JS),
}
_VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI writes style attributes; it needs nothing else that is not a file of ours."""
_VIEWER = (
    layout.head("API", '<link rel="stylesheet" href="/docs/assets/swagger-ui.css">')
    + f'<body class="viewer">{layout.top("/docs")}<div id="api"><noscript>This page needs JavaScript. '
    'The document itself is <a href="/schema/openapi.json">/schema/openapi.json</a>.</noscript></div>'
    '<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/assets/start.js"></script>'
    "</body></html>"
)
Name = Annotated[str, Parameter(max_length=100)]


@get("/docs", include_in_schema=False)
async def api() -> Response[str]:
    """Every operation of the API, with a way to try it."""
    return layout.respond(_VIEWER, _VIEWER_POLICY)


@get("/docs/assets/{name:str}", include_in_schema=False)
async def asset(request: "Request[object, object, State]", name: Name) -> Response[bytes]:
    """A style sheet or a script."""
    if name not in _ASSETS:
        raise Problem("not_found", "there is no such file; start at /docs")
    content, media_type, packed = _load(name)
    headers = {"cache-control": "public, max-age=300", "vary": "accept-encoding"}
    if packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
    elif packed:
        content = gzip.decompress(content)
    return Response(content, media_type=media_type, headers=headers)


@cache
def _load(name: str) -> tuple[bytes, str, bool]:
    """The file's bytes, its media type, and whether they are compressed."""
    file, media_type = _ASSETS[name]
    return (_HERE / file).read_bytes(), media_type, file.endswith(".gz")


@get("/docs/guide", include_in_schema=False)
async def first_guide() -> Redirect:
    """The guide begins with its first page."""
    return Redirect(f"/docs/guide/{ORDER[0]}")


@get("/docs/guide/{name:str}", include_in_schema=False, sync_to_thread=True)
def guide(name: Name) -> Response[str]:
    """One page of the guide."""
    if name not in ORDER:
        raise Problem("not_found", "there is no such page; the guide starts at /docs/guide")
    found = guides()[name]
    return layout.page(found.title, found.html, f"/docs/guide/{name}")


@get("/docs/reference", include_in_schema=False, sync_to_thread=True)
def references() -> Response[str]:
    """What can be looked up."""
    items = "".join(
        f'<li><a href="/docs/reference/{name}">{escape(reference.title)}</a>: {escape(reference.about)}'
        for name, reference in REFERENCES.items()
    )
    return layout.page("Reference", f"<h1>Reference</h1><ul>{items}</ul>", "/docs/reference")


@get("/docs/reference/{name:str}", include_in_schema=False, sync_to_thread=True)
def reference(name: Name) -> Response[str]:
    """One page of the reference."""
    if name not in REFERENCES:
        raise Problem("not_found", "there is no such page; the reference starts at /docs/reference")
    return layout.page(REFERENCES[name].title, _written(name), f"/docs/reference/{name}")


@get("/docs/problems", include_in_schema=False, sync_to_thread=True)
def problems() -> Response[str]:
    """Every `code` of a refusal; the `type` of a problem leads here, to the anchor of its code."""
    return layout.page(REFERENCES["problems"].title, _written("problems"), "/docs/reference/problems")


@cache
def _written(name: str) -> str:
    return to_html(REFERENCES[name].write())


PAGES = [api, asset, first_guide, guide, references, reference, problems]
"""The route handlers."""
