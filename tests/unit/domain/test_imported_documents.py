"""Documents as vendors and tools write them, honest and otherwise, become connectors that can be used."""

import json
from typing import Any

import jsonschema_rs
import pytest

import domain.imported.document
from domain.declared.action import declared, descriptor, request
from domain.declared.fields import schema_of
from domain.declared.form import problems, read
from domain.imported.document import Unusable, Wish, made
from domain.values.json import Json


def of(document: Any, **more: Any) -> Any:
    return made(json.dumps(document).encode(), Wish(name="x", **more)).file


def sent(document: Any, id_: str, **given: Json) -> Any:
    (known,) = [one for one in declared(of(document)) if one.id == id_]
    return request(known, read(schema_of(known.action), given), "run.step")


def of_paths(paths: Any, **more: Any) -> Any:
    return {"openapi": "3.0.3", "servers": [{"url": "https://api.example"}], "paths": paths, **more}


@pytest.mark.parametrize(
    ("servers", "base_url"),
    [
        ([{"url": "/"}, {"url": " https://a.example/v1/ "}], "https://a.example/v1"),
        ([{"url": "https://{r}.a.example", "variables": {"r": {"enum": ["eu", "us"]}}}], "https://eu.a.example"),
        ([{"url": "https://a.example{base}", "variables": {"base": {"default": ""}}}], "https://a.example"),
        ([{"url": "https://{r}.a.example", "variables": {"r": {}}}], None),
        ([{"url": "//[a/"}, {"url": "v2"}], None),
        ("https://a.example", None),
    ],
)
def test_the_first_server_that_is_an_address_counts(servers: Json, base_url: str | None) -> None:
    document = {**of_paths({"/a": {"get": {}}}), "servers": servers}
    if base_url:
        assert of(document).base_url == base_url
    else:
        with pytest.raises(Unusable, match="give base_url"):
            of(document)


def test_an_operation_that_is_elsewhere_is_called_there() -> None:
    elsewhere = [{"url": "https://uploads.example"}]
    document = of_paths({"/a": {"post": {"operationId": "up", "servers": elsewhere}, "get": {"operationId": "list"}}})
    assert (sent(document, "up")["url"], sent(document, "list")["url"]) == (
        "https://uploads.example/a",
        "https://api.example/a",
    )
    assert {one.id: _where(one) for one in declared(of(document))} == {"up": "uploads.example", "list": "api.example"}
    wished = of(document, base_url="https://proxy.example")
    assert {_where(one) for one in declared(wished)} == {"proxy.example"}
    assert of({**document, "servers": []}).base_url == "https://uploads.example"


def _where(known: Any) -> str:
    uses = descriptor(known, None).connection  # type: ignore[arg-type]  # nothing is sent
    assert uses
    return str(uses.host({}))


def test_what_only_the_path_tells_of_is_asked_for() -> None:
    document = of_paths({"/a/{x}/{y}": {"get": {"operationId": "a", "parameters": [{"name": "y", "in": "path"}]}}})
    schema = schema_of(declared(of(document))[0].action)
    assert problems(schema, {"path": {}}).keys() == {"path.x", "path.y"}
    assert sent(document, "a", path={"x": "1/2", "y": 3})["url"] == "https://api.example/a/1%2F2/3"


