"""Where the document is: /schema/openapi.json and /schema/openapi.yaml."""

from functools import cached_property

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State

from app.http.openapi.document import document
from app.http.openapi.notes import Doc
from app.http.openapi.yaml import to_yaml
from domain.connector.catalog import Catalog


class Document:
    """The document of an application, made when it is first asked for: most processes never are."""

    def __init__(self, app: Litestar, catalog: Catalog) -> None:
        self._app = app
        self._catalog = catalog

    @cached_property
    def _made(self) -> Doc:
        return document(self._app, self._catalog)

    @cached_property
    def json(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self._made)

    @cached_property
    def yaml(self) -> str:
        """As YAML."""
        return to_yaml(self._made)


@get("/schema/openapi.json", include_in_schema=False, sync_to_thread=True)
def as_json(request: "Request[object, object, State]") -> Response[bytes]:
    """The document as JSON."""
    return Response(request.app.state.openapi.json, media_type="application/json")


@get("/schema/openapi.yaml", include_in_schema=False, sync_to_thread=True)
def as_yaml(request: "Request[object, object, State]") -> Response[str]:
    """The document as YAML."""
    return Response(request.app.state.openapi.yaml, media_type="application/yaml")
