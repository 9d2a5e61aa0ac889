"""Search keys as a zap declares them, read from the values of a run."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from domain.language.moments import moment_of
from domain.search.keys import MAX_TEXT, date_key, number_key, text_key, value_key
from domain.search.query import number_of
from domain.values.json import Json
from domain.values.path import look_up, parse_path
from domain.zap.settings import ZapSettings


class Found(msgspec.Struct, frozen=True):
    """The value of a search key. `key` sorts and compares (domain/search/keys.py), `text` is what is shown."""

    name: str
    key: bytes
    text: str


def found_keys(settings: ZapSettings, values: Mapping[str, Json]) -> Iterator[Found]:
    """Those of a run that its values have, each of its declared type; others are left out."""
    for declared in settings.search_keys:
        read = _read(look_up(values, parse_path(declared.path)), declared.type)
        if read is not None:
            yield Found(declared.name, *read)


def _read(value: object, wanted: Literal["string", "number", "date", "boolean"]) -> tuple[bytes, str] | None:
    match wanted:
        case "string":
            return _text(value)
        case "number":
            return _number(value)
        case "date":
            moment = moment_of(value)
            key = date_key(moment) if moment else b""
            return (key, f"{key[1:].decode()}Z") if moment else None
        case "boolean":
            text = str(value).lower()
            return (b"b" + text.encode(), text) if text in ("true", "false") else None


def _text(value: object) -> tuple[bytes, str] | None:
    if isinstance(value, bool | int | float):
        value = msgspec.json.encode(value).decode()
    if not isinstance(value, str):
        return None
    cut = value[:MAX_TEXT].replace("\0", " ")
    return text_key(cut), cut


def _number(value: object) -> tuple[bytes, str] | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        key = value_key(value)
    elif isinstance(value, str) and (number := number_of(value.strip())) is not None:
        key = number_key(number)
        small = number.copy_abs() < 2**53  # before it is written out: 1e999999999 has as many digits
        value = int(number) if small and number == int(number) else float(number)
    else:
        return None
    return (key, msgspec.json.encode(value).decode()) if key.startswith(b"n") else None
