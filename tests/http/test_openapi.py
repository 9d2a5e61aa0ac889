"""The OpenAPI document: valid, complete, and true to what the API does."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.http.problems import KINDS, MEDIA_TYPE
from tests.support.api import Person

Document = dict[str, Any]
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def document(api: httpx.AsyncClient) -> Document:
    answer = await api.get("/schema/openapi.json")
    found: Document = answer.json()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def media(document: Document) -> Iterator[tuple[str, Document]]:
    for path, method, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in [*bodies, *document["components"]["responses"].values()]:
            for content in body.get("content", {}).values():
                yield f"{method} {path}", content


def test_the_document_is_valid(document: Document) -> None:
    OpenAPIV31SpecValidator(document).validate()


async def test_the_yaml_is_the_same_document(api: httpx.AsyncClient, document: Document) -> None:
    answer = await api.get("/schema/openapi.yaml")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(answer.text) == document


def test_every_operation_is_described_under_a_plain_name(document: Document) -> None:
    found = list(operations(document))
    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names)) > 40
    for path, method, operation in found:
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", operation["operationId"]), operation["operationId"]
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
        assert all(parameter["description"] for parameter in operation.get("parameters", ())), (method, path)


def test_schema_names_are_words_of_our_users(document: Document) -> None:
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"([A-Z][a-z]+)+", name), name
        assert not name.endswith(("In", "Out", "Config")) or name in (
            "SignIn",
            "SignedIn",
            "WebhookConfig",
            "FilteredOut",
        ), name


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: Document) -> None:
    text = json.dumps(document)
    wanted = set(re.findall(r'"#/components/(\w+/\w+)"', text))
    known = {f"{kind}/{name}" for kind in ("schemas", "responses") for name in document["components"][kind]}
    assert wanted <= known
    assert known - wanted == set()


def test_every_body_has_an_example_that_fits_its_schema(document: Document) -> None:
    root = {"$id": "urn:document", **document}
    without = []
    for where, content in media(document):
        examples = [one["value"] for one in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        if not examples and "$ref" in content["schema"]:
            without.append((where, content["schema"]))
        for example in examples:
            schema = {**root, **content["schema"]}
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(example)
    assert without == []


async def test_the_examples_of_requests_are_taken(ada: Person, document: Document) -> None:
    example = document["paths"]["/api/v1/zaps"]["post"]["requestBody"]["content"]["application/json"]["example"]
    example["steps"][0] |= {"type": "test.echo", "config": {"text": "x"}}
    assert (await ada("POST", "/zaps", json=example)).status_code == 201


def test_refusals_are_problems_and_only_refusals_are(document: Document) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400" and path != "/readyz":
                content = document["components"]["responses"][response["$ref"].rpartition("/")[2]]["content"]
                assert list(content) == [MEDIA_TYPE], (method, path)
                assert {KINDS[code].status for code in content[MEDIA_TYPE]["examples"]} == {int(status)}


def test_what_needs_credentials_says_so(document: Document) -> None:
    for path, _, operation in operations(document):
        private = path.startswith("/api/") and (not path.startswith("/api/v1/auth/") or path.endswith("signout"))
        assert operation["security"] == ([{"bearer": []}] if private else [])
        assert ("401" in operation["responses"]) >= private


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/api/v1/zaps", "post", {"201", "400", "401", "403", "409", "413", "415", "422", "503"}),
        ("/api/v1/zaps/{zap_id}", "put", {"200", "400", "401", "403", "404", "412", "413", "415", "422", "428", "503"}),
        ("/api/v1/zaps/{zap_id}", "delete", {"204", "400", "401", "403", "404", "412", "503"}),
        ("/api/v1/runs", "get", {"200", "400", "401", "403", "422", "503"}),
        ("/api/v1/runs/{run_id}", "get", {"200", "400", "401", "403", "404", "422", "503"}),
        ("/api/v1/auth/signin", "post", {"200", "400", "401", "413", "415", "429", "503"}),
        ("/healthz", "get", {"200"}),
        ("/readyz", "get", {"200", "503"}),
    ],
)
def test_the_statuses_of_an_operation_are_those_that_come(
    document: Document, path: str, method: str, statuses: set[str]
) -> None:
    assert set(document["paths"][path][method]["responses"]) == statuses


@pytest.mark.parametrize(
    ("name", "field", "tags"),
    [
        ("Reply", "mode", {"immediate", "custom", "wait"}),
        ("Concurrency", "mode", {"parallel", "serial"}),
        ("Dedupe", "from", {"sender", "header", "body", "none"}),
        (
            "Trigger",
            "type",
            {"manual", "schedule.cron", "schedule.every", "webhook.catch", "webhook.catch_raw", "zap.called"},
        ),
    ],
)
def test_what_one_field_decides_is_a_union(document: Document, name: str, field: str, tags: set[str]) -> None:
    union = document["components"]["schemas"][name]
    assert union["discriminator"]["propertyName"] == field
    assert set(union["discriminator"]["mapping"]) == tags
    assert [part["$ref"] for part in union["oneOf"]] == list(union["discriminator"]["mapping"].values())


def test_steps_retries_and_verification_are_unions_too(document: Document) -> None:
    schemas = document["components"]["schemas"]
    step = schemas["ZapInput"]["properties"]["steps"]["items"]
    assert set(step["discriminator"]["mapping"]) >= {"action", "delay"}
    retry = schemas["ActionStep"]["properties"]["retry"]
    assert set(retry["discriminator"]["mapping"]) == {"exponential", "fixed"}
    verification = schemas["WebhookConfig"]["properties"]["verification"]
    assert set(verification["discriminator"]["mapping"]) >= {"none", "github", "stripe", "hmac"}


def test_inputs_are_closed(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for path, _, operation in operations(document):
        if not path.startswith("/hooks/") and "requestBody" in operation:
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            parts = [schemas[one["$ref"].rpartition("/")[2]] for one in schemas[name].get("oneOf", ())]
            assert all(part["additionalProperties"] is False for part in parts or [schemas[name]])


def test_times_are_marked_and_patterns_are_no_python(document: Document) -> None:
    run = document["components"]["schemas"]["RunSummary"]["properties"]
    assert run["started_at"] == {"type": "string", "format": "date-time"}
    assert {"type": "string", "format": "date-time"} in run["finished_at"]["anyOf"]
    assert "\\\\Z" not in json.dumps(document)


@pytest.mark.parametrize(
    ("operation", "status", "link", "wanted"),
    [
        ("createZap", "201", "replaceZapDraft",
         {"path.zap_id": "$response.body#/id", "header.If-Match": "$response.header.ETag"}),
        ("listZaps", "200", "publishZap", {"path.zap_id": "$response.body#/items/0/id"}),
        ("replayRuns", "202", "abortJob", {"path.job_id": "$response.body#/id"}),
        ("catchHook", "200", "getRun", {"path.run_id": "$response.body#/run_id"}),
        ("listZapVersions", "200", "getZapVersion",
         {"path.zap_id": "$request.path.zap_id", "path.number": "$response.body#/items/0/number"}),
    ],
)  # fmt: skip
def test_an_answer_leads_on_by_the_ids_in_it(
    document: Document, operation: str, status: str, link: str, wanted: dict[str, str]
) -> None:
    (found,) = [found for _, _, found in operations(document) if found["operationId"] == operation]
    assert found["responses"][status]["links"][link] == {"operationId": link, "parameters": wanted}


def test_links_lead_to_operations_by_parameters_that_these_have(document: Document) -> None:
    known = {
        operation["operationId"]: {f"{p['in']}.{p['name']}" for p in operation.get("parameters", ())}
        for _, _, operation in operations(document)
    }
    found = [
        link
        for _, _, operation in operations(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(found) > 50
    assert all(link["parameters"].keys() <= known[link["operationId"]] for link in found)
    behind = {name for name, takes in known.items() if any(place.startswith("path.") for place in takes)}
    assert behind - {link["operationId"] for link in found} == {
        "catchHook",
        "resumeRun",
        "diffZapVersions",
        "listChoices",
        "downloadFile",
    }


def test_a_run_leads_to_its_zap_but_not_to_changing_it(document: Document) -> None:
    links = document["paths"]["/api/v1/runs/{run_id}"]["get"]["responses"]["200"]["links"]
    assert set(links) == {"getZap"}


def test_every_problem_says_what_to_do() -> None:
    for kind in KINDS.values():
        assert kind.title[0].isupper()
        assert kind.remedy.endswith("."), kind
