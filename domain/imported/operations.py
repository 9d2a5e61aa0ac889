"""Operations of OpenAPI 3 as actions: config has `path`, `query`, `header` and `body` as the document names them."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec

from domain.declared.file import Action, Effect, Imported, Output
from domain.declared.given import sample_of
from domain.declared.operation import BRACKETED, FORM, is_written
from domain.imported.parameters import parameters_of, part, text, written
from domain.imported.pointers import as_list, as_object, find, resolved
from domain.imported.schemas import Definitions
from domain.imported.servers import Servers
from domain.values.headers import is_json
from domain.values.json import Json, JsonObject

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
MAX_SAMPLE = 4_000
"""Bytes of the sample of an answer."""
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_./-]+")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_JSON = "application/json"
_EFFECTS: Mapping[str, Effect] = {
    "get": "read", "head": "read", "options": "read", "post": "create", "put": "update", "patch": "update",
    "delete": "delete",
}  # fmt: skip


class OperationItem(msgspec.Struct, frozen=True):
    """An operation as people choose it."""

    id: str
    method: str
    path: str
    name: str
    tags: tuple[str, ...]


class Operation(msgspec.Struct, frozen=True):
    """One operation: what a list shows of it, and how it becomes an action, which takes time and room."""

    item: OperationItem
    made: Callable[[], Action]

    @property
    def id(self) -> str:
        """Its name within the connector."""
        return self.item.id


def operations(document: JsonObject, servers: Servers) -> Iterator[Operation]:
    """All operations, each under an id of its own."""
    taken: dict[str, int] = {}
    reader = _Reader(document, servers)
    for path, item in as_object(document.get("paths")).items():
        if path.startswith("x-"):
            continue
        shared = resolved(document, item)
        for method in METHODS:
            operation = shared.get(method)
            if isinstance(operation, dict):
                yield reader.operation(_id(operation, method, path, taken), method, path, shared, operation)


def _id(operation: JsonObject, method: str, path: str, taken: dict[str, int]) -> str:
    """`taken` has how often an id was wished for."""
    said = operation.get("operationId")
    plain = said if isinstance(said, str) and said.strip() else f"{method}_{path}"
    base = _NOT_IN_AN_ID.sub("_", plain).strip("_./-")[:150] or method
    base = chosen = base if base[0].isalpha() or base[0] == "_" else f"_{base}"
    while chosen in taken:
        taken[base] += 1
        chosen = f"{base}_{taken[base]}"
    taken[chosen] = 1
    return chosen


class _Reader:
    def __init__(self, document: JsonObject, servers: Servers) -> None:
        self._document = document
        self._servers = servers

    def operation(self, id_: str, method: str, path: str, shared: JsonObject, operation: JsonObject) -> Operation:
        """The operation, which is read when it is chosen."""
        name = text(operation.get("summary")) or text(id_)
        labels = tuple(map(str, as_list(operation.get("tags"))))
        item = OperationItem(id_, method.upper(), path, name[:200], labels)
        return Operation(item, partial(self._action, item, method, shared, operation))

    def _action(self, item: OperationItem, method: str, shared: JsonObject, operation: JsonObject) -> Action:
        definitions = Definitions(partial(find, self._document))
        parameters = parameters_of(self._document, item.path, shared, operation)
        media_type, body, needed = self._body(operation, definitions)
        path = item.path if item.path.startswith("/") else f"/{item.path}"
        return Action(
            name=item.name,
            description=(text(operation.get("description")) or item.name)[:1_000],
            effect=_EFFECTS[method],
            tags=item.tags,
            schema=_schema(parameters, body if media_type else None, definitions, needed=needed),
            operation=Imported(
                method=item.method,  # type: ignore[arg-type]  # one of METHODS
                path=path,
                server=self._servers.other(shared, operation),
                parameters=tuple(written(one) for one in parameters),
                body=media_type,
            ),
            output=Output(sample=self._sample(operation), response="auto"),
        )

    def _body(self, operation: JsonObject, definitions: Definitions) -> tuple[str, Json, bool]:
        body = resolved(self._document, operation.get("requestBody"))
        content = as_object(body.get("content"))
        if not content:
            return "", {}, False
        chosen = min(content, key=_preference)
        media = as_object(content[chosen])
        plain = _plain(chosen)
        encodings = as_object(media.get("encoding")).values()
        if plain == FORM and any(as_object(one).get("style") == "deepObject" for one in encodings):
            plain = BRACKETED
        schema = definitions.schema(media.get("schema"))
        if is_written(plain) and as_object(schema).get("type") != "string":
            schema = {"type": "string", "description": f"As {plain}"}
        return plain, schema, body.get("required") is True

    def _sample(self, operation: JsonObject) -> Json:
        """An answer such as the document describes; null where that is large or not said."""
        responses = as_object(operation.get("responses"))
        status = next((name for name in sorted(responses) if name.startswith("2")), "default")
        content = as_object(resolved(self._document, responses.get(status)).get("content"))
        media = next((as_object(one) for name, one in content.items() if is_json(name.partition(";")[0])), {})
        if "example" in media:
            return _small(media["example"])
        for one in as_object(media.get("examples")).values():
            return _small(resolved(self._document, one).get("value"))
        definitions = Definitions(partial(find, self._document))
        schema = definitions.schema(media.get("schema"))
        if not isinstance(schema, dict) or len(definitions.found) > 60:
            return None
        return _small(sample_of({"$defs": definitions.found}, schema, depth=3))


def _schema(parameters: list[JsonObject], body: Json, definitions: Definitions, *, needed: bool) -> JsonObject:
    """What fits the config."""
    properties: JsonObject = {}
    required: list[Json] = []
    for place in ("path", "query", "header"):
        of = [one for one in parameters if one["in"] == place]
        if of:
            properties[place] = part(of, definitions)
            required += [place] if any(one.get("required") for one in of) else []
    if body is not None:
        properties["body"] = body
        required += ["body"] if needed else []
    schema: JsonObject = {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False,
    }  # fmt: skip
    return {**schema, "$defs": definitions.found} if definitions.found else schema


def _plain(media_type: str) -> str:
    """The type alone; what stands for any type, or is none, is sent as JSON."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else _JSON


def _preference(media_type: str) -> int:
    plain = _plain(media_type)
    if is_json(plain) and "patch" not in plain:
        return 0 if plain == _JSON else 1
    return {FORM: 2, "multipart/form-data": 3, "text/plain": 4}.get(plain, 5)


def _small(value: Json) -> Json:
    try:
        return value if len(msgspec.json.encode(value)) <= MAX_SAMPLE else None
    except (ValueError, OverflowError, UnicodeEncodeError):
        return None
