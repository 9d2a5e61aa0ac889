"""Actions that are code, held against the kinds of answers that those of files are: what they send and make of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest

from consumers.connectors import catalog
from consumers.outbound.client import Outbound
from consumers.trial.stand_in import StandIn, stand_in
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpReply, HttpRequest, Unreachable
from domain.connector.outcome import Outcome, Retry, Succeeded, unreached
from domain.data.work import work
from domain.values.json import Json, JsonObject
from tests.support.clock import FixedClock

WIRE = Path(__file__).parents[2] / "golden" / "wire" / "coded.json"
HUGE = 11 * 2**20
PLACE = {"bucket": "b", "key": "reports/2026.txt"}
FILE = {"content": "SGVsbG8=", "content_type": "text/plain", "filename": "hello.txt"}
SESSION = "https://content.googleapis.com/session/1"
ANSWER = msgspec.json.encode(
    {
        "id": "1", "ok": True, "upload_url": "https://files.slack.com/upload/v1/x", "file_id": "F1",
        "choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}],
    }
)  # fmt: skip
GIVEN: dict[str, dict[str, Any]] = {
    "gmail.send": {"to": "ada@example.com", "subject": "Grüße", "text": "Hallo"},
    "google_drive.upload_file": {"file": FILE, "folder": "f1"},
    "http.request": {"method": "POST", "url": "https://api.example.com/orders", "body": {"sku": "A1"}},
    "llm.chat": {"model": "m", "prompt": "Hello?", "temperature": 0},
    "llm.extract": {"model": "m", "text": {"n": 1}, "schema": {"type": "object"}},
    "s3.get_object": PLACE,
    "s3.put_object": {**PLACE, "content": "Hallo"},
    "slack.upload_file": {"file": FILE, "channel": "C0123456789", "comment": "Grüße"},
    "webhook.send": {"url": "https://example.com/hooks", "type": "order.paid", "data": {"id": 7}},
}
EXPECTED = {
    "success": "Succeeded",
    "400": "Failed http_400",
    "401": "Failed http_401",
    "429": "Retry http_429 after 7 s",
    "500": "Retry http_500",
    "no answer": "Retry timeout",
    "wrong content type": "Succeeded",
    "huge answer": "Succeeded",
}
OTHERWISE = {
    ("google_drive.upload_file", "wrong content type"): "Failed bad_answer",
    ("google_drive.upload_file", "huge answer"): "Failed bad_answer",
    ("llm.chat", "wrong content type"): "Failed answer_not_json",
    ("llm.chat", "huge answer"): "Failed answer_too_large",
    ("llm.extract", "wrong content type"): "Failed answer_not_json",
    ("llm.extract", "huge answer"): "Failed answer_too_large",
    ("slack.upload_file", "wrong content type"): "Failed answer_not_json",
    ("slack.upload_file", "huge answer"): "Failed answer_not_json",
    ("http.request", "huge answer"): "Failed answer_too_large",
    ("s3.get_object", "huge answer"): "Failed answer_too_large",
}


class _There:
    """The way out to the stand-in, whatever host is named; it waits briefly."""

    def __init__(self, http: Outbound, service: StandIn) -> None:
        self._http = http
        self._service = service
        self.hosts: list[str] = []

    async def request(self, request: HttpRequest) -> HttpReply:
        """See HttpClient."""
        address = urlsplit(request.url)
        self.hosts.append(f"{address.scheme}://{address.netloc}")
        url = request.url.replace(self.hosts[-1], self._service.address, 1)
        wait_s = 0.05 if self._service.answer is None else request.timeout_s
        return await self._http.request(msgspec.structs.replace(request, url=url, timeout_s=wait_s))


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[StandIn]:
    async with stand_in() as service:
        yield service


async def in_place(type_: str, config: JsonObject) -> Json:
    return work(type_, config, FixedClock()())


async def run(type_: str, there: _There) -> Outcome:
    context = ActionContext(there, "run.step", UUID(int=1), FixedClock(), shape=in_place)
    try:
        return await catalog().actions[type_].run(GIVEN[type_], context)
    except Unreachable as error:  # what the runner makes of it
        return unreached(error)


def answers(service: StandIn, case: str) -> None:
    match case:
        case "success":
            service.says(200, ANSWER, ("Location", SESSION))
        case "429":
            service.says(429, b"{}", ("Retry-After", "7"))
        case "no answer":
            service.answer = None
        case "wrong content type":
            service.says(200, b"<html>Sign in</html>", content_type="text/html")
        case "huge answer":
            service.says(200, b'"' + b"x" * HUGE + b'"')
        case status:
            service.says(int(status), b'{"error": {"message": "refused"}}')


def shown(outcome: Outcome) -> str:
    if isinstance(outcome, Succeeded):
        return "Succeeded"
    after = f" after {outcome.after_s:g} s" if isinstance(outcome, Retry) and outcome.after_s is not None else ""
    return f"{type(outcome).__name__} {outcome.code}{after}"


@pytest.mark.parametrize("type_", GIVEN)
async def test_every_kind_of_answer_has_its_outcome(type_: str, service: StandIn, http: Outbound) -> None:
    found = {}
    for case in EXPECTED:
        answers(service, case)
        found[case] = shown(await run(type_, _There(http, service)))
    assert found == {case: OTHERWISE.get((type_, case), wanted) for case, wanted in EXPECTED.items()}


async def test_what_goes_over_the_wire_is_as_it_was_reviewed(
    service: StandIn, http: Outbound, pytestconfig: pytest.Config
) -> None:
    """Without signatures, which the way out adds. Anew with: pytest tests/unit/consumers/test_coded_actions.py
    --write-golden
    """
    service.says(200, ANSWER, ("Location", SESSION))
    wire: dict[str, Any] = {}
    for type_ in GIVEN:
        there, before = _There(http, service), len(service.requests)
        await run(type_, there)
        sent = [one.shown(host) for one, host in zip(service.requests[before:], there.hosts, strict=True)]
        wire[type_] = sent if len(sent) > 1 else sent[0]
    if pytestconfig.getoption("--write-golden", default=False) or not WIRE.exists():
        WIRE.write_text(json.dumps(wire, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert wire == json.loads(WIRE.read_text("utf-8"))
