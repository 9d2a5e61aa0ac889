"""The channels of alerts to a zap's owner: webhook, e-mail, error zap. Repeats carry the alert's id."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
import structlog

from consumers.notifier.mail import MailFailed
from consumers.notifier.recipients import NotMailed, Recipients
from domain.aggregates import ZAP
from domain.connector.http_client import HttpClient, HttpRequest, Unreachable
from domain.failures.alert_message import payload, subject, text
from domain.failures.failures import AlertRaised, FailuresEvent, owed, together
from domain.hook.request import Request
from domain.log.event import Metadata
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.log.stream import load
from domain.run.events import RunRequested
from domain.run.request import request_append
from domain.zap.zap import LoadedZap
from sql.postgres.pool import CONNECTION_ERRORS

log = structlog.get_logger()
TIMEOUT_S = 10.0
MAX_REASON = 300


class NotTold(Exception):
    """A channel did not take the alert; the text says why, for the zap's owner."""


class Alert(msgspec.Struct, frozen=True):
    """An alert as it was recorded, with its id, and the last of what the zap's failures had led to before it."""

    id: UUID
    raised: AlertRaised
    history: tuple[tuple[UUID, FailuresEvent], ...] = ()

    def to(self, channel: str) -> AlertRaised:
        """What a channel is told: also what it has missed."""
        return together(owed(self.history, channel), self.raised)


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """All channels; each send is one attempt, and its failure a text for the owner."""

    store: EventStore
    http: HttpClient
    recipients: Recipients
    new_id: NewId
    public_url: str

    async def send(
        self, alert: Alert, zap: LoadedZap | None, before: Mapping[str, str], moment: datetime
    ) -> dict[str, str]:
        """Send by every channel that the zap has now, except those that succeeded at an earlier attempt.

        Gives what all of them came to: by channel an empty text, or why it failed.
        """
        ways = self._ways(alert, zap, moment)
        done = {channel: "" for channel in ways if before.get(channel) == ""}
        due = [channel for channel in ways if channel not in done]
        results = await asyncio.gather(*(self._attempt(alert, channel, ways[channel]) for channel in due))
        return {**done, **dict(zip(due, results, strict=True))}

    def _ways(self, alert: Alert, zap: LoadedZap | None, moment: datetime) -> dict[str, Callable[[], Awaitable[None]]]:
        if zap is None or zap.state.status == "deleted" or not (alert.raised.causes or alert.raised.flags):
            return {}
        wanted = zap.state.behaviour.on_failure
        ways: dict[str, Callable[[], Awaitable[None]]] = {}
        if wanted.webhook is not None:
            ways["webhook"] = partial(self._post, alert, wanted.webhook)
        for address in wanted.email:
            ways[_of(address)] = partial(self._write, alert, address, zap.tenant_id, moment)
        if wanted.zap_id is not None and not alert.raised.chained:
            ways["zap"] = partial(self._run, alert, wanted.zap_id, zap.tenant_id)
        return ways

    async def _attempt(self, alert: Alert, channel: str, send: Callable[[], Awaitable[None]]) -> str:
        try:
            await send()
        except (NotTold, NotMailed, MailFailed, Unreachable, StoreUnavailable, *CONNECTION_ERRORS) as error:
            return str(error)[:MAX_REASON].encode("utf-8", "replace").decode()
        except Exception:  # a bug in one channel must not silence the others, nor stop the notifier
            log.exception("alert.channel_crashed", alert_id=str(alert.id), channel=channel.partition(":")[0])
            return "it broke on our side"
        return ""

    async def _post(self, alert: Alert, url: str) -> None:
        request = HttpRequest(
            method="POST",
            url=url,
            headers={"Content-Type": "application/json", "Idempotency-Key": str(alert.id)},
            body=self._json(alert, "webhook"),
            timeout_s=TIMEOUT_S,
        )
        reply = await self.http.request(request)
        if not 200 <= reply.status < 300:
            raise NotTold(f"the webhook answered {reply.status}")

    async def _write(self, alert: Alert, address: str, tenant_id: UUID, moment: datetime) -> None:
        told = alert.to(_of(address))
        body = text(told, self.public_url)
        await self.recipients.write(tenant_id, address, subject(told), body, message_id=alert.id, at=moment)

    async def _run(self, alert: Alert, zap_id: UUID, owner: UUID) -> None:
        error_zap = await load(self.store, ZAP, zap_id)
        if error_zap is None or error_zap.tenant_id != owner or error_zap.state.status == "deleted":
            raise NotTold("the error zap does not exist")
        if error_zap.state.status != "enabled":
            raise NotTold(f"the error zap is not enabled: it is {error_zap.state.status}")
        body = self._json(alert, "zap").decode()
        request = Request(method="POST", headers={"content-type": "application/json"}, body=body)
        append = request_append(
            RunRequested(zap_id=zap_id, zap_version=error_zap.state.live, source="alert", request=request),
            error_zap.state.behaviour,
            tenant_id=owner,
            new_id=self.new_id,
            metadata=Metadata(actor="notifier", causation_id=alert.id),
            dedupe_key=hashlib.sha256(b"alert" + zap_id.bytes + alert.id.bytes).digest(),
        )
        await self.store.append(append)

    def _json(self, alert: Alert, channel: str) -> bytes:
        return msgspec.json.encode(payload(alert.id, alert.to(channel), self.public_url))


def _of(address: str) -> str:
    """The channel of an address."""
    return f"email:{address}"
