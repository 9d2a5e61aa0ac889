"""The body of a request, in the kind that its definition asks for."""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Annotated, cast
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from consumers.connectors.http.config import FORM, MULTIPART, BodyType, content_type_of, media_type_of
from consumers.connectors.http.upload import NO_FILES, Found, Piece
from domain.connector.config import BadConfig, is_template
from domain.connector.http_client import Upload
from domain.files.file import is_file
from domain.language.template import templates
from domain.values.charset import written_in
from domain.values.headers import is_json
from domain.values.json import Json, JsonObject, MalformedJson, parse
from domain.values.shapes import in_words

_TEXT = "text/plain; charset=utf-8"
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""In names of fields and files (WHATWG HTML §4.10.21.8)."""
_encoder = msgspec.json.Encoder(decimal_format="number")


class Content(msgspec.Struct, frozen=True):
    """The body, and its type where the step sets none."""

    body: bytes | Upload
    content_type: str


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of a multipart body: a value, or a file that an earlier step, the trigger or the definition has."""

    name: Annotated[str, Meta(min_length=1)]
    value: Json = None
    file: Json = None
    filename: str | None = None
    content_type: str | None = None


def encoded(kind: BodyType, body: Json, content_type: str | None, seed: str, files: Found = NO_FILES) -> Content:
    """A body, as bytes or, with files, as a stream. `seed` is the same on each attempt, and so is the body.

    Raises BadConfig.
    """
    media_type, options = media_type_of(content_type)
    if kind == "json" and media_type in {FORM, MULTIPART} and isinstance(body, dict):
        kind = "form" if media_type == FORM else "multipart"  # where a template has made the content type
    match kind:
        case "json":
            return Content(_encoder.encode(body), "application/json")
        case "form":
            return Content(_form(body), FORM)
        case "multipart":
            return _multipart(body, seed, files)
        case "binary":
            content, found, _name = _exact(body, files)
            return Content(files.joined([content]), found or "application/octet-stream")
        case "text":
            return Content(_text(body, media_type, options), _TEXT)


def problem(saved: JsonObject) -> str | None:
    """What is wrong with a body that is known when it is saved; None where nothing is, or only data can tell."""
    kind, body = saved.get("body_type"), saved.get("body")
    if kind is None or body is None or is_template(kind):
        return None
    content_type = content_type_of(saved.get("headers"))
    try:
        if kind == "multipart" and isinstance(body, list):
            msgspec.convert(body, list[Part])
        if next(templates(body), None) is None and not is_template(content_type):
            encoded(cast(BodyType, kind), body, content_type, "")
    except msgspec.ValidationError as error:
        return f"a multipart body is a list of {{name, value | file, filename, content_type}}: {in_words(error)}"
    except BadConfig as error:
        return str(error).removeprefix("body: ")
    return None


def text_of(value: Json) -> str:
    """A value as text: itself, or its JSON."""
    return value if isinstance(value, str) else _encoder.encode(value).decode()


def pairs(fields: JsonObject) -> Iterator[tuple[str, str]]:
    """Names and values of a query or form: null is left out, a list repeats its name."""
    for name, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                yield name, text_of(item)


def _form(body: Json) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    if not isinstance(body, dict):
        raise BadConfig("body: a form is an object with a value for each field")
    return urlencode(list(pairs(body)), errors="replace").encode()


def _text(body: Json, media_type: str, options: dict[str, str]) -> bytes:
    charset = written_in(options.get("charset", "")) or "utf-8"
    text = text_of(body)
    try:
        content = text.encode(charset)
    except UnicodeEncodeError as error:
        if charset != "utf-8":
            raise BadConfig(f"body: {text[error.start]!r} can't be written in {charset}") from None
        content = text.encode(charset, "replace")
    if is_json(media_type):
        try:
            parse(content)
        except MalformedJson as error:
            raise BadConfig(
                f"body: the content type is {media_type}, but once its templates are replaced the text is not JSON "
                f"({error}); write it as an object, so that values are quoted"
            ) from None
    return content


def _multipart(body: Json, seed: str, files: Found) -> Content:
    parts = [_encoded_part(part, files) for part in _parts(body)]
    # What a file holds is not looked into: nobody who made it can know the hash of this attempt.
    known = b"".join(piece for part in parts for piece in part if isinstance(piece, bytes))
    turn, boundary = 0, b""
    while not boundary or boundary in known:
        boundary = hashlib.sha256(f"{seed} {turn}".encode()).hexdigest()[:32].encode()
        turn += 1
    pieces = [piece for part in parts for piece in (b"--%s\r\n" % boundary, *part, b"\r\n")]
    whole = files.joined([*pieces, b"--%s--\r\n" % boundary])
    return Content(whole, f"{MULTIPART}; boundary={boundary.decode()}")


def _parts(body: Json) -> list[Part]:
    if isinstance(body, dict):
        return [_field(name, item) for name, value in body.items() for item in _items(value) if item is not None]
    try:
        return msgspec.convert(body, list[Part])
    except msgspec.ValidationError as error:
        raise BadConfig(
            f"body: a multipart body is a list of {{name, value | file, filename, content_type}}: {error}"
        ) from None


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _field(name: str, value: Json) -> Part:
    return Part(name=name, file=value) if is_exact(value) else Part(name=name, value=value)


def _encoded_part(part: Part, files: Found) -> tuple[bytes, Piece]:
    head = f'Content-Disposition: form-data; name="{part.name.translate(_ESCAPES)}"'
    content_type = part.content_type
    content: Piece
    if part.file is None:
        content = text_of(part.value).encode("utf-8", "replace") if part.value is not None else b""
        filename = part.filename
    else:
        exact = is_exact(part.file)
        content, found, named = _exact(part.file, files) if exact else (_plain(part.file), "text/plain", "")
        content_type, filename = content_type or found or "application/octet-stream", part.filename or named or "file"
    if filename:
        head += f'; filename="{filename.translate(_ESCAPES)}"'
    if content_type:
        head += f"\r\nContent-Type: {' '.join(content_type.split())}"
    return f"{head}\r\n\r\n".encode("utf-8", "replace"), content


def _plain(value: Json) -> bytes:
    return text_of(value).encode("utf-8", "replace")


def is_exact(value: Json) -> bool:
    """Whether a value stands for exact bytes: a file, or an answer that is not text."""
    if is_file(value):
        return True
    return isinstance(value, dict) and isinstance(value.get("content"), str) and "content_type" in value


def _exact(value: Json, files: Found) -> tuple[Piece, str, str]:
    """Content, type and name of a file, of a value that was kept exactly, or of base64 text. Raises BadConfig."""
    if isinstance(value, dict) and is_file(value):
        file = files.file(value)
        return file, file.content_type, file.filename
    content, content_type, filename = value, "", ""
    if isinstance(value, dict) and is_exact(value):
        content, content_type, filename = (
            value["content"],
            str(value["content_type"] or ""),
            str(value.get("filename") or ""),
        )
    if isinstance(content, str):
        try:
            return base64.b64decode(content, validate=True), content_type, filename
        except (binascii.Error, ValueError):
            pass
    raise BadConfig("body: binary content is base64 text, or a file or answer that an earlier step has kept")
