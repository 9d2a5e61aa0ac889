"""A record as templates see it: its value as JSON where it is JSON, else as text, else as base64."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from domain.values.json import Json, JsonObject, MalformedJson, parse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(Protocol):
    """What is used of a record of aiokafka. The timestamp is in milliseconds."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def size(record: Record) -> int:
    """Bytes of a record."""
    named = sum(len(name.encode("utf-8", "replace")) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + named


def body(record: Record, topic: str, partition: int) -> JsonObject:
    """The record. A header that comes several times is a list."""
    headers: JsonObject = {}
    for name, raw in record.headers:
        value = _text(raw)
        before = headers.get(name)
        if name not in headers:
            headers[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            headers[name] = [before, value]
    return {
        "key": _text(record.key),
        "value": _value(record.value),
        "headers": headers,
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp": _moment(record.timestamp),
    }


def _value(raw: bytes | None) -> Json:
    try:
        return parse(raw) if raw else _text(raw)
    except MalformedJson:
        return _text(raw)


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii")


def _moment(milliseconds: int | None) -> str | None:
    """Producers may write any number; those below zero say that there is none."""
    if milliseconds is None or milliseconds < 0:
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:
        return None
