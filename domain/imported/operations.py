"""Operations of OpenAPI 3 as actions: config has `path`, `query`, `header` and `body` as the document names them."""

import re
from collections.abc import Iterator, Mapping

import msgspec

from domain.declared.file import Action, Effect, Imported, Output, Parameter
from domain.declared.given import sample_of
from domain.declared.operation import BRACKETED, FORM
from domain.imported.schemas import Definitions
from domain.values.json import Json, JsonObject
from domain.values.payload import is_json

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
MAX_SAMPLE = 4_000
"""Bytes of the sample of an answer."""
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_./-]+")
_EFFECTS: Mapping[str, Effect] = {
    "get": "read", "head": "read", "options": "read", "post": "create", "put": "update", "patch": "update",
    "delete": "delete",
}  # fmt: skip
_OF_THE_CONNECTION = frozenset({"accept", "content-type", "authorization", "content-length", "host"})


class OperationItem(msgspec.Struct, frozen=True):
    """An operation as people choose it."""

    id: str
    method: str
    path: str
    name: str
    tags: tuple[str, ...]


class Operation(msgspec.Struct, frozen=True):
    """One operation: what a list shows of it, and the action that it makes."""

    item: OperationItem
    action: Action

    @property
    def id(self) -> str:
        """Its name within the connector."""
        return self.item.id


def operations(document: JsonObject) -> Iterator[Operation]:
    """All operations, each under an id of its own."""
    taken: set[str] = set()
    reader = _Reader(document)
    for path, item in _object(document.get("paths")).items():
        shared = reader.resolved(item)
        for method in METHODS:
            operation = shared.get(method)
            if isinstance(operation, dict):
                id_ = _id(operation, method, path, taken)
                taken.add(id_)
                yield reader.operation(id_, method, path, shared, operation)


def _id(operation: JsonObject, method: str, path: str, taken: set[str]) -> str:
    said = operation.get("operationId")
    plain = said if isinstance(said, str) and said.strip() else f"{method}_{path}"
    base = _NOT_IN_AN_ID.sub("_", plain).strip("_./-")[:150] or method
    base = base if base[0].isalpha() or base[0] == "_" else f"_{base}"
    chosen, again = base, 2
    while chosen in taken:
        chosen, again = f"{base}_{again}", again + 1
    return chosen


