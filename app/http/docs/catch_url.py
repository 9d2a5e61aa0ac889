"""The catch URL in the OpenAPI document: it is served as raw ASGI, which Litestar cannot describe."""

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
