"""Gmail: send a mail as the account's owner."""

import asyncio
import base64

import msgspec

from domain.connector.config import BadConfig, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import HttpRequest
from domain.connector.mail import MailConfig, given, letter, with_files
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.connector.uses import Uses
from domain.values.json import Json, JsonObject, MalformedJson, parse

HOST = "gmail.googleapis.com"
SEND = f"https://{HOST}/gmail/v1/users/me/messages/send"
"""https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send"""
TIMEOUT_S = 60.0
_RATE = ("rateLimitExceeded", "userRateLimitExceeded", "RESOURCE_EXHAUSTED")


async def send(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Send a mail. Raises Unreachable."""
    return await sent(SEND, rendered, context)


async def sent(url: str, rendered: JsonObject, context: ActionContext) -> Outcome:
    """The same to another place, for tests."""
    try:
        config = read(MailConfig, given(await with_files(rendered, context.files)))
        mail = await asyncio.to_thread(
            letter, config, own="", key=context.idempotency_key, at=context.clock(), shows_bcc=True
        )
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    reply = await context.http.request(
        HttpRequest(
            method="POST",
            url=url,
            headers=[("Content-Type", "application/json")],
            body=msgspec.json.encode({"raw": base64.urlsafe_b64encode(mail.content).decode()}),
            timeout_s=TIMEOUT_S,
        )
    )
    answer = _json(reply.body)
    if 200 <= reply.status < 300:
        return Succeeded({"message_id": mail.message_id, **(answer if isinstance(answer, dict) else {})})
    code, message = f"http_{reply.status}", f"Gmail answered {reply.status}"
    is_rate = reply.status == 403 and any(word.encode() in reply.body for word in _RATE)
    if reply.status in {408, 429} or reply.status >= 500 or is_rate:
        return Retry(code=code, message=message, after_s=reply.retry_after_s(context.clock()), output=answer)
    return Failed(code=code, message=message, output=answer)


def _json(body: bytes) -> Json:
    try:
        return parse(body)
    except MalformedJson:
        return body[:500].decode("utf-8", "replace")


CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="gmail.send",
            name="Send a mail with Gmail",
            description="Sends a mail as the owner of the account. Scope: https://www.googleapis.com/auth/gmail.send.",
            icon="mail",
            run=send,
            config=MailConfig,
            check=lambda saved: problems(MailConfig, saved),
            example={"to": "{{ trigger.body.email }}", "subject": "Order {{ trigger.body.id }}", "text": "Thank you!"},
            sample={"message_id": "<1@triggerhub>", "id": "18c1", "threadId": "18c1", "labelIds": ["SENT"]},
            idempotent=False,
            connection=Uses(host=lambda _config: HOST, kinds=("oauth2", "bearer"), required=True),
        ),
    ),
)
