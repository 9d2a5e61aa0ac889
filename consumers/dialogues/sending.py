"""Hands a mail to a mail server (RFC 5321)."""

import aiosmtplib

from domain.connector.http_client import Unreachable
from domain.dialogue.questions import MailTaken, MailToSend

MAX_ANSWER = 500
"""Characters of a server's words."""


async def send(mail: MailToSend) -> MailTaken:
    """Raises Unreachable where the server takes it for nobody, and OSError where there is none."""
    try:
        refused, answer = await aiosmtplib.send(
            mail.content,
            sender=mail.sender,
            recipients=list(mail.recipients),
            hostname=mail.host,
            port=mail.port,
            username=mail.username,
            password=mail.password,
            use_tls=mail.tls == "tls",
            start_tls=mail.tls == "starttls",
            timeout=mail.timeout_s,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        first = error.recipients[0]
        raise _refused(first.code, first.message) from None
    except aiosmtplib.SMTPAuthenticationError as error:
        raise Unreachable(
            "login_refused", f"the mail server did not let the account in: {error.code}", permanent=error.code != 454
        ) from None
    except aiosmtplib.SMTPNotSupported:
        message = "the mail server does not do what the connection asks for: no STARTTLS, or no log-in without it"
        raise Unreachable("login_refused", message, permanent=True) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _refused(error.code, error.message) from None
    except aiosmtplib.SMTPTimeoutError as error:
        raise TimeoutError from error
    except aiosmtplib.SMTPServerDisconnected:
        raise Unreachable("broken", "the mail server ended the connection before it had answered") from None
    except aiosmtplib.SMTPException as error:
        raise OSError(str(error)) from error
    return MailTaken({who: f"{code} {why}"[:MAX_ANSWER] for who, (code, why) in refused.items()}, answer[:MAX_ANSWER])


def _refused(code: int, words: str) -> Unreachable:
    """4xx may be taken later (RFC 5321 §4.2.1)."""
    return Unreachable("mail_refused", f"the mail server answered {code} {words}"[:MAX_ANSWER], permanent=code >= 500)
