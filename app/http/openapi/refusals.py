"""Which problems each route can answer, by what kind of route it is and by its own notes."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.http.openapi.notes import Doc
from app.http.openapi.schemas import REF
from app.http.problems import KINDS, MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from app.http.openapi.document import Operation

_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait before a repeat", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "The scheme that is needed", "schema": {"type": "string"}}}
_HEADERS = {401: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}


def codes(operation: "Operation") -> set[str]:
    """The codes of all problems that an operation can answer."""
    found = set(operation.notes.problems)
    if operation.path.startswith("/api/"):
        found |= {"bad_request", "unavailable"}
    if operation.private:
        found |= {"unauthorized", "forbidden"}
    if any(parameter.place == "path" for parameter in operation.parameters):
        found.add("not_found")
    if any(parameter.name in ("cursor", "If-Match") for parameter in operation.parameters):
        found.add("malformed")
    if any(parameter.name == "as_of" for parameter in operation.parameters):
        found.add("invalid")
    if operation.method in ("POST", "PUT", "PATCH"):
        found |= {"malformed", "too_large", "unsupported_media_type"}
    if operation.method == "POST" and operation.private and operation.notes.replays:
        found |= {"request_in_progress", "idempotency_key_reused", "limit_reached"}
    return found


class Refusals:
    """The responses that refusals are, each written once."""

    def __init__(self) -> None:
        self.components: dict[str, Doc] = {}

    def of(self, wanted: set[str]) -> Doc:
        """The responses for these codes, by status."""
        by_status: dict[int, list[str]] = {}
        for code, kind in KINDS.items():
            if code in wanted:
                by_status.setdefault(kind.status, []).append(code)
        return {str(status): self._response(status, found) for status, found in by_status.items()}

    def _response(self, status: int, found: Sequence[str]) -> Doc:
        name = "Or".join("".join(part.capitalize() for part in code.split("_")) for code in found)
        if name not in self.components:
            self.components[name] = _written(status, found)
        return {"$ref": f"#/components/responses/{name}"}


def _written(status: int, found: Sequence[str]) -> Doc:
    titles = "; ".join(f"{KINDS[code].title} (`{code}`)" for code in found)
    content = {"schema": {"$ref": f"{REF}Problem"}, "examples": {code: _example(code) for code in found}}
    described: Doc = {
        "description": f"{HTTPStatus(status).phrase}: {titles}", "content": {MEDIA_TYPE: content}
    }  # fmt: skip
    headers = _RETRY_AFTER if "request_in_progress" in found else _HEADERS.get(status)
    return described | {"headers": headers} if headers else described


def _example(code: str) -> Doc:
    kind = KINDS[code]
    details = Problem(code, kind.remedy).details
    shown = {
        "type": details.type,
        "title": details.title,
        "status": details.status,
        "detail": kind.remedy,
        "code": code,
    }
    return {"summary": kind.title, "value": shown}
