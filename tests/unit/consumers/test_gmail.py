"""What gmail.send sends."""

import base64
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import msgspec
import pytest

from consumers.connectors.gmail import sent
from consumers.outbound.client import Outbound
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from tests.support.clock import FixedClock
from tests.support.raw_target import RawTarget


async def send(http: Outbound, target: RawTarget, **config: Any) -> Outcome:
    context = ActionContext(http, "run.step", UUID(int=1), FixedClock())
    return await sent(target.url, {"to": "ada@example.com", "bcc": "bob@example.com", **config}, context)


async def test_a_mail_goes_out_as_base64_with_its_blind_copies(http: Outbound, target: RawTarget) -> None:
    outcome = await send(http, target, subject="Grüße", text="Hallo", html="<p>Hallo</p>")
    assert isinstance(outcome, Succeeded), outcome
    raw = msgspec.json.decode(target.last.body)["raw"]
    mail = message_from_bytes(base64.urlsafe_b64decode(raw), policy=policy.default)
    assert (mail["To"], mail["Bcc"], mail["Subject"], mail["From"]) == (
        "ada@example.com", "bob@example.com", "Grüße", None,
    )  # fmt: skip
    assert isinstance(outcome.output, dict)
    assert outcome.output["message_id"] == mail["Message-ID"]


@pytest.mark.parametrize("config", [{"to": "nobody"}, {"unknown": 1}])
async def test_what_makes_no_mail_is_not_sent(http: Outbound, target: RawTarget, config: dict[str, Any]) -> None:
    outcome = await send(http, target, **config)
    assert isinstance(outcome, Failed)
    assert target.requests == []


@pytest.mark.parametrize(("status", "kind"), [(429, Retry), (500, Retry), (403, Failed), (400, Failed)])
async def test_refusals(http: Outbound, target: RawTarget, status: int, kind: type[Outcome]) -> None:
    target.says(status=f"{status} no", body=b"{}")
    assert isinstance(await send(http, target), kind)
