"""Where the document is: /schema/openapi.json and /schema/openapi.yaml."""

from litestar import Request, Response, get
from litestar.datastructures import State

from app.http.openapi.yaml import to_yaml


@get("/schema/openapi.json", include_in_schema=False)
async def as_json(request: "Request[object, object, State]") -> Response[bytes]:
    """The document as JSON."""
    return Response(request.app.state.openapi_json, media_type="application/json")


@get("/schema/openapi.yaml", include_in_schema=False, sync_to_thread=True)
def as_yaml(request: "Request[object, object, State]") -> Response[str]:
    """The document as YAML."""
    return Response(to_yaml(request.app.state.openapi), media_type="application/yaml")
