"""Swagger 2.0 and Google's discovery documents, written as OpenAPI 3."""

from domain.imported.pointers import as_list, as_object, resolved
from domain.values.json import Json, JsonObject

_COLLECTIONS: dict[str, JsonObject] = {
    "csv": {"style": "form", "explode": False},
    "ssv": {"style": "spaceDelimited", "explode": False},
    "pipes": {"style": "pipeDelimited", "explode": False},
    "multi": {"style": "form", "explode": True},
}
_OF_A_SCHEMA = (
    "type", "format", "enum", "default", "items", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "description",
)  # fmt: skip
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def from_swagger(document: JsonObject) -> JsonObject:
    """A Swagger 2.0 document (OpenAPI 2.0) as OpenAPI 3.0."""
    schemes = document.get("schemes")
    scheme = "https" if not isinstance(schemes, list) or "https" in schemes or not schemes else str(schemes[0])
    host = document.get("host")
    base = document.get("basePath") or ""  # without a host, of where the document is
    consumes = as_list(document.get("consumes"))
    paths: JsonObject = {
        path: _swagger_path(document, resolved(document, item), consumes)
        for path, item in as_object(document.get("paths")).items()
    }
    return {
        "openapi": "3.0.3",
        "info": document.get("info"),
        "servers": [{"url": f"{scheme}://{host}{base}" if host else str(base)}],
        "paths": paths,
        "definitions": document.get("definitions"),  # where references lead
        "components": {
            "securitySchemes": {
                name: _swagger_scheme(as_object(one))
                for name, one in as_object(document.get("securityDefinitions")).items()
            },
        },
    }


def _swagger_path(document: JsonObject, item: JsonObject, consumes: list[Json]) -> JsonObject:
    shared = as_list(item.get("parameters"))
    found: JsonObject = {}
    for method in METHODS:
        operation = item.get(method)
        if isinstance(operation, dict):
            how = as_list(operation.get("consumes")) or consumes
            parameters = [*shared, *as_list(operation.get("parameters"))]
            made = _swagger_operation(operation, [resolved(document, one) for one in parameters], how)
            responses: JsonObject = {
                status: {"content": {"application/json": {"schema": resolved(document, one).get("schema")}}}
                for status, one in as_object(operation.get("responses")).items()
            }
            found[method] = {**made, "responses": responses}
    return found


def _swagger_operation(operation: JsonObject, parameters: list[JsonObject], consumes: list[Json]) -> JsonObject:
    made = {name: value for name, value in operation.items() if name not in ("parameters", "responses", "consumes")}
    made["parameters"] = [_swagger_parameter(one) for one in parameters if one.get("in") not in ("body", "formData")]
    fields = [one for one in parameters if one.get("in") == "formData"]
    body = next((one for one in parameters if one.get("in") == "body"), None)
    if fields:
        made["requestBody"] = _form(fields, consumes)
    elif body is not None:
        media = str(consumes[0]) if consumes else "application/json"
        chosen = "application/json" if "application/json" in consumes or not consumes else media
        made["requestBody"] = {"required": body.get("required"), "content": {chosen: {"schema": body.get("schema")}}}
    return made


def _form(fields: list[JsonObject], consumes: list[Json]) -> JsonObject:
    files = any(one.get("type") == "file" for one in fields)
    form = "application/x-www-form-urlencoded"
    media = "multipart/form-data" if files or (consumes and form not in consumes) else form
    schema: JsonObject = {
        "type": "object",
        "properties": {str(one.get("name")): _schema(one) for one in fields},
        "required": [one.get("name") for one in fields if one.get("required") is True],
    }
    return {"required": bool(schema["required"]), "content": {media: {"schema": schema}}}


def _swagger_parameter(parameter: JsonObject) -> JsonObject:
    names: tuple[str, ...] = ("name", "in", "required", "description")
    kept: JsonObject = {name: parameter[name] for name in names if name in parameter}
    how: JsonObject = {}
    if parameter.get("type") == "array":
        how = _COLLECTIONS.get(str(parameter.get("collectionFormat") or "csv"), {})
    if parameter.get("in") != "query":
        how = {"explode": False} if how else {}
    return {**kept, **how, "schema": _schema(parameter)}


def _schema(parameter: JsonObject) -> JsonObject:
    return {name: parameter[name] for name in _OF_A_SCHEMA if name in parameter}


