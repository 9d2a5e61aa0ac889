"""Addresses that alerts are mailed to: /api/v1/mail-addresses."""

from litestar import Controller, get
from litestar.params import JSONBody

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command
from app.http.services import Services
from domain.log.errors import LimitReached, WrongStatus
from domain.values.email import Email
from sql.tables.mail_addresses import MAX_ADDRESSES, MailAddress, MailAddresses


class AskAddress(Input, frozen=True):
    """An address whose owner is to be asked whether alerts may be mailed there."""

    email: Email


class AddressList(Input, frozen=True):
    """All addresses of an account are one page."""

    items: tuple[MailAddress, ...]
    next_cursor: None = None


class MailAddressController(Controller):
    """Alerts go only where somebody has said yes to them."""

    path = "/mail-addresses"
    tags = ("Alerts",)

    @get("/", summary="List addresses that alerts are mailed to", operation_id="listMailAddresses")
    async def addresses_of(self, request: AuthedRequest, addresses: Injected[MailAddresses]) -> AddressList:
        """Those that published zaps have named or that were asked here, in alphabetical order."""
        return AddressList(tuple(await addresses.all(request.user.tenant_id)))

    @command("/", "askMailAddress", "Ask whether alerts may be mailed there", "limit_reached", "wrong_status")
    async def ask(
        self,
        data: JSONBody[AskAddress],
        request: AuthedRequest,
        addresses: Injected[MailAddresses],
        services: Injected[Services],
    ) -> MailAddress:
        """Sends a mail with a link to say yes or no. Publishing a zap does so for new addresses; this does it again.

        One address gets at most three such mails a day. One that is confirmed already is not asked.
        """
        tenant_id, moment = request.user.tenant_id, services.now()
        await addresses.want(tenant_id, [data.email], moment)
        (found,) = await addresses.of(tenant_id, [data.email])
        if found.changed_at is None:
            raise LimitReached(f"an account mails alerts to at most {MAX_ADDRESSES:,} addresses in all its time")
        if found.stopped:
            raise WrongStatus("the owner of this address wants no mails: only the link in one of them can change that")
        await addresses.ask_again(tenant_id, data.email, moment)
        return found