class _Reader:
    def __init__(self, document: JsonObject) -> None:
        self._document = document
        self._components = _object(document.get("components"))

    def operation(self, id_: str, method: str, path: str, shared: JsonObject, operation: JsonObject) -> Operation:
        """The operation as an action."""
        definitions = Definitions(_object(self._components.get("schemas")))
        parameters = self._parameters(shared, operation)
        properties: JsonObject = {}
        required: list[Json] = []
        for place in ("path", "query", "header"):
            of = [one for one in parameters if one["in"] == place]
            if of:
                properties[place] = _part(of, definitions)
                required += [place] if any(one.get("required") for one in of) else []
        media_type, body, needed = self._body(operation, definitions)
        if media_type:
            properties["body"] = body
            required += ["body"] if needed else []
        schema: JsonObject = {
            "type": "object", "properties": properties, "required": required, "additionalProperties": False,
        }  # fmt: skip
        if definitions.found:
            schema["$defs"] = definitions.found
        call = Imported(
            method=method.upper(),  # type: ignore[arg-type]  # one of METHODS
            path=path if path.startswith("/") else f"/{path}",
            parameters=tuple(_parameter(one) for one in parameters),
            body=media_type,
        )
        name = _text(operation.get("summary")) or id_
        tags = operation.get("tags")
        labels = tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
        action = Action(
            name=name[:200],
            description=(_text(operation.get("description")) or name)[:1_000],
            effect=_EFFECTS[method],
            tags=labels,
            schema=schema,
            operation=call,
            output=Output(sample=self._sample(operation), response="auto"),
        )
        return Operation(OperationItem(id_, method.upper(), path, name[:200], labels), action)

    def resolved(self, value: Json, depth: int = 0) -> JsonObject:
        """What a local reference leads to; an empty object where it leads nowhere."""
        if not isinstance(value, dict):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        found: Json = self._document
        for key in reference.removeprefix("#/").split("/"):
            name = key.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return self.resolved(found, depth + 1) if depth < 10 else {}

    def _parameters(self, shared: JsonObject, operation: JsonObject) -> list[JsonObject]:
        found: dict[tuple[str, str], JsonObject] = {}
        for one in (*_list(shared.get("parameters")), *_list(operation.get("parameters"))):
            parameter = self.resolved(one)
            name, place = parameter.get("name"), parameter.get("in")
            if not isinstance(name, str) or place not in ("path", "query", "header"):
                continue
            if place == "header" and name.lower() in _OF_THE_CONNECTION:
                continue
            found[str(place), name] = parameter
        return list(found.values())

    def _body(self, operation: JsonObject, definitions: Definitions) -> tuple[str, Json, bool]:
        body = self.resolved(operation.get("requestBody"))
        content = _object(body.get("content"))
        if not content:
            return "", {}, False
        chosen = min(content, key=_preference)
        media = _object(content[chosen])
        schema = definitions.schema(media.get("schema"))
        plain = chosen.partition(";")[0].strip().lower()
        encodings = _object(media.get("encoding")).values()
        if plain == FORM and any(_object(one).get("style") == "deepObject" for one in encodings):
            plain = BRACKETED
        return plain or "application/json", schema, body.get("required") is True

    def _sample(self, operation: JsonObject) -> Json:
        """An answer such as the document describes; null where that is large or not said."""
        responses = _object(operation.get("responses"))
        status = next((name for name in sorted(responses) if name.startswith("2")), "default")
        content = _object(self.resolved(responses.get(status)).get("content"))
        media = next((_object(one) for name, one in content.items() if is_json(name.partition(";")[0])), {})
        if "example" in media:
            return _small(media["example"])
        for one in _object(media.get("examples")).values():
            return _small(self.resolved(one).get("value"))
        definitions = Definitions(_object(self._components.get("schemas")))
        schema = definitions.schema(media.get("schema"))
        if not isinstance(schema, dict) or len(definitions.found) > 60:
            return None
        return _small(sample_of({"$defs": definitions.found}, schema, depth=3))


def _part(parameters: list[JsonObject], definitions: Definitions) -> JsonObject:
    return {
        "type": "object",
        "properties": {str(one["name"]): _of_parameter(one, definitions) for one in parameters},
        "required": [one["name"] for one in parameters if one.get("required") is True],
        "additionalProperties": False,
    }


def _of_parameter(parameter: JsonObject, definitions: Definitions) -> Json:
    content = _object(parameter.get("content"))
    media = _object(next(iter(content.values()), {}))
    schema = definitions.schema(media.get("schema") if content else parameter.get("schema"))
    about = _text(parameter.get("description"))[:300]
    return {"description": about, **schema} if about and isinstance(schema, dict) and "$ref" not in schema else schema


def _parameter(parameter: JsonObject) -> Parameter:
    place = str(parameter["in"])
    style = parameter.get("style") or ("form" if place == "query" else "simple")
    explode = parameter.get("explode")
    return Parameter(
        name=str(parameter["name"]),
        in_=place,  # type: ignore[arg-type]  # one of the three
        style=style if style in _STYLES else "form",  # type: ignore[arg-type]  # one of them
        explode=explode if isinstance(explode, bool) else style in ("form", "deepObject"),
        reserved=parameter.get("allowReserved") is True,
        json_="content" in parameter,
    )


_STYLES = frozenset({"form", "simple", "spaceDelimited", "pipeDelimited", "deepObject", "label", "matrix"})


def _preference(media_type: str) -> int:
    plain = media_type.partition(";")[0].strip().lower()
    if is_json(plain) and "patch" not in plain:
        return 0 if plain == "application/json" else 1
    return {FORM: 2, "multipart/form-data": 3, "text/plain": 4}.get(plain, 5)


def _small(value: Json) -> Json:
    try:
        return value if len(msgspec.json.encode(value)) <= MAX_SAMPLE else None
    except (ValueError, OverflowError, UnicodeEncodeError):
        return None


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _text(value: Json) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
