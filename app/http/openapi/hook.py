"""The catch URL: it is served as raw ASGI, so it is described by hand."""

from typing import Literal
from uuid import UUID

import msgspec

from app.http.openapi.notes import Doc
from app.http.openapi.refusals import Refusals
from app.http.openapi.schemas import Schemas
from domain.values.json import Json

_KEY_RULES = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"}
IDEMPOTENCY_KEY: Doc = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of your own for this request, such as a UUID. A repeat with the same key within 24 hours "
    "has no further effect and gets the same answer. The same key with another request is refused.",
    "schema": _KEY_RULES,
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
_REFUSALS = {
    "malformed", "bad_signature", "not_found", "method_not_allowed", "too_slow", "zap_paused", "too_large",
    "unsupported_encoding", "rate_limited", "headers_too_large", "unavailable", "loop_detected",
}  # fmt: skip
_CALLBACK_REFUSALS = {
    "malformed", "not_found", "method_not_allowed", "too_slow", "gone", "too_large", "unsupported_encoding",
    "headers_too_large", "unavailable",
}  # fmt: skip


class Accepted(msgspec.Struct, frozen=True):
    """The request is stored, and has a run."""

    status: Literal["accepted", "duplicate"]
    run_id: UUID
    position: int


class AcceptedItems(msgspec.Struct, frozen=True):
    """The request is stored, and each item of its list has a run."""

    status: Literal["accepted", "duplicate"]
    run_id: UUID
    run_ids: list[UUID]
    position: int


class HeldRequest(msgspec.Struct, frozen=True):
    """The request is stored, and waits until the zap is enabled or the request is released."""

    status: Literal["held", "duplicate"]
    request_id: UUID
    position: int


class FilteredOut(msgspec.Struct, frozen=True):
    """The zap's filter does not want the request: it is on record, and starts no run."""

    status: Literal["filtered"]
    request_id: UUID | None


class CallbackStored(msgspec.Struct, frozen=True):
    """The callback is stored, or one was before: then this one changes nothing."""

    status: Literal["accepted", "duplicate"]
    run_id: UUID
    step_id: str


TYPES = [AcceptedItems, Accepted, HeldRequest, FilteredOut]
ALL_TYPES = [*TYPES, CallbackStored]


def paths(schemas: Schemas, refusals: Refusals) -> Doc:
    """The paths of the catch URLs."""
    parameters = [
        {"name": name, "in": "path", "required": True, "description": about,
         "schema": {"type": "string", "format": "uuid"}}
        for name, about in (("user_id", "The zap's owner"), ("zap_id", "The zap"))
    ]  # fmt: skip
    key = IDEMPOTENCY_KEY | {
        "description": "The sender's name for this delivery: repeats with the same one get the answer of the first."
    }
    answers = {"anyOf": [schemas.of(wanted) for wanted in TYPES]}
    example: Json = {"status": "accepted", "run_id": "0199c0de-1234-7abc-8def-0123456789ab", "position": 42}
    operation: Doc = {
        "operationId": "catchHook",
        "tags": ["Webhooks"],
        "summary": "Start a run of a zap",
        "description": "Any content type, and any method that the zap takes; paths may go on behind the zap's id. "
        "A 2xx means that the request is stored. The zap's reply may be another one than shown here.",
        "security": [],
        "parameters": [*parameters, key],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {"schema": {}, "example": {"order": {"id": 4711}}},
                "text/plain": {"schema": {"type": "string"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {
                "description": "The request is stored",
                "content": {"application/json": {"schema": answers, "example": example}},
            },
            "202": {
                "description": "The run has not ended within the time that the zap's reply waits",
                "headers": {"Location": {"description": "The address of the run", "schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
        }
        | refusals.of(_REFUSALS),
    }
    return {
        "/hooks/catch/{user_id}/{zap_id}": {"post": operation},
        "/hooks/resume/{token}": {"post": _callback(schemas, refusals)},
    }


def _callback(schemas: Schemas, refusals: Refusals) -> Doc:
    example: Json = {"status": "accepted", "run_id": "0199c0de-1234-7abc-8def-0123456789ab", "step_id": "paid"}
    return {
        "operationId": "resumeRun",
        "tags": ["Webhooks"],
        "summary": "Call a waiting run back",
        "description": "The URL is `callback.<step>.url` in templates. The first request counts, also one that comes "
        "before the run has come to the step. Any content type.",
        "security": [],
        "parameters": [
            {"name": "token", "in": "path", "required": True, "description": "What the URL ends with",
             "schema": {"type": "string"}}
        ],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {"schema": {}, "example": {"paid": True}},
                "text/plain": {"schema": {"type": "string"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {
                "description": "The callback is stored",
                "content": {"application/json": {"schema": schemas.of(CallbackStored), "example": example}},
            }
        }
        | refusals.of(_CALLBACK_REFUSALS),
    }  # fmt: skip
