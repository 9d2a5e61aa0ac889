"""The request of an imported operation: its parameters in the styles of OpenAPI, its body as the document has it."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from domain.connector.config import BadConfig
from domain.declared.file import Imported, Parameter
from domain.language.spelling import as_json, spelled
from domain.values.headers import is_json
from domain.values.json import Json, JsonObject

FORM = "application/x-www-form-urlencoded"
BRACKETED = FORM + "; style=deepObject"
"""How an imported form says that nested values are written as `name[key]`."""


def request_of(base_url: str, operation: Imported, given: JsonObject) -> JsonObject:
    """The config of http.request for `{path, query, header, body}` as the document names them. Raises BadConfig."""
    sent: JsonObject = {
        "method": operation.method,
        "url": (operation.server or base_url) + _path(operation, _part(given, "path")),
    }
    query = dict(_pairs(operation, "query", _part(given, "query")))
    headers: JsonObject = {name: spelled(value) for name, value in _pairs(operation, "header", _part(given, "header"))}
    body = given.get("body")
    if body is not None and operation.body:
        kind = _kind(operation.body)
        sent |= {"body": bracketed(body) if operation.body == BRACKETED else body, "body_type": kind}
        if kind in {"text", "binary"} or (kind == "json" and operation.body != "application/json"):
            headers.setdefault("Content-Type", operation.body)
    if query:
        sent["query"] = query
    if headers:
        sent["headers"] = headers
    return sent


def _part(given: JsonObject, name: str) -> JsonObject:
    found = given.get(name)
    return found if isinstance(found, dict) else {}


def _kind(media_type: str) -> str:
    plain = media_type.partition(";")[0]
    if is_json(plain):
        return "json"
    known = {FORM: "form", "multipart/form-data": "multipart"}
    return known.get(plain) or ("text" if is_written(plain) else "binary")


def is_written(media_type: str) -> bool:
    """Whether a body of this type is a text that whoever uses it writes, such as XML."""
    return media_type.startswith("text/") or media_type.endswith(("xml", "yaml", "graphql", "ndjson"))


def _path(operation: Imported, given: JsonObject) -> str:
    path = operation.path
    for parameter in operation.parameters:
        if parameter.in_ == "path":
            path = path.replace("{" + parameter.name + "}", _segment(parameter, given.get(parameter.name)))
    return path


def _segment(parameter: Parameter, value: Json) -> str:
    parts = _parts(value)
    texts = [spelled(part).encode("utf-8", "replace") for part in parts]
    if not any(texts) or any(text in {b".", b".."} for text in texts):
        raise BadConfig(f"path.{parameter.name}: required, as a part of the address")
    joined = "/" if parameter.reserved else ","
    escaped = joined.join(quote(text, safe=":@/" if parameter.reserved else ":@") for text in texts)
    match parameter.style:
        case "label":
            return "." + escaped
        case "matrix":
            return f";{parameter.name}={escaped}"
    return escaped


def _parts(value: Json) -> list[Json]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    return [] if value is None else [value]


def _pairs(operation: Imported, place: str, given: JsonObject) -> Iterator[tuple[str, Json]]:
    for parameter in operation.parameters:
        if parameter.in_ == place and given.get(parameter.name) is not None:
            yield from _written(parameter, given[parameter.name])


def _written(parameter: Parameter, value: Json) -> Iterator[tuple[str, Json]]:
    name = parameter.name
    separator = {"spaceDelimited": " ", "pipeDelimited": "|"}.get(parameter.style, ",")
    if parameter.json_:
        yield name, as_json(value)
        return
    match value:
        case dict() if parameter.style == "deepObject":
            yield from bracketed({name: value}).items()
        case dict() if parameter.explode and parameter.in_ == "query":
            yield from value.items()
        case list() if parameter.explode and parameter.in_ == "query":
            yield name, value
        case list() | dict():
            yield name, separator.join(spelled(part) for part in _parts(value))
        case _:
            yield name, value


def bracketed(value: Json) -> JsonObject:
    """Nested values as flat names: `{"a": {"b": [1]}}` is `{"a[b][0]": 1}`."""
    return dict(_flat("", value)) if isinstance(value, dict) else {}


def _flat(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    inner: Mapping[str, Json] = {}
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, list):
        inner = {str(index): item for index, item in enumerate(value)}
    else:
        yield name, value
    for key, item in inner.items():
        yield from _flat(f"{name}[{key}]" if name else key, item)
