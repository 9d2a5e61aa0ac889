"""S3: put and get objects of a bucket, at AWS or any service that speaks its protocol."""

import base64
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connection.hosts import fixed_host
from domain.connection.signing import AwsSignature
from domain.connector import url as urls
from domain.connector.config import BadConfig, is_template, present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import HttpReply, HttpRequest, Keep, ReplyHeaders, Upload, content_of, header_of
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.connector.uses import Uses
from domain.files.file import INLINE_BYTES, File
from domain.values.json import Json, JsonObject

MAX_BYTES = 10 * 2**20
"""Of an object that is no file."""
MAX_ANSWER = 64 * 1024
TIMEOUT_S = 60.0
FILE_TIMEOUT_S = 300.0
_REFUSED = {403: "the service did not let the connection in", 404: "there is no such object, or no such bucket"}
_TEXT = ("text/", "application/json", "application/xml", "application/x-ndjson")


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an object is."""

    bucket: Annotated[str, Meta(title="Bucket", min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._-]+\Z")]
    key: Annotated[str, Meta(title="Key", min_length=1, max_length=1_024, description="The object's name")]
    region: Annotated[str, Meta(title="Region", max_length=50, pattern=r"^[a-z0-9-]+\Z")] = "us-east-1"
    endpoint: Annotated[
        str,
        Meta(title="Endpoint", max_length=500, description="Of another service than AWS: https://s3.example.com"),
    ] = ""

    def url(self) -> str:
        """The object's address. Raises BadConfig where the key is none that a path can name."""
        if any(part in {"", ".", ".."} for part in self.key.split("/")[:-1]) or self.key.split("/")[-1] in {".", ".."}:
            raise BadConfig("key: a part of it is empty or consists of dots")
        return f"{_endpoint(self.endpoint, self.region)}/{self.bucket}/{quote(self.key, safe='/-_.~')}"


class Put(Place, frozen=True, kw_only=True):
    """An object as it is stored."""

    content: Annotated[
        Json, Meta(title="Content", description="Text, any JSON, or a file that an earlier step has kept")
    ]
    content_type: Annotated[str | UnsetType, Meta(title="Content type")] = UNSET


class Get(Place, frozen=True, kw_only=True):
    """Which object is read."""

    max_bytes: (
        Annotated[
            int,
            Meta(
                title="Bytes at most",
                ge=1,
                le=2**40,
                description="Without it 1 MiB of text, and what a file may have of anything else",
            ),
        ]
        | UnsetType
    ) = UNSET


def _endpoint(endpoint: str, region: str) -> str:
    return endpoint.rstrip("/") if endpoint else f"https://s3.{region}.amazonaws.com"


def _host(config: JsonObject) -> str:
    endpoint, region = config.get("endpoint") or "", config.get("region", "us-east-1")
    if is_template(endpoint) or is_template(region):
        return ""
    return fixed_host(_endpoint(str(endpoint), str(region)))


def _check(kind: type[Place], saved: JsonObject) -> dict[str, str]:
    found = problems(kind, saved)
    endpoint = saved.get("endpoint")
    if isinstance(endpoint, str) and endpoint and not is_template(endpoint) and (wrong := urls.check(endpoint)):
        found["endpoint"] = wrong
    return found


async def put(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Store an object. Raises Unreachable."""
    try:
        config = read(Put, present(rendered, but="content"))
        given = await content_of(config.content, context.files)
        content_type = config.content_type or given.content_type
        reply = await _sent("PUT", config, context, given.content, content_type, most=MAX_ANSWER)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    etag = reply.header("etag").strip('"')
    return _failed(reply, context) or Succeeded(
        {"bucket": config.bucket, "key": config.key, "etag": etag, "size": given.size}
    )


async def get(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Read an object. Raises Unreachable."""
    try:
        config = read(Get, present(rendered, but="content"))
        most = min(config.max_bytes or 2**20, MAX_BYTES)
        reply = await _sent("GET", config, context, None, "", most=most, keep=_keep(config, context))
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    failed = _failed(reply, context)
    if failed:
        return failed
    if reply.truncated or (
        reply.file is None and reply.size > most
    ):  # a short one is read whole before it could be kept
        return Failed(code="answer_too_large", message=f"the object has more than {most:,} bytes")
    return Succeeded({"bucket": config.bucket, "key": config.key, "size": reply.size, "body": _body(reply)})


async def _sent(
    method: str,
    config: Place,
    context: ActionContext,
    content: bytes | Upload | None,
    content_type: str,
    *,
    most: int,
    keep: Keep | None = None,
) -> HttpReply:
    return await context.http.request(
        HttpRequest(
            method=method,
            url=config.url(),
            headers=[("Content-Type", content_type)] if content_type else [],
            body=content,
            timeout_s=FILE_TIMEOUT_S if keep or isinstance(content, Upload) else TIMEOUT_S,
            max_bytes=most,
            keep=keep,
            signing=AwsSignature(config.region, "s3"),
        )
    )


def _failed(reply: HttpReply, context: ActionContext) -> Outcome | None:
    if 200 <= reply.status < 300:
        return None
    code, said = f"http_{reply.status}", reply.body[:500].decode("utf-8", "replace")
    message = _REFUSED.get(reply.status, f"the service answered {reply.status}")
    if reply.status == 429 or reply.status >= 500:
        return Retry(code=code, message=message, after_s=reply.retry_after_s(context.clock()), output=said)
    return Failed(code=code, message=message, output=said)


def _keep(config: Get, context: ActionContext) -> Keep | None:
    files, name = context.files, config.key.rsplit("/", 1)[-1]
    if files is None:
        return None

    async def take(headers: ReplyHeaders, content: AsyncIterator[bytes]) -> File:
        content_type = header_of(headers, "content-type")
        return await files.keep(content, filename=name, content_type=content_type, most=config.max_bytes or None)

    return Keep(
        wants=lambda headers: not header_of(headers, "content-type").startswith(_TEXT), above=INLINE_BYTES, take=take
    )


def _body(reply: HttpReply) -> Json:
    """Text as text, anything else as a file that later steps can send."""
    if reply.file:
        return reply.file.value()
    kind = reply.header("content-type")
    if kind.startswith(_TEXT):
        try:
            return reply.body.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"content": base64.b64encode(reply.body).decode(), "content_type": kind, "size": len(reply.body)}


_USES = Uses(host=_host, kinds=("basic",), required=True)
CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="s3.put_object",
            name="Store an object",
            description="Writes an object to a bucket of S3. The connection is the access key: its id and its secret.",
            icon="archive",
            run=put,
            config=Put,
            check=lambda saved: _check(Put, saved),
            example={"bucket": "orders", "key": "{{ trigger.body.id }}.json", "content": "{{ trigger.body }}"},
            sample={"bucket": "orders", "key": "17.json", "etag": "9e107d9d372bb6826bd81d3542a419d6", "size": 120},
            connection=_USES,
        ),
        ActionDescriptor(
            type="s3.get_object",
            name="Read an object",
            description="Reads an object of a bucket of S3: text as text, anything else as a file for later steps.",
            icon="archive",
            run=get,
            config=Get,
            check=lambda saved: _check(Get, saved),
            example={"bucket": "orders", "key": "{{ trigger.body.id }}.json"},
            sample={"bucket": "orders", "key": "17.json", "size": 11, "body": '{"id": 17}'},
            connection=_USES,
        ),
    )
)