def test_references_lead_anywhere_in_the_document() -> None:
    """As bundlers write them: into lists, escaped, and to schemas that have no name."""
    page = {"name": "page", "in": "query", "schema": {"type": "integer"}}
    body = {"type": "object", "properties": {"to": {"$ref": "#/components/schemas/A%20b~1c"}}}
    document = of_paths(
        {
            "/a b": {"get": {"operationId": "a", "parameters": [page]}},
            "/c": {
                "post": {
                    "operationId": "c",
                    "parameters": [{"$ref": "#/paths/~1a%20b/get/parameters/0"}],
                    "requestBody": {"content": {"application/json": {"schema": body}}},
                },
                "put": {
                    "operationId": "d",
                    "requestBody": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "$ref": "#/paths/~1c/post/requestBody/content/application~1json/schema"
                                    "/properties/to"
                                }
                            }
                        }
                    },
                },
            },
        },
        components={"schemas": {"A b/c": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
    )
    known = {one.id: schema_of(one.action) for one in declared(of(document))}
    wrong: Json = {"query": {"page": "x"}, "body": {"to": {"n": "x"}}}
    assert problems(known["c"], wrong).keys() == {"query.page", "body.to.n"}
    assert problems(known["d"], {"body": {"n": "x"}}).keys() == {"body.n"}
    for schema in known.values():
        jsonschema_rs.validator_for(schema)


def test_a_long_chain_of_references_is_followed() -> None:
    chain: Any = {f"C{n}": {"type": "object", "properties": {"next": {"$ref": f"#/definitions/C{n + 1}"}}}
                  for n in range(3_000)}  # fmt: skip
    body: Any = {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/C0"}}
    document = {"swagger": "2.0", "host": "a.example", "definitions": chain,
                "paths": {"/a": {"post": {"operationId": "a", "parameters": [body]}}}}  # fmt: skip
    schema = schema_of(declared(of(document))[0].action)
    assert problems(schema, {"body": {"next": {"next": 1}}}).keys() == {"body.next.next"}


def test_swagger_shares_parameters_bodies_and_schemas() -> None:
    """As the document of Kubernetes has them; and `swagger: 2.0` without quotes, which YAML takes for a number."""
    content = b"""
swagger: 2.0
host: a.example
parameters:
  pod: {name: body, in: body, required: true, schema: {$ref: '#/definitions/Pod'}}
  dry: {name: dryRun, in: query, type: boolean}
responses:
  made: {description: ok, schema: {$ref: '#/definitions/Pod'}}
definitions:
  Pod: {type: object, required: [name], properties: {name: {type: string}}}
paths:
  /pods:
    parameters: [{$ref: '#/parameters/dry'}]
    post:
      operationId: create
      parameters: [{$ref: '#/parameters/pod'}]
      responses: {'201': {$ref: '#/responses/made'}}
"""
    (known,) = declared(made(content, Wish(name="x")).file)
    schema = schema_of(known.action)
    assert problems(schema, {"query": {"dryRun": 1}, "body": {}}).keys() == {"query.dryRun", "body.name"}
    assert known.action.output
    assert known.action.output.sample == {"name": "text"}
    hostless = content.replace(b"host: a.example", b"basePath: /api")
    assert made(hostless, Wish(name="x", at="https://b.example/docs/swagger.yaml")).file.base_url == (
        "https://b.example/api"
    )


@pytest.mark.parametrize(
    ("media_type", "body_type", "content_type"),
    [
        ("*/*", "json", None),
        ("application/json\r\nX: y", "json", None),
        ("application/xml", "text", "application/xml"),
        ("application/octet-stream", "binary", "application/octet-stream"),
    ],
)
def test_a_body_can_be_sent_as_what_the_document_says(
    media_type: str, body_type: str, content_type: str | None
) -> None:
    body = {"content": {media_type: {"schema": {"type": "object"} if body_type != "binary" else {}}}}
    document = of_paths({"/a": {"post": {"operationId": "a", "requestBody": body}}})
    value: Json = {"a": 1} if body_type == "json" else "PGEvPg=="
    posted = sent(document, "a", body=value)
    assert (posted["body_type"], posted.get("headers", {}).get("Content-Type")) == (body_type, content_type)


def test_slips_of_a_document_say_nothing() -> None:
    slips = {"type": "int", "enum": "x", "pattern": 7, "minimum": "1", "title": [], "items": {"type": ["string", 7]}}
    headers = [{"name": name, "in": "header"} for name in ("X Y", "Transfer-Encoding", "X-Fine")]
    document = of_paths(
        {
            "x-groups": {"get": {}},
            "/a": {
                "get": {"summary": "A\0 b", "parameters": [{"name": "q", "in": "query", "schema": slips}, *headers]}
            },
        },
        info={"title": "A\0 b", "description": "\0"},
    )
    file = of(document)
    (known,) = declared(file)
    properties: Any = schema_of(known.action)["properties"]
    assert properties["query"]["properties"]["q"] == {"items": {}}
    assert list(properties["header"]["properties"]) == ["X-Fine"]
    assert (file.name, file.description, known.action.name) == ("A b", "Imported from A b", "A b")


def test_what_is_made_of_a_document_is_bounded_and_what_is_not_chosen_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(domain.imported.document, "MAX_MADE", 10_000)
    values: Any = [f"v{number}" for number in range(200)]
    operation = {"parameters": [{"name": "q", "in": "query", "schema": {"enum": values}}]}
    document = of_paths({f"/{number}": {"get": {**operation, "operationId": f"o{number}"}} for number in range(10)})
    with pytest.raises(Unusable, match="choose fewer"):
        of(document)
    assert list(of(document, operations=("o1", "o2")).actions) == ["o1", "o2"]
    with pytest.raises(Unusable, match="at most 2,000 of the 2,500"):
        of(of_paths({f"/{number}": {"get": {"operationId": "same"}} for number in range(2_500)}))
