"""What connectors send is what the vendors themselves describe: paths, parameters of queries, and bodies.

The snapshots of tests/golden/wire are held against the vendors' own descriptions, as far as tests/data/vendors has
them; a stand-in could refuse nothing else.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest

TESTS = Path(__file__).parents[1]
WIRE = TESTS / "golden" / "wire"
HOSTS: dict[str, list[dict[str, Any]]] = {
    host: operations
    for path in sorted((TESTS / "data" / "vendors").glob("*.json"))
    for host, operations in json.loads(path.read_text("utf-8"))["hosts"].items()
}


BESIDE = ("/api/files.", "/rest/api/3/search/jql", "/rest/webhooks/")
"""What Slack and Jira have had since their documents were published there, or describe elsewhere."""


def requests_in(value: Any) -> Iterator[dict[str, Any]]:
    """The requests of a snapshot, however it is made."""
    if isinstance(value, dict) and {"method", "url"} <= set(value):
        yield value
        return
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from requests_in(inner)


SENT = [
    pytest.param(one, id=f"{path.stem} {one['method']} {urlsplit(one['url']).path}")
    for path in sorted(WIRE.glob("*.json"))
    for one in requests_in(json.loads(path.read_text("utf-8")))
    if urlsplit(one["url"]).netloc in HOSTS and not urlsplit(one["url"]).path.startswith(BESIDE)
]


def refusals(sent: dict[str, Any]) -> list[str]:
    """Why the vendor would refuse a request; nothing where it would take it."""
    url = urlsplit(sent["url"])
    fit = [
        one for one in HOSTS[url.netloc] if one["method"] == sent["method"] and re.fullmatch(one["pattern"], url.path)
    ]
    if not fit:
        return [f"no such operation: {sent['method']} {url.path}"]
    operation = min(fit, key=lambda one: one["path"].count("{"))
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    found = [f"unknown parameter {name}" for name in given if name not in operation["query"]]
    found += [f"{name} is required" for name in operation["required"] if name not in given]
    for name, text in given.items():
        found += [f"{name}: {why}" for why in _of_parameter(operation["query"].get(name, {}), text)]
    if operation["body"] is None:
        return [*found, "takes no body"] if "body" in sent else found
    validator = jsonschema.Draft202012Validator(operation["body"])
    body = sent.get("body", {})
    told = _said(operation["body"], _form(body)) if isinstance(body, str) else body
    return found + [f"{error.json_path}: {error.message}" for error in validator.iter_errors(told)]


def _form(text: str) -> dict[str, Any]:
    """A form whose names are `a`, `a[b]` or `a[0]`."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *outer, last = re.findall(r"[^\[\]]+", name)
        at = found
        for key in outer:
            at = at.setdefault(key, {})
        at[last] = value
    return found


def _said(schema: dict[str, Any], value: Any) -> Any:
    """What a form's texts mean where the schema wants lists, numbers or booleans; a text that means none stays one."""
    for variant in schema.get("anyOf", ()):
        meant = _said(variant, value)
        if jsonschema.Draft202012Validator(variant).is_valid(meant):
            return meant
    match schema.get("type"), value:
        case "array", dict():
            return [_said(schema.get("items", {}), one) for one in value.values()]
        case _, dict():
            return {name: _said(schema.get("properties", {}).get(name, {}), one) for name, one in value.items()}
        case "integer", str() if re.fullmatch(r"-?\d+", value):
            return int(value)
        case "boolean", "true" | "false":
            return value == "true"
    return value


def _of_parameter(schema: dict[str, Any], text: str) -> Iterator[str]:
    if schema.get("type") == "integer" and not re.fullmatch(r"-?\d+", text):
        yield "no whole number"
    if schema.get("type") == "boolean" and text not in {"true", "false"}:
        yield "neither true nor false"
    if "enum" in schema and text not in schema["enum"]:
        yield f"none of {schema['enum']}"


@pytest.mark.parametrize("sent", SENT)
def test_the_vendor_would_take_what_is_sent(sent: dict[str, Any]) -> None:
    assert refusals(sent) == []


def test_all_that_goes_to_these_vendors_is_looked_at() -> None:
    assert len(SENT) >= 57
    assert {urlsplit(one.values[0]["url"]).netloc for one in SENT} == set(HOSTS)  # type: ignore[index]


@pytest.mark.parametrize(
    ("url", "change", "why"),
    [
        ("https://api.github.com/repos/o/r/issues", {"body": {"title": "x", "labls": []}}, "labls"),
        ("https://api.github.com/repos/o/r/issues", {"body": {"body": "no title"}}, "title"),
        ("https://api.github.com/repos/o/r/isues", {"body": {"title": "x"}}, "no such operation"),
        ("https://sheets.googleapis.com/v4/spreadsheets/s/values/A:append?vlueInputOption=RAW", {"body": {}}, "vlue"),
        ("https://sheets.googleapis.com/v4/spreadsheets/s/values/A:append", {"body": {"values": 1}}, "array"),
        (
            "https://www.googleapis.com/calendar/v3/calendars/c/events",
            {"body": {"start": {"datetime": "x"}}},
            "datetime",
        ),
        ("https://api.stripe.com/v1/customers", {"body": "emial=x"}, "emial"),
        ("https://api.stripe.com/v1/payment_intents", {"body": "currency=eur&amount=1.0"}, "integer"),
        ("https://api.stripe.com/v1/payment_links", {"body": "line_items[0][qantity]=1"}, "qantity"),
    ],
)
def test_it_would_refuse_what_is_wrong(url: str, change: dict[str, Any], why: str) -> None:
    assert why in " ".join(refusals({"method": "POST", "url": url, **change}))
