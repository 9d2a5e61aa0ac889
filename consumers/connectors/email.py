"""E-mail: send by SMTP, and start a run for each new mail of a folder."""

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connection.kinds import Imap, Smtp
from domain.connector.config import BadConfig, fixed_problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector, TriggerDescriptor
from domain.connector.http_client import Unreachable
from domain.connector.mail import MailConfig, given, letter, with_files
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.connector.poll import Every, Found, Item, Place, Poll, PollContext, PollFailed, as_trigger
from domain.connector.uses import Uses
from domain.dialogue.questions import MailboxRequest, MailToSend
from domain.dialogue.topic import Skipped
from domain.values.json import Json, JsonObject

TIMEOUT_S = 30.0
LOOK_S = 25.0


async def send(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Hand a mail to the account's server. Raises Unreachable."""
    assert context.account is not None, "a step without a connection is not published"
    assert context.dialogue is not None, "whoever runs steps speaks with servers"
    account = await context.account()
    assert isinstance(account, Smtp), "no other kind may be named"
    where = account.config
    try:
        config = read(MailConfig, given(await with_files(rendered, context.files)))
        mail = await asyncio.to_thread(
            letter, config, own=where.username, key=context.idempotency_key, at=context.clock()
        )
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    taken = await context.dialogue.send(
        MailToSend(
            host=where.host,
            port=where.port,
            username=where.username,
            password=account.secrets.password,
            tls=where.tls,
            sender=mail.sender,
            recipients=mail.recipients,
            content=mail.content,
            timeout_s=TIMEOUT_S,
        )
    )
    refused: JsonObject = {**taken.refused}
    accepted: list[Json] = [one for one in mail.recipients if one not in refused]
    return Succeeded({"message_id": mail.message_id, "accepted": accepted, "refused": refused, "answer": taken.answer})


class Folder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which mails start runs."""

    folder: Annotated[str, Meta(title="Folder", min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")] = (
        "INBOX"
    )
    start_from: Annotated[
        str,
        Meta(
            title="Start from",
            description="now: with the mails that come after the first look; all: with those that are there",
            pattern=r"^(now|all)\Z",
        ),
    ] = "now"
    every_s: Every = 60
    max_items: Annotated[int, Meta(title="Mails of one look at most; the rest follows at once", ge=1, le=100)] = 20


async def look(saved: JsonObject, context: PollContext) -> Found:
    """The mails behind those that were read before. Raises PollFailed."""
    try:
        config = read(Folder, saved)
        assert context.account is not None, "a trigger without a connection is not published"
        account = await context.account()
        assert isinstance(account, Imap), "no other kind may be named"
        where, (validity, uid) = account.config, _place(context.place)
        reading = await context.dialogue.look(
            MailboxRequest(
                host=where.host,
                port=where.port,
                username=where.username,
                password=account.secrets.password,
                tls=where.tls,
                folder=config.folder,
                validity=validity,
                uid=uid,
                from_end=config.start_from == "now",
                max_mails=config.max_items,
                timeout_s=LOOK_S,
            )
        )
    except BadConfig as error:
        raise PollFailed("bad_config", str(error)) from None
    except Unreachable as error:
        raise PollFailed(error.code, error.message, after_s=error.after_s) from None
    numbered_anew = Skipped(
        f"imap/{reading.validity}", "the server has numbered the folder anew: it is read on from its end"
    )
    return Found(
        items=tuple(Item(key=f"imap/{reading.validity}/{mail.uid}", body=mail.body) for mail in reading.mails),
        place=Place(cursor=f"{reading.validity}:{reading.uid}"),
        skipped=(numbered_anew,) if reading.restarted else (),
        more=reading.more,
    )


def _place(place: Place) -> tuple[int, int]:
    """The folder's UIDVALIDITY, and the last mail that was read."""
    validity, _, uid = place.cursor.partition(":")
    return (int(validity), int(uid)) if validity.isdigit() and uid.isdigit() else (0, 0)


CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="email.received",
            name="New mails of a folder",
            description="Starts a run for each new mail, and leaves it unread. What it says is in trigger.body.",
            icon="mail",
            config=Folder,
            example=as_trigger(
                {
                    "uid": 4711,
                    "message_id": "<1@example.com>",
                    "from": [{"name": "Ada", "address": "ada@example.com"}],
                    "to": [{"name": "", "address": "orders@example.org"}],
                    "cc": [],
                    "reply_to": [],
                    "subject": "Order 17",
                    "date": "2027-01-01T09:00:00+00:00",
                    "in_reply_to": "",
                    "text": "Two of them, please.",
                    "html": None,
                    "attachments": [{"filename": "order.pdf", "content_type": "application/pdf", "size": 8_120}],
                    "complete": True,
                }
            ),
            check=lambda saved: fixed_problems(Folder, saved),
            poll=Poll(run=look, source=lambda config: {"folder": config.get("folder", "INBOX")}, by_position=True),
            connection=Uses(host=lambda _config: "", kinds=("imap",), required=True),
        ),
    ),
    actions=(
        ActionDescriptor(
            type="email.send",
            name="Send an e-mail",
            description="Sends a mail through a mail server of yours. A repeat has the same Message-ID.",
            icon="mail",
            run=send,
            config=MailConfig,
            example={
                "to": "{{ trigger.body.email }}",
                "subject": "Order {{ trigger.body.id }}",
                "text": "Thank you!",
            },
            sample={"message_id": "<1@example.org>", "accepted": ["ada@example.com"], "refused": {}, "answer": "OK"},
            idempotent=False,
            connection=Uses(host=lambda _config: "", kinds=("smtp",), required=True),
        ),
    ),
)
