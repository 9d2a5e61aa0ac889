"""The parameters of an operation: which there are, what fits them, and how they are written."""

import re
from collections.abc import Mapping

from domain.connector.headers import name_problem
from domain.declared.file import Parameter
from domain.imported.pointers import as_list, as_object, resolved
from domain.imported.schemas import Definitions
from domain.values.json import Json, JsonObject

_OF_THE_CONNECTION = frozenset({"accept", "content-type", "authorization"})
_STYLES = frozenset({"form", "simple", "spaceDelimited", "pipeDelimited", "deepObject", "label", "matrix"})
_IN_A_PATH = re.compile(r"\{([^{}/]+)\}")


def parameters_of(document: JsonObject, path: str, shared: JsonObject, operation: JsonObject) -> list[JsonObject]:
    """All parameters that can be sent, also those that only the path tells of."""
    found: dict[tuple[str, str], JsonObject] = {}
    for one in (*as_list(shared.get("parameters")), *as_list(operation.get("parameters"))):
        parameter = resolved(document, one)
        name, place = parameter.get("name"), parameter.get("in")
        if not isinstance(name, str) or place not in ("path", "query", "header"):
            continue
        if place == "header" and (name.lower() in _OF_THE_CONNECTION or name_problem(name)):
            continue
        if place == "path":
            parameter = {**parameter, "required": True}
        found[str(place), name] = parameter
    for name in _IN_A_PATH.findall(path):
        untold: JsonObject = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        found.setdefault(("path", name), untold)
    return list(found.values())


def part(parameters: list[JsonObject], definitions: Definitions) -> JsonObject:
    """The schema of an object with a value for each of them."""
    return {
        "type": "object",
        "properties": {str(one["name"]): _schema(one, definitions) for one in parameters},
        "required": [one["name"] for one in parameters if one.get("required") is True],
        "additionalProperties": False,
    }


def written(parameter: JsonObject) -> Parameter:
    """How its value is written."""
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


def text(value: Json) -> str:
    """A text on one line, without control characters; empty where it is none."""
    return " ".join(_CONTROL.sub(" ", value).split()) if isinstance(value, str) else ""


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _schema(parameter: JsonObject, definitions: Definitions) -> Json:
    content: Mapping[str, Json] = as_object(parameter.get("content"))
    media = as_object(next(iter(content.values()), {}))
    schema = definitions.schema(media.get("schema") if content else parameter.get("schema"))
    about = text(parameter.get("description"))[:300]
    return {"description": about, **schema} if about and isinstance(schema, dict) and "$ref" not in schema else schema
