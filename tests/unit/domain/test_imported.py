"""Descriptions of APIs become connectors: a valid input of each operation makes a request as the document has it."""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.declared.action import declared, request
from domain.declared.check import loaded
from domain.declared.fields import schema_of
from domain.declared.form import problems, read
from domain.declared.given import sample_of
from domain.imported.document import Unusable, Wish, difference, made
from domain.values.json import Json

ISSUE: Any = {
    "type": "object", "required": ["title", "id"],
    "properties": {
        "id": {"type": "integer", "readOnly": True}, "title": {"type": "string", "minLength": 2},
        "labels": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/Label"}]}},
        "parent": {"$ref": "#/components/schemas/Issue"}, "weight": {"type": "integer", "nullable": True, "minimum": 1},
    },
}  # fmt: skip
OPENAPI: Any = {
    "openapi": "3.0.3", "info": {"title": "Tracker"},
    "servers": [{"url": "https://{region}.tracker.example/v3", "variables": {"region": {"default": "eu"}}}],
    "paths": {
        "/repos/{owner}/issues": {
            "parameters": [{"name": "owner", "in": "path", "required": True, "schema": {"type": "string"}}],
            "post": {
                "operationId": "issues/create", "tags": ["issues"], "summary": "Open an issue",
                "parameters": [{"$ref": "#/components/parameters/expand"}],
                "requestBody": {"required": True,
                                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Issue"}}}},
                "responses": {"201": {"description": "ok", "content": {"application/json": {"example": {"id": 1}}}}},
            },
            "get": {
                "parameters": [
                    {"name": "filter", "in": "query", "style": "deepObject",
                     "schema": {"type": "object", "properties": {"state": {"type": "string"}}}},
                    {"name": "ids", "in": "query", "explode": False,
                     "schema": {"type": "array", "items": {"type": "integer"}}},
                    {"name": "Accept", "in": "header", "schema": {"type": "string"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ],
                "responses": {"200": {"description": "ok"}},
            },
        }
    },
    "components": {
        "parameters": {
            "expand": {"name": "expand", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}
        },
        "schemas": {"Issue": ISSUE, "Label": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"},
                            "key": {"type": "apiKey", "in": "query", "name": "k"}},
    },
}  # fmt: skip
SWAGGER: Any = {
    "swagger": "2.0", "info": {"title": "Chat"}, "host": "chat.example", "basePath": "/api", "schemes": ["https"],
    "consumes": ["application/x-www-form-urlencoded"],
    "paths": {"/chat.post": {"post": {
        "operationId": "chat_post",
        "parameters": [{"name": "text", "in": "formData", "type": "string", "required": True},
                       {"name": "ids", "in": "query", "type": "array", "items": {"type": "string"},
                        "collectionFormat": "multi"}],
        "responses": {"200": {"description": "ok", "schema": {"type": "object"}}}}}},
    "securityDefinitions": {"basic": {"type": "basic"}},
}  # fmt: skip
DISCOVERY: Any = {
    "kind": "discovery#restDescription", "discoveryVersion": "v1", "title": "Gmail API",
    "rootUrl": "https://gmail.googleapis.com/", "servicePath": "",
    "auth": {"oauth2": {"scopes": {"https://mail.google.com/": {"description": "all"}}}},
    "schemas": {"Message": {"id": "Message", "type": "object", "properties": {"raw": {"type": "string"}}}},
    "resources": {"users": {"resources": {"messages": {"methods": {"send": {
        "id": "gmail.users.messages.send", "path": "gmail/v1/users/{userId}/messages/send", "httpMethod": "POST",
        "parameters": {"userId": {"type": "string", "required": True, "location": "path", "default": "me"}},
        "request": {"$ref": "Message"}, "response": {"$ref": "Message"}}}}}}},
}  # fmt: skip
VENDORS = Path(__file__).parents[2] / "data" / "vendors" / "documents"
DOCUMENTS = {"openapi": OPENAPI, "swagger": SWAGGER, "discovery": DISCOVERY}


def of(document: Any, **more: Any) -> Any:
    return made(json.dumps(document).encode(), Wish(name="x", **more)).file


def sent(document: Any, id_: str, **given: Json) -> Any:
    (known,) = [one for one in declared(of(document)) if one.id == id_]
    return request(known, read(schema_of(known.action), given), "run.step")


def test_parameters_and_bodies_go_where_the_document_says() -> None:
    created = sent(
        OPENAPI, "issues/create", path={"owner": "a b"}, query={"expand": ["x", "y"]}, body={"title": "It breaks"}
    )
    assert created == {
        "method": "POST",
        "url": "https://eu.tracker.example/v3/repos/a%20b/issues",
        "query": {"expand": ["x", "y"]},
        "body": {"title": "It breaks"},
        "body_type": "json",
        "response": "auto",
    }
    listed = sent(
        OPENAPI,
        "get_/repos/_owner_/issues",
        path={"owner": "a"},
        query={"filter": {"state": "open"}, "ids": [1, 2]},
        header={"X-Trace": "t"},
    )
    assert listed["query"] == {"filter[state]": "open", "ids": "1,2"}
    assert listed["headers"] == {"X-Trace": "t"}
    posted = sent(SWAGGER, "chat_post", body={"text": "Hi"}, query={"ids": ["1", "2"]})
    assert (posted["url"], posted["body_type"], posted["body"]) == (
        "https://chat.example/api/chat.post",
        "form",
        {"text": "Hi"},
    )
    assert posted["query"] == {"ids": ["1", "2"]}
    mailed = sent(DISCOVERY, "gmail.users.messages.send", path={"userId": "me"}, body={"raw": "aGk="})
    assert mailed["url"] == "https://gmail.googleapis.com/gmail/v1/users/me/messages/send"


def test_credentials_follow_from_the_document_or_the_wish() -> None:
    assert of(OPENAPI).connection.kind == "bearer"
    assert (of(OPENAPI, connection_kind="api_key").connection.in_, of(SWAGGER).connection.kind) == ("query", "basic")
    google = of(DISCOVERY).connection
    assert (google.kind, google.scopes) == ("oauth2", ("https://mail.google.com/",))
    bare = {**OPENAPI, "components": {**OPENAPI["components"], "securitySchemes": {}}}
    assert (of(bare).connection.kind, of(bare).connection.required) == ("bearer", False)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_imported_is_a_connector_like_any_other(name: str) -> None:
    file = of(DOCUMENTS[name])
    assert loaded(msgspec.to_builtins(file)) == file


@settings(max_examples=20)
@given(st.sampled_from(sorted(DOCUMENTS)), st.data())
def test_a_valid_input_makes_a_body_that_the_documents_own_schema_takes(name: str, data: st.DataObject) -> None:
    known = data.draw(st.sampled_from(declared(of(DOCUMENTS[name]))))
    schema = schema_of(known.action)
    value = sample_of(schema, schema)
    assert isinstance(value, dict)
    assert problems(schema, value, rendered=True) == {}
    jsonschema_rs.validator_for(schema).validate(value)
    made_of = request(known, read(schema, value), "k")
    assert str(made_of["url"]).startswith(known.base_url)


@pytest.mark.parametrize("path", sorted(VENDORS.glob("*.json.gz")), ids=lambda path: path.name.partition(".")[0])
def test_what_vendors_publish_is_imported_and_takes_its_own_examples(path: Path) -> None:
    """Parts of the documents of Jira, Mailchimp, SendGrid, Slack and Twilio, whose ids have patterns."""
    known = declared(made(gzip.decompress(path.read_bytes()), Wish(name="x")).file)
    assert known
    for one in known:
        schema = schema_of(one.action)
        value = sample_of(schema, schema)
        assert problems(schema, value, rendered=True) == {}, one.id
        jsonschema_rs.validator_for(schema).validate(value)
        assert isinstance(value, dict)
        assert str(request(one, read(schema, value), "k")["url"]).startswith(one.base_url)


def test_an_example_that_breaks_its_own_rule_is_not_given() -> None:
    schema: Json = {"type": "array", "items": {"type": "string"}, "examples": ["a,b"], "default": ["c"]}
    assert sample_of({}, schema) == ["c"]


def test_references_to_other_documents_are_refused_with_their_place() -> None:
    remote = json.loads(json.dumps(OPENAPI))
    remote["components"]["schemas"]["Issue"]["properties"]["parent"] = {"$ref": "http://169.254.169.254/x.json#/a"}
    with pytest.raises(Unusable) as raised:
        of(remote)
    assert [error["pointer"] for error in raised.value.errors] == ["/components/schemas/Issue/properties/parent/$ref"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no object"),
        (b"[1]", "no object"),
        (b"{}", "neither OpenAPI"),
        (b'{"openapi": "3.0.0"}', "no operations"),
        (b'{"openapi": "3.0.0", "paths": {"/a": {"get": {}}}}', "base_url"),
        (b'{"a": &x 1}', "anchors|JSON"),
        (b'{"openapi": "3.0.0", "paths": {"/a": ' + b'{"x":' * 100 + b"1" + b"}" * 100 + b"}}", "nested"),
    ],
)
def test_what_is_no_description_says_so(content: bytes, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        made(content, Wish(name="x"))


def test_operations_are_chosen_and_another_import_says_what_it_changes() -> None:
    with pytest.raises(Unusable, match="nope"):
        of(OPENAPI, operations=("issues/create", "nope"))
    before, after = of(OPENAPI, operations=("issues/create",)), of(OPENAPI)
    assert difference(before, after).added == ["get_/repos/_owner_/issues"]
    assert difference(after, before).removed == ["get_/repos/_owner_/issues"]
    other = json.loads(json.dumps(OPENAPI))
    other["paths"]["/repos/{owner}/issues"]["post"]["summary"] = "Report"
    assert difference(after, of(other)).changed == ["issues/create"]
