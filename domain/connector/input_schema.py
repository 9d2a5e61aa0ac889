"""The input of a trigger that is called by hand or by another zap, checked by a JSON Schema of its owner's."""

from collections.abc import Iterator

import jsonschema_rs
import msgspec

from domain.values.json import Json, JsonObject

MAX_SCHEMA = 100_000
"""Bytes of a schema."""
MAX_MISTAKES = 20
# Linear regular expressions, and no references to other documents: the schema comes from a stranger.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=2**20, dfa_size_limit=2**20)


def mistake_in(schema: JsonObject) -> str | None:
    """Why this is no JSON Schema (draft 2020-12 unless `$schema` says otherwise) that we take; None where it is."""
    try:
        if len(msgspec.json.encode(schema)) > MAX_SCHEMA:
            return f"a schema may have {MAX_SCHEMA:,} bytes"
        _validator(schema)
    except RecursionError:
        return "a schema that is nested so deep is not taken"
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return f"not a JSON Schema: {str(error).splitlines()[0][:300]}"
    return None


def violations(schema: JsonObject, value: Json) -> Iterator[tuple[str, str]]:
    """Where and how a value breaks the schema: JSON pointers (RFC 6901) and reasons; at most MAX_MISTAKES.

    How long it takes is not bounded: references multiply. So it is for a process that can be killed.
    """
    for _index, error in zip(range(MAX_MISTAKES), _validator(schema).iter_errors(value), strict=False):
        pointer = "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in error.instance_path)
        yield pointer, error.message[:300]


def _validator(schema: JsonObject) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema, offline=True, pattern_options=_PATTERNS, validate_formats=True)
