"""Links: which routes take an id that an answer gives. They follow from the names that paths and answers share."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.http.openapi.notes import Doc

_PARAMETER = re.compile(r"\{(\w+)\}")


class Answer(msgspec.Struct, frozen=True):
    """What an operation answers where it succeeds: the schema of the answer, or of the items on its page."""

    path: str
    response: Doc
    schema: str
    fields: Mapping[str, Any]
    place: str


def add_links(paths: Doc, schemas: Doc) -> None:
    """Give each answer with new ids its links, so that programs can go on from it."""
    answers = [answer for path, _, operation in _operations(paths) for answer in _answers(path, operation, schemas)]
    ids = _ids(paths, answers)
    takers = [found for found in _operations(paths) if _PARAMETER.search(found[0])]
    for answer in answers:
        found = {
            operation["operationId"]: {"operationId": operation["operationId"], "parameters": parameters}
            for path, method, operation in takers
            if (parameters := _parameters(answer, path, method, operation, ids))
        }
        if found:
            answer.response["links"] = answer.response.get("links", {}) | found


def _operations(paths: Doc) -> Iterator[tuple[str, str, Doc]]:
    for path, item in paths.items():
        for method, operation in item.items():
            yield path, method, operation


def _answers(path: str, operation: Doc, schemas: Doc) -> Iterator[Answer]:
    for response in operation["responses"].values():
        wanted = response.get("content", {}).get("application/json", {}).get("schema", {})
        for schema in wanted.get("anyOf", [wanted]):
            name, place = _name(schema), ""
            fields = schemas.get(name, {}).get("properties", {})
            if "next_cursor" in fields:
                name, place = _name(fields["items"]["items"]), "/items/0"
                fields = schemas[name]["properties"]
            yield Answer(path, response, name, fields, place)


def _name(schema: Doc) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _ids(paths: Doc, answers: list[Answer]) -> Mapping[str, str]:
    """By schema the parameter that its `id` is: what `/zaps` and `/zaps/{zap_id}` answer is found by `zap_id`."""
    names: dict[str, str] = {}
    for path in paths:
        for found in _PARAMETER.finditer(path):
            names |= {path[: found.start() - 1]: found[1], path[: found.end()]: found[1]}
    return {answer.schema: names[answer.path] for answer in answers if answer.path in names}


def _parameters(
    answer: Answer, path: str, method: str, operation: Doc, ids: Mapping[str, str]
) -> Mapping[str, str] | None:
    """Where an operation's parameters are; None where it has others, or learns nothing new from the answer."""
    given = set(_PARAMETER.findall(answer.path))
    found: dict[str, str] = {}
    names = _PARAMETER.findall(path)
    is_part = len(names) > 1 and answer.fields.keys() >= set(names)  # such as an approval, of its run
    for name in names:
        is_own = is_part or ids.get(answer.schema) == name
        field = "id" if is_own and name not in answer.fields else name
        # What an answer only mentions, such as the zap of a run, leads no further than to reading it.
        if name in given:
            found[f"path.{name}"] = f"$request.path.{name}"
        elif field in answer.fields and (is_own or (method == "get" and path.endswith(f"{{{name}}}"))):
            found[f"path.{name}"] = f"$response.body#{answer.place}/{field}"
        else:
            return None
    if not any(value.startswith("$response") for value in found.values()):
        return None
    takes = {parameter["name"] for parameter in operation["parameters"]}
    if "If-Match" in takes and "ETag" in answer.response.get("headers", {}):
        found["header.If-Match"] = "$response.header.ETag"
    return found
