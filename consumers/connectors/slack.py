"""Slack: share a file, in the three steps that its API has for that."""

from typing import Annotated
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Meta

from domain.connection.hosts import is_named
from domain.connector.config import BadConfig, present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import FileField, Given, HttpRequest, content_of
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded, answer, refused
from domain.connector.uses import Uses
from domain.values.json import JsonObject

HOST = "slack.com"
API = f"https://{HOST}/api"
TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 300.0
_PASSING = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""Errors of an answer with `ok: false` that time may heal."""


class Share(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file, and where it is shown."""

    file: FileField
    channel: Annotated[str, Meta(title="Channel", min_length=1, description="Its id, such as C0123456789")]
    filename: Annotated[str, Meta(title="Name of the file", max_length=255)] = ""
    title: Annotated[str, Meta(title="Title", max_length=255)] = ""
    comment: Annotated[str, Meta(title="Message", max_length=40_000)] = ""
    thread_ts: Annotated[str, Meta(title="Thread", description="The ts of the message to answer")] = ""


class _Refused(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


async def share(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Upload a file and share it. Raises Unreachable."""
    try:
        config = read(Share, present(rendered, but="file"))
        given = await content_of(config.file, context.files)
        name = config.filename or given.filename or "file"
        asked = urlencode({"filename": name, "length": given.size}).encode()
        place = await _call("files.getUploadURLExternal", asked, "application/x-www-form-urlencoded", context)
        await _uploaded(str(place.get("upload_url")), given, context)
        fields = {
            "files": [{"id": place.get("file_id"), "title": config.title or name}],
            "channel_id": config.channel,
            "initial_comment": config.comment,
            "thread_ts": config.thread_ts,
        }
        body = msgspec.json.encode({name: value for name, value in fields.items() if value})
        done = await _call("files.completeUploadExternal", body, "application/json; charset=utf-8", context)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    except _Refused as error:
        return error.outcome
    shared = done.get("files")
    return Succeeded(shared[0] if isinstance(shared, list) and shared else None)


async def _call(method: str, body: bytes, content_type: str, context: ActionContext) -> JsonObject:
    """What a method of the API answers. Raises _Refused and Unreachable."""
    headers = [("Content-Type", content_type)]
    request = HttpRequest(
        method="POST", url=f"{API}/{method}", headers=headers, body=body, timeout_s=TIMEOUT_S
    )  # fmt: skip
    reply = await context.http.request(request)
    if failed := refused(reply, "Slack", context.clock()):
        raise _Refused(failed)
    said = answer(reply)
    if not isinstance(said, dict):
        raise _Refused(Failed(code="answer_not_json", message="Slack's answer is not JSON"))
    if said.get("ok") is not True:
        code = str(said.get("error") or "refused")
        kind = Retry if code in _PASSING else Failed
        raise _Refused(kind(code=code, message=f"Slack answered {code}", output=said))
    return said


async def _uploaded(url: str, given: Given, context: ActionContext) -> None:
    """The bytes go where Slack says, without the connection. Raises _Refused and Unreachable."""
    address = urlsplit(url)
    if address.scheme != "https" or not is_named(address.hostname or "", (f"*.{HOST}",)):
        raise _Refused(Failed(code="bad_answer", message="Slack's answer has no address of its own for the file"))
    headers = [("Content-Type", given.content_type)]
    reply = await context.http.request(
        HttpRequest(
            method="POST", url=url, headers=headers, body=given.content, timeout_s=FILE_TIMEOUT_S, bare=True
        )
    )  # fmt: skip
    if failed := refused(reply, "Slack", context.clock()):
        raise _Refused(failed)


CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="slack.upload_file",
            name="Slack: Share a file",
            description="Uploads a file and shows it in a channel, with a message. Scope: files:write.",
            icon="slack",
            run=share,
            config=Share,
            check=lambda saved: problems(Share, saved),
            example={"file": "{{ trigger.body.invoice }}", "channel": "C0123456789", "comment": "The invoice"},
            sample={"id": "F0123456789", "title": "invoice.pdf"},
            idempotent=False,
            connection=Uses(host=lambda _config: HOST, kinds=("bearer", "oauth2"), required=True),
        ),
    ),
)
