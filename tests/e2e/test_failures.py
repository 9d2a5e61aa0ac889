"""A target that is gone, seen by its owner: the alert in the inbox and at the error zap, the flag, the dead letters."""

import re
from typing import Any

import aiohttp
import pytest

from tests.support.deployment import one_of_each
from tests.support.eventually import eventually
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.sink import running_sink
from tests.support.system import System


async def says_yes(system: System, mails: MailServer, address: str) -> None:
    """The owner of the address gets the question, and pushes the button on the page behind its link."""
    await eventually(lambda: address in mails.boxes)
    link = re.search(r"https?://\S+/mails/\S+", mails.boxes[address][-1].get_content())
    assert link is not None
    async with aiohttp.ClientSession() as http:
        assert "would like to mail" in await (await http.get(link[0])).text()
        async with http.post(f"{link[0]}/confirm") as answer:
            assert "may mail alerts to" in await answer.text()
    (known,) = (await system.call("GET", "/api/v1/mail-addresses"))["items"]
    assert known["confirmed"]


@pytest.mark.slow
async def test_runs_that_fail_are_told_of_by_mail_and_error_zap_and_wait_in_the_inbox(dsn: str) -> None:
    async with running_mail_server() as mails, running_sink() as target, running_sink() as errors:
        target.status = 410
        smtp = {"HOST": "127.0.0.1", "PORT": str(mails.port), "TLS": "off", "FROM": "hub@example.com"}
        async with one_of_each(dsn, **{f"TRIGGERHUB_SMTP_{name}": value for name, value in smtp.items()}) as system:
            await system.sign_up()
            text = "{{ trigger.body.failures }} of {{ trigger.body.zap_name }}"
            error_zap = await system.published_zap(errors.url, {"text": text})
            on_failure = {"email": ["ada@example.com"], "zap_id": error_zap["id"]}
            settings = {"on_failure": on_failure}
            zap = await system.published_zap(target.url, {"n": "{{ trigger.body.n }}"}, settings=settings)
            await says_yes(system, mails, "ada@example.com")
            runs = [await system.post_hook(zap["hook_url"], {"n": n}, f"d-{n}") for n in range(20)]
            await system.settled(runs)
            await eventually(lambda: len(mails.mails) > 1 and errors.count)
            _question, mail = mails.boxes["ada@example.com"]
            assert mail["subject"] == "Test: 20 runs failed"
            assert "answered 410" in mail.get_content()
            assert list(errors.deliveries.values()) == [[b'{"text":"20 of Test"}']]

            async def told() -> Any:
                (group,) = (await system.call("GET", "/api/v1/dead-letters?state=open"))["items"]
                return group if group["told"] == 20 else None

            group = await eventually(told)
            assert (group["code"], group["count"], group["filter"]["zap_id"]) == ("http_410", 20, zap["id"])
            (flag,) = (await system.call("GET", f"/api/v1/zaps/{zap['id']}"))["flags"]
            assert (flag["kind"], flag["step_id"]) == ("target_gone", "send")
            answer = await system.call("POST", f"/api/v1/dead-letters/{group['id']}/resolve", {})
            listed = await system.call("GET", f"/api/v1/dead-letters?state=open&min_position={answer['position']}")
            assert listed["items"] == []
            sources = (await system.call("GET", "/api/v1/runs?source=alert"))["items"]
            assert [run["zap_id"] for run in sources] == [error_zap["id"]]
            code, output = await system.command("verify")
            assert code == 0, output
