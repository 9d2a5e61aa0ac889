"""The config of `http.request`, and what is decided when a definition is saved."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from multipart import parse_options_header

from consumers.connectors.http.paging import Paging
from consumers.connectors.http.paging import problems as paging_problems
from consumers.connectors.http.redirects import MAX_REDIRECTS
from domain.connector import headers as rules
from domain.connector import url as urls
from domain.connector.config import is_template, problems
from domain.hook.hops import HEADER
from domain.language import condition
from domain.language.names import Names
from domain.language.template import is_lone_path
from domain.values.headers import is_json, plain_type
from domain.values.json import Json, JsonObject, MalformedJson, parse

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
BodyType: TypeAlias = Literal["json", "form", "multipart", "text", "binary"]
Response: TypeAlias = Literal["auto", "json", "text", "binary"]

MAX_BYTES = 10 * 2**20
"""The largest answer that is no file."""
MAX_FILE_BYTES = 2**40
"""The largest `max_bytes`: the installation's limit of a file is lower."""
DEFAULT_BYTES = 2**20
MAX_TIMEOUT_S = 300.0
MAX_CONTENT_TYPE = 1_000

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class RequestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request. All fields take templates, but for `body_type`: what kind of body goes out never depends on data."""

    method: Annotated[Method, Meta(title="Method")] = "POST"
    url: Annotated[str, Meta(title="URL", min_length=1, description="http:// or https://, sent as it is written")]
    headers: Annotated[
        JsonObject, Meta(title="Headers", description="Null is left out, a list is sent repeatedly")
    ] = {}
    query: Annotated[
        JsonObject, Meta(title="Query parameters", description="Null is left out, a list repeats its name")
    ] = {}
    body_type: (
        Annotated[BodyType, Meta(title="Kind of body", description="Without it, body and Content-Type decide")]
        | UnsetType
    ) = UNSET
    body: Annotated[
        Json,
        Meta(
            title="Body",
            description="An object, list, JSON text or one lone {{ path }} is sent as JSON, other text as text. "
            "multipart: a list of {name, value | file, filename, content_type}",
        ),
    ] = None
    response: Annotated[
        Response, Meta(title="Read the answer as", description="auto: as its content type says. binary: as a file")
    ] = "auto"
    success: (
        Annotated[
            dict[str, Json],
            Meta(title="Success", description="A condition over status, headers and body; without it, any 2xx"),
        ]
        | UnsetType
    ) = UNSET
    paging: (
        Annotated[Paging, Meta(title="Further pages", description="The body is the list of all items")] | UnsetType
    ) = UNSET
    redirects: Annotated[
        int, Meta(title="Redirects that are followed", ge=0, le=MAX_REDIRECTS, description="Each through the guard")
    ] = 0
    max_bytes: (
        Annotated[
            int,
            Meta(
                title="Largest answer in bytes",
                ge=1,
                le=MAX_FILE_BYTES,
                description=f"A larger one fails the step. Without it {DEFAULT_BYTES:,}, or what a file may have; "
                f"more than {MAX_BYTES:,} only where the answer becomes a file",
            ),
        ]
        | UnsetType
    ) = UNSET
    timeout_s: Annotated[float, Meta(title="Time limit in seconds", gt=0, le=MAX_TIMEOUT_S)] = 30.0


def as_defined(saved: JsonObject) -> JsonObject:
    """The config with `body_type` decided by the definition; text that is a JSON document becomes that document."""
    body = saved.get("body")
    if body is None or saved.get("body_type") is not None:
        return saved
    media_type = content_type_of(saved.get("headers"))
    structured = not media_type or is_json(media_type) or media_type in {FORM, MULTIPART} or is_template(media_type)
    if not isinstance(body, str):
        kind: BodyType = "json"
    elif structured and is_lone_path(body):
        kind = "json"
    elif structured and (document := _document(body)) is not _NO_DOCUMENT:
        kind, body = "json", document
    else:
        kind = "text"
    return {**saved, "body": body, "body_type": _BY_TYPE.get(media_type, kind) if kind == "json" else kind}


_BY_TYPE: dict[str, BodyType] = {FORM: "form", MULTIPART: "multipart"}
_NO_DOCUMENT: Json = {"no": "document"}


def _document(text: str) -> Json:
    try:
        return parse(text.encode("utf-8", "surrogatepass"))
    except MalformedJson:
        return _NO_DOCUMENT


def advise(saved: JsonObject) -> dict[str, str]:
    """Text that was probably meant to be JSON, and is sent as text/plain."""
    body = saved.get("body")
    is_open = saved.get("body_type") is None and not content_type_of(saved.get("headers"))
    if not is_open or not isinstance(body, str) or not _looks_like_json(body.strip()):
        return {}
    try:
        parse(body.encode("utf-8", "surrogatepass"))
    except MalformedJson as error:
        reason = f"it looks like JSON and is not ({error}), so it is sent as text/plain: write it as an object"
        return {"body": f"{reason}, or say with `body_type` or a Content-Type what it is"}
    return {}


def _looks_like_json(text: str) -> bool:
    return (text[:1] + text[-1:]) in {"{}", "[]"} and not text.startswith(("{{", "{%"))


def check(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = problems(RequestConfig, saved)
    url, body_type = saved.get("url"), saved.get("body_type")
    if "url" not in found and isinstance(url, str) and (wrong := urls.check(url)):
        found["url"] = wrong
    if is_template(body_type):
        found["body_type"] = "must be one of json, form, multipart, text, binary: it can't depend on data"
    headers = saved.get("headers")
    if isinstance(headers, dict):
        found.update(_check_headers(headers))
    most = saved.get("max_bytes")
    if isinstance(most, int) and most > MAX_BYTES and saved.get("response") != "binary":
        found.setdefault("max_bytes", f"expected int <= {MAX_BYTES}; more only where `response` is binary, a file")
    success, paging, without = saved.get("success"), saved.get("paging"), _without_values(saved)
    if isinstance(success, dict):
        wrong_parts = condition.check(success, _ANSWER.wrong, rendered=True)
        never = {} if wrong_parts else dict(_never(success, "", without))
        found.update({f"success.{at}".rstrip("."): reason for at, reason in {**wrong_parts, **never}.items()})
    if isinstance(paging, dict) and not any(path.startswith("paging") for path in found):
        found.update(paging_problems(msgspec.convert(paging, Paging)))
        if without:
            found.setdefault("paging", f"the items are in a JSON answer, and {without}")
    return found


def _never(condition_: Json, at: str, without: str | None) -> Iterator[tuple[str, str]]:
    """The rules of `success` that hold for no answer, by path."""
    match condition_:
        case {"all": list(parts)}:
            for index, part in enumerate(parts):
                yield from _never(part, f"{at}all[{index}].", without)
        case {"any": list(parts)}:
            for index, part in enumerate(parts):
                yield from _never(part, f"{at}any[{index}].", without)
        case {"not": part}:
            yield from _never(part, f"{at}not.", without)
        case {"field": "status", "operator": "equals", "value": str(text)} if not is_template(text):
            yield f"{at}value", "a status is a number, such as 200: it never equals text"
        case {"field": str(field), "operator": "equals" | "is_true" | "is_false" | "exists"} if without:
            if field.startswith(("body.", "body[")):
                yield f"{at}field", f"the body has no fields, as {without}"


def _without_values(saved: JsonObject) -> str | None:
    """Why the body of the answer is never a JSON value; None where it may be one."""
    if saved.get("method") == "HEAD":
        return "the answer to HEAD has no body"
    match saved.get("response"):
        case "text" | "binary" as response:
            return f"`response` has it read as {response}"
    return None


_ANSWER = Names(roots=("status", "headers", "body"))


def _check_headers(headers: JsonObject) -> dict[str, str]:
    found: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in headers.items():
        wrong = rules.name_problem(name)
        if name.lower() == HEADER.lower():
            wrong = "TriggerHub sets this header itself: it says how many runs have started one another"
        if name.lower() in seen:
            wrong = wrong or "this header is there twice; for several values write a list"
        if isinstance(value, str) and not is_template(value):
            wrong = wrong or rules.value_problem(value)
        if wrong:
            found[f"headers.{name}"] = wrong
        seen.add(name.lower())
    return found


def content_type_of(headers: Json) -> str:
    """The media type in the config's own header, in lower case; a template stays as it is."""
    if not isinstance(headers, dict):
        return ""
    found = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    return found if is_template(found) and isinstance(found, str) else media_type_of(found)[0]


def media_type_of(content_type: Json) -> tuple[str, dict[str, str]]:
    """A Content-Type header's media type, in lower case, and its options."""
    if not isinstance(content_type, str) or not content_type:
        return "", {}
    return _parsed(content_type[:MAX_CONTENT_TYPE])


@lru_cache(maxsize=512)
def _parsed(content_type: str) -> tuple[str, dict[str, str]]:
    """Cached: parsing is the most expensive part of reading an answer, and few types are in use."""
    media_type, options = parse_options_header(content_type)
    return plain_type(str(media_type)), options
