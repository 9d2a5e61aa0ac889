"""What later steps see of an answer: JSON as values, text as text by its charset, anything else exactly."""

import base64
import re
from collections.abc import AsyncIterator

from consumers.connectors.http.config import DEFAULT_BYTES, MAX_BYTES, RequestConfig, Response, media_type_of
from domain.connector.http_client import HttpReply, Keep, ReplyHeaders, header_of
from domain.files.file import INLINE_BYTES, File, Files
from domain.values.charset import SHOWS_ITSELF, charset_of, declared, marked, text_of
from domain.values.headers import filename_of, is_binary, is_json
from domain.values.json import Json, JsonObject, MalformedJson, parse
from domain.values.payload import begins_like_json, not_as_named

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\ufffd]")
"""Characters that show that a charset was guessed wrong."""
MAX_FILENAME = 255


class NotAsAsked(ValueError):
    """The answer does not have the form that the step asks for."""


def output(reply: HttpReply, response: Response) -> JsonObject:
    """The output of a step. `why_text` says why the body of an answer that should be JSON is only text.

    Raises NotAsAsked.
    """
    media_type, options = media_type_of(reply.header("content-type"))
    found: JsonObject = {"status": reply.status, "headers": headers_of(reply)}
    why = ""
    if reply.file:
        body: Json = reply.file.value()
    elif not reply.body:
        body = None
    elif response == "json" or (response == "auto" and _may_be_json(media_type, reply.body)):
        body, why = _json(reply, media_type, options)
        if why and response == "json":
            raise NotAsAsked(f"the answer was to be JSON, but {why}")
    elif response == "binary" or (response == "auto" and is_binary(media_type)):
        body = _kept(reply, media_type)
    else:
        body = _text(reply, media_type, options, certain=response == "text")
    found |= {"body": body, "content_type": media_type, "size": reply.size}
    if why:
        found["why_text"] = why
    if reply.truncated:
        found["truncated"] = True
    return found


def most_of(wanted: RequestConfig) -> int:
    """Bytes of an answer that is no file."""
    return min(wanted.max_bytes or DEFAULT_BYTES, MAX_BYTES)


def keep_of(wanted: RequestConfig, files: Files | None) -> Keep | None:
    """How an answer becomes a file: a binary one, where it is wished for or the content is large."""
    if files is None or wanted.response not in {"auto", "binary"}:
        return None
    is_asked = wanted.response == "binary"

    async def take(headers: ReplyHeaders, content: AsyncIterator[bytes]) -> File:
        return await files.keep(
            content,
            filename=filename_of(header_of(headers, "content-disposition")) or "",
            content_type=media_type_of(header_of(headers, "content-type"))[0],
            most=wanted.max_bytes or None,
        )

    return Keep(
        wants=lambda headers: is_asked or is_binary(media_type_of(header_of(headers, "content-type"))[0]),
        above=0 if is_asked else INLINE_BYTES,
        take=take,
    )


def headers_of(reply: HttpReply) -> JsonObject:
    """The headers as JSON: a list where one came several times."""
    return {name: value if isinstance(value, str) else list[Json](value) for name, value in reply.headers.items()}


def _may_be_json(media_type: str, body: bytes) -> bool:
    return is_json(media_type) or (not media_type and begins_like_json(body))


def _json(reply: HttpReply, media_type: str, options: dict[str, str]) -> tuple[Json, str]:
    """The JSON value; or the body as text, and why it is not JSON."""
    if not reply.body.strip():
        return None, ""
    shows_itself = charset_of(options.get("charset", "")) in SHOWS_ITSELF
    text = None if shows_itself else _decoded(reply.body, options)
    try:
        return parse(reply.body if text is None else text.encode("utf-8", "surrogatepass")), ""
    except MalformedJson as error:
        why = not_as_named(media_type, f"is not JSON: {error}")
        return _text(reply, media_type, options, certain=False), why


def _text(reply: HttpReply, media_type: str, options: dict[str, str], *, certain: bool) -> Json:
    text, says_text = _decoded(reply.body, options), media_type.startswith("text/")
    if text is not None:
        return text if certain or says_text or "\0" not in text else _kept(reply, media_type)
    if certain or says_text or is_json(media_type):
        text = reply.body.decode("cp1252", "replace")  # as browsers read old pages (WHATWG Encoding §4.2)
        if certain or not _CONTROL.search(text):
            return text
    return _kept(reply, media_type)


def _decoded(content: bytes, options: dict[str, str]) -> str | None:
    """Text in the charset that it shows or that is named, else in UTF-8; None where it is no text in any of them."""
    named = charset_of(options.get("charset", "")) or declared(content)
    if named:
        return text_of(content, named)
    try:
        return content.decode(marked(content) or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None


def _kept(reply: HttpReply, media_type: str) -> JsonObject:
    kept: JsonObject = {
        "content": base64.b64encode(reply.body).decode(),
        "content_type": media_type or "application/octet-stream",
        "size": len(reply.body),
    }
    filename = filename_of(reply.header("content-disposition"))
    if filename:
        kept["filename"] = filename[:MAX_FILENAME]
    return kept
