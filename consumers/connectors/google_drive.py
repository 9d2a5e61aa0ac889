"""Google Drive: upload a file, in one piece, to where Drive says for it."""

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from domain.connection.hosts import is_named
from domain.connector.config import BadConfig, present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import FileField, HttpRequest, content_of
from domain.connector.outcome import Failed, Outcome, Succeeded, answer, refused
from domain.connector.uses import Uses
from domain.values.json import JsonObject

HOST = "www.googleapis.com"
FIELDS = "id,name,mimeType,size,webViewLink"
UPLOAD = f"https://{HOST}/upload/drive/v3/files?uploadType=resumable&fields={FIELDS.replace(',', '%2C')}"
"""https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable"""
TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 300.0


class Put(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file, and where it goes."""

    file: FileField
    name: Annotated[str, Meta(title="Name", max_length=1_000, description="Otherwise the file's own")] = ""
    folder: Annotated[str, Meta(title="In folder", description="Its id; otherwise My Drive")] = ""
    convert_to: Annotated[
        str,
        Meta(title="Convert to", description="Such as application/vnd.google-apps.spreadsheet, for a CSV"),
    ] = ""


async def put(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Upload a file. Raises Unreachable."""
    try:
        config = read(Put, present(rendered, but="file"))
        given = await content_of(config.file, context.files)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    fields: JsonObject = {"name": config.name or given.filename or "file"}
    fields |= {"parents": [config.folder]} if config.folder else {}
    fields |= {"mimeType": config.convert_to} if config.convert_to else {}
    headers = [
        ("Content-Type", "application/json; charset=UTF-8"),
        ("X-Upload-Content-Type", given.content_type),
        ("X-Upload-Content-Length", str(given.size)),
    ]
    body = msgspec.json.encode(fields)
    begun = await context.http.request(
        HttpRequest(method="POST", url=UPLOAD, headers=headers, body=body, timeout_s=TIMEOUT_S)
    )
    if failed := refused(begun, "Google Drive", context.clock()):
        return failed
    address = urlsplit(begun.header("location"))
    if address.scheme != "https" or not is_named(address.hostname or "", ("*.googleapis.com",)):
        return Failed(code="bad_answer", message="Google Drive's answer has no address of its own for the file")
    sent = HttpRequest(
        method="PUT", url=address.geturl(), headers=[("Content-Type", given.content_type)], body=given.content,
        timeout_s=FILE_TIMEOUT_S, bare=True,
    )  # fmt: skip
    done = await context.http.request(sent)
    return refused(done, "Google Drive", context.clock()) or Succeeded(answer(done))


CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="google_drive.upload_file",
            name="Google Drive: Upload a file",
            description="Stores a file in Drive. Scope: https://www.googleapis.com/auth/drive.file.",
            icon="hard-drive",
            run=put,
            config=Put,
            check=lambda saved: problems(Put, saved),
            example={"file": "{{ trigger.body.invoice }}", "folder": "1AbC"},
            sample={"id": "1XyZ", "name": "invoice.pdf", "mimeType": "application/pdf", "size": "300000"},
            idempotent=False,
            connection=Uses(host=lambda _config: HOST, kinds=("oauth2", "bearer"), required=True),
        ),
    ),
)
