"""Gmail: send a mail as the account's owner."""

import asyncio
import base64

import msgspec

from domain.connector.config import BadConfig, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import HttpRequest
from domain.connector.mail import MailConfig, given, letter, with_files
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded, answer, refused
from domain.connector.uses import Uses
from domain.values.json import JsonObject

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
    failed = refused(reply, "Gmail", context.clock())
    if isinstance(failed, Failed) and reply.status == 403 and any(word.encode() in reply.body for word in _RATE):
        return Retry(
            code=failed.code,
            message=failed.message,
            after_s=reply.retry_after_s(context.clock()),
            output=failed.output,
        )
    said = answer(reply)
    return failed or Succeeded({"message_id": mail.message_id, **(said if isinstance(said, dict) else {})})


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