def _swagger_scheme(scheme: JsonObject) -> JsonObject:
    match scheme.get("type"):
        case "basic":
            return {"type": "http", "scheme": "basic"}
        case "oauth2":
            flow: JsonObject = {
                "authorizationUrl": scheme.get("authorizationUrl"),
                "tokenUrl": scheme.get("tokenUrl"),
                "scopes": scheme.get("scopes") or {},
            }
            return {"type": "oauth2", "flows": {"authorizationCode": flow}}
    return scheme


def from_discovery(document: JsonObject) -> JsonObject:
    """A Google discovery document as OpenAPI 3.0."""
    root, service = str(document.get("rootUrl") or ""), str(document.get("servicePath") or "")
    base = str(document.get("baseUrl") or root + service)
    paths: dict[str, JsonObject] = {}
    _add_methods(document, paths)
    scopes = as_object(as_object(as_object(document.get("auth")).get("oauth2")).get("scopes"))
    flow: JsonObject = {
        "authorizationUrl": "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent",
        "tokenUrl": "https://oauth2.googleapis.com/token",
        "scopes": dict.fromkeys(scopes, ""),
    }
    schemas = {name: _discovered(one) for name, one in as_object(document.get("schemas")).items()}
    return {
        "openapi": "3.0.3",
        "info": {"title": document.get("title"), "description": document.get("description")},
        "servers": [{"url": base.rstrip("/")}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"oauth2": {"type": "oauth2", "flows": {"authorizationCode": flow}}} if scopes else {},
        },
    }


def _add_methods(resource: JsonObject, paths: dict[str, JsonObject]) -> None:
    for method in as_object(resource.get("methods")).values():
        one = as_object(method)
        path = f"/{str(one.get('path') or one.get('flatPath') or '').lstrip('/')}"
        reserved = {name[1:] for name in _braced(path) if name.startswith("+")}
        plain = path.replace("{+", "{")
        item = paths.setdefault(plain, {})
        item[str(one.get("httpMethod") or "GET").lower()] = _method(one, reserved)
    for inner in as_object(resource.get("resources")).values():
        _add_methods(as_object(inner), paths)


def _braced(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _method(method: JsonObject, reserved: set[str]) -> JsonObject:
    parameters: list[Json] = []
    for name, value in as_object(method.get("parameters")).items():
        one = as_object(value)
        schema = _discovered({key: one[key] for key in _OF_A_SCHEMA if key in one})
        repeated = one.get("repeated") is True
        parameters.append(
            {
                "name": name,
                "in": one.get("location"),
                "required": one.get("required") is True or one.get("location") == "path",
                "description": one.get("description"),
                "schema": {"type": "array", "items": schema} if repeated else schema,
                "allowReserved": name in reserved,
            }
        )
    request, response = as_object(method.get("request")), as_object(method.get("response"))
    made: JsonObject = {
        "operationId": method.get("id"),
        "summary": str(method.get("id")),
        "description": method.get("description"),
        "tags": [str(method.get("id")).rpartition(".")[0]],
        "parameters": parameters,
        "responses": {"200": {"content": {"application/json": {"schema": _discovered(response)}}}} if response else {},
    }
    if request:
        made["requestBody"] = {"content": {"application/json": {"schema": _discovered(request)}}}
    return made


def _discovered(schema: Json) -> Json:
    """A schema of a discovery document: references are bare names, whole numbers may be texts."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return {"$ref": f"#/components/schemas/{schema['$ref']}"}
    made: JsonObject = {name: schema[name] for name in _OF_A_SCHEMA if name in schema and name != "items"}
    _retype(made)
    if schema.get("readOnly") is True:
        made["readOnly"] = True
    properties, items, more = schema.get("properties"), schema.get("items"), schema.get("additionalProperties")
    if isinstance(properties, dict):
        made["properties"] = {name: _discovered(one) for name, one in properties.items()}
    if items is not None:
        made["items"] = _discovered(items)
    if isinstance(more, dict):
        made["additionalProperties"] = _discovered(more)
    return made


def _retype(made: JsonObject) -> None:
    """Numbers and yes or no stand in discovery documents as texts."""
    if made.get("type") == "any":
        del made["type"]
    for name in ("minimum", "maximum", "default"):
        text = made.get(name)
        if not isinstance(text, str) or made.get("type") not in ("integer", "number", "boolean"):
            continue
        if made["type"] == "boolean":
            made[name] = text == "true"
        elif text.lstrip("-").replace(".", "", 1).isdigit():
            made[name] = float(text) if "." in text else int(text)
        else:
            del made[name]
