"""The page behind the link in a mail: /mails/{token}. Whoever has the link has the mail, and needs no account."""

from html import escape
from typing import Annotated, Literal

from litestar import Controller, Response, get, post
from litestar.params import Parameter

from app.http.docs import layout
from app.http.inputs import Injected
from app.http.services import Services
from sql.tables.mail_addresses import Link, MailAddresses

Token = Annotated[str, Parameter(max_length=200)]


class MailPages(Controller):
    """A GET changes nothing: programs that look for viruses follow the links of mails. A POST is what a button does."""

    path = "/mails/{token:str}"
    include_in_schema = False

    @get(["/", "/stop", "/confirm"])
    async def look(self, token: Token, addresses: Injected[MailAddresses]) -> Response[str]:
        """Who wants to write to which address, and what its owner has said."""
        return _page(await addresses.link(token), token)

    @post("/confirm", status_code=200)
    async def confirm(
        self, token: Token, addresses: Injected[MailAddresses], services: Injected[Services]
    ) -> Response[str]:
        """Alerts may be mailed to the address."""
        return await _answered(token, "confirmed", addresses, services)

    @post("/stop", status_code=200)
    async def stop(
        self, token: Token, addresses: Injected[MailAddresses], services: Injected[Services]
    ) -> Response[str]:
        """No more mails from this account; mail programs send this by themselves (RFC 8058)."""
        return await _answered(token, "stopped", addresses, services)


async def _answered(
    token: str, answer: Literal["confirmed", "stopped"], addresses: MailAddresses, services: Services
) -> Response[str]:
    await addresses.answer(token, answer, services.now())
    return _page(await addresses.link(token), token)


def _page(link: Link | None, token: str) -> Response[str]:
    if link is None:
        return layout.form_page(
            "Alerts", "<p>This link leads nowhere (any more). A newer mail has another one.</p>", 404
        )
    account = escape(link.account or "an account that is gone")
    stands = {
        "asked": f"{account} would like to mail alerts to <strong>{escape(link.address)}</strong>.",
        "confirmed": f"{account} may mail alerts to <strong>{escape(link.address)}</strong>.",
        "stopped": f"{account} sends no mails to <strong>{escape(link.address)}</strong> any more.",
    }
    yes = _button(token, "confirm", "Yes, send them")
    no = _button(token, "stop", "No more mails" if link.state == "confirmed" else "No, never")
    buttons = {"asked": yes + no, "confirmed": no, "stopped": yes}
    return layout.form_page("Alerts", f"<p>{stands[link.state]}</p>{buttons[link.state]}")


def _button(token: str, path: str, label: str) -> str:
    return f'<form method="post" action="/mails/{escape(token)}/{path}"><button>{escape(label)}</button></form>'
