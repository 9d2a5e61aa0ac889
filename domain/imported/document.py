"""The description of an API as the file of a connector: OpenAPI 3, Swagger 2.0, Google's discovery documents."""

from collections.abc import Collection, Iterator, Mapping

import msgspec

from domain.declared.file import Action, Connection, ConnectorFile, Kind
from domain.declared.reading import Unreadable, read
from domain.imported.older import from_discovery, from_swagger
from domain.imported.operations import Operation, OperationItem, operations
from domain.imported.parameters import text
from domain.imported.servers import Servers
from domain.values.json import Json, JsonObject

MAX_DOCUMENT = 32 * 2**20
"""Bytes of a document."""
MAX_MADE = 16 * 2**20
"""Bytes of the connector: each operation brings the schemas that it needs."""
MAX_CHOSEN = 2_000
MAX_REFUSED = 20
_KINDS: Mapping[str, Kind] = {"bearer": "bearer", "basic": "basic"}


class Unusable(ValueError):
    """No description that a connector can be made of. `errors` has each reason with its JSON pointer."""

    def __init__(self, reason: str, errors: list[JsonObject] | None = None) -> None:
        super().__init__(reason)
        self.errors = errors or []


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to make: operations by id, or all of them. `at`: where the document came from; `base_url` counts more."""

    name: str
    version: str = "1.0.0"
    operations: tuple[str, ...] | None = None
    connection_kind: Kind | None = None
    base_url: str | None = None
    at: str = ""


class Made(msgspec.Struct, frozen=True):
    """The file with the operations that were wished for, and all that there are."""

    file: ConnectorFile
    operations: list[OperationItem]


def made(content: bytes, wish: Wish) -> Made:
    """The connector of a document. Raises Unusable."""
    try:
        value = read(content, MAX_DOCUMENT)
    except Unreadable as error:
        raise Unusable(str(error)) from None
    if not isinstance(value, dict):
        shown = f", and begins with {text(value)[:60]!r}" if isinstance(value, str) else ""
        raise Unusable(f"the document is no object{shown}: give the description itself, not a page about it")
    _refuse_remote(value)
    document = _as_openapi(value)
    servers = Servers(document, wish.base_url, wish.at)
    found = list(operations(document, servers))
    chosen = _chosen(found, wish.operations)
    if not servers.base_url:
        raise Unusable("the document does not say at which address the API is: give base_url")
    info = document.get("info")
    about = info if isinstance(info, dict) else {}
    title = text(about.get("title"))[:200]
    file = ConnectorFile(
        connector=wish.name,
        version=wish.version,
        name=title or wish.name,
        description=text(about.get("description"))[:500] or f"Imported from {title or 'a document'}",
        base_url=servers.base_url,
        connection=_connection(document, wish.connection_kind),
        actions=_actions(chosen),
    )
    return Made(file, [one.item for one in found])


def _actions(chosen: list[Operation]) -> dict[str, Action]:
    """Within bounds: whoever wants more has to choose."""
    if len(chosen) > MAX_CHOSEN:
        raise Unusable(f"operations: choose at most {MAX_CHOSEN:,} of the {len(chosen):,}")
    made, size = dict[str, Action](), 0
    for one in chosen:
        made[one.id] = action = one.made()
        size += len(msgspec.json.encode(action))
        if size > MAX_MADE:
            told = f"a connector of all {len(chosen):,} would have more than {MAX_MADE:,} bytes"
            raise Unusable(f"operations: choose fewer, {told}: each brings the schemas that it needs")
    return made


def _as_openapi(document: JsonObject) -> JsonObject:
    if str(document.get("openapi") or "").startswith("3."):
        return document
    if str(document.get("swagger")) == "2.0":  # in YAML without quotes it is a number
        return from_swagger(document)
    if "discoveryVersion" in document or str(document.get("kind") or "").startswith("discovery#"):
        return from_discovery(document)
    raise Unusable("neither OpenAPI 3.0 or 3.1, nor Swagger 2.0, nor a Google discovery document")


def _chosen(found: list[Operation], wanted: Collection[str] | None) -> list[Operation]:
    if not found:
        raise Unusable("the document has no operations")
    if wanted is None:
        return found
    known = {one.id for one in found}
    missing = [id_ for id_ in wanted if id_ not in known]
    if missing:
        errors: list[JsonObject] = [
            {"path": f"operations.{index}", "code": "unknown", "reason": f"no operation is called {id_!r}"}
            for index, id_ in enumerate(wanted)
            if id_ not in known
        ]
        raise Unusable(f"no operation is called {missing[0]!r}", errors[:MAX_REFUSED])
    return [one for one in found if one.id in set(wanted)]


def _refuse_remote(document: Json) -> None:
    """References to other documents are not followed: nobody can say where they lead."""
    errors: list[JsonObject] = []
    if isinstance(document, dict) and "discoveryVersion" in document:
        return  # there a reference is the name of a schema
    for pointer, reference in _remote(document):
        reason = f"{reference[:200]} is another document"
        errors.append({"path": pointer, "pointer": pointer, "code": "remote_reference", "reason": reason})
        if len(errors) == MAX_REFUSED:
            break
    if errors:
        raise Unusable("references to other documents are not followed: put all into one document", errors)


def _remote(value: Json) -> Iterator[tuple[str, str]]:
    todo: list[tuple[str, Json]] = [("", value)]
    while todo:
        at, item = todo.pop()
        if isinstance(item, dict):
            reference = item.get("$ref")
            if isinstance(reference, str) and not reference.startswith("#"):
                yield f"{at}/$ref", reference
            todo += [(f"{at}/{key.replace('~', '~0').replace('/', '~1')}", one) for key, one in item.items()]
        elif isinstance(item, list):
            todo += [(f"{at}/{index}", one) for index, one in enumerate(item)]


def _connection(document: JsonObject, kind: Kind | None) -> Connection:
    components = document.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, dict) else None
    found = [_scheme(one) for one in (schemes.values() if isinstance(schemes, dict) else ()) if isinstance(one, dict)]
    known = [connection for connection in found if connection is not None]
    chosen = next((one for one in known if kind in (None, one.kind)), None)
    if chosen is None and kind == "api_key":
        return Connection(kind=kind, required=False, in_="header", name="X-API-Key")
    if chosen is None:
        return Connection(kind=kind or "bearer", required=False)
    others = tuple(dict.fromkeys(one.kind for one in known if one.kind != chosen.kind))
    return msgspec.structs.replace(chosen, kinds=others if kind is None else ())


def _scheme(scheme: JsonObject) -> Connection | None:
    match scheme.get("type"):
        case "http":
            found = _KINDS.get(str(scheme.get("scheme")).lower())
            return Connection(kind=found, required=False) if found else None
        case "apiKey" if isinstance(scheme.get("name"), str):
            name = str(scheme["name"])
            if scheme.get("in") == "query":
                return Connection(kind="api_key", required=False, in_="query", name=name)
            return Connection(kind="api_key", required=False, in_="header", name=name)
        case "oauth2":
            return _oauth2(scheme)
    return None


def _oauth2(scheme: JsonObject) -> Connection | None:
    flows = scheme.get("flows")
    for name in ("authorizationCode", "clientCredentials", "implicit"):
        flow = flows.get(name) if isinstance(flows, dict) else None
        if isinstance(flow, dict):
            token, authorize, scopes = flow.get("tokenUrl"), flow.get("authorizationUrl"), flow.get("scopes")
            if not isinstance(token, str) or not token.startswith("https://"):
                continue
            names = tuple(scopes) if isinstance(scopes, dict) else ()
            consent = authorize if isinstance(authorize, str) and authorize.startswith("https://") else msgspec.UNSET
            return Connection(kind="oauth2", required=False, token_url=token, authorize_url=consent, scopes=names[:100])
    return None


class Difference(msgspec.Struct, frozen=True):
    """What another import changes: operations by id."""

    added: list[str]
    changed: list[str]
    removed: list[str]


def difference(before: ConnectorFile, after: ConnectorFile) -> Difference:
    """What is in one file and not, or otherwise, in the other."""
    same = {id_: _said(action) for id_, action in before.actions.items()}
    return Difference(
        [id_ for id_ in after.actions if id_ not in same],
        [id_ for id_, action in after.actions.items() if id_ in same and same[id_] != _said(action)],
        [id_ for id_ in same if id_ not in after.actions],
    )


def _said(action: object) -> bytes:
    return msgspec.json.encode(action, order="deterministic")
