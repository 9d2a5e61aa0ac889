"""The first zap, by the generated client: sign up, create, publish, post to the hook, see the run."""

import sys
from typing import TypeVar
from uuid import UUID, uuid4

import httpx
from hub_client import AuthenticatedClient, Client
from hub_client.api.authentication import sign_up
from hub_client.api.runs import get_run
from hub_client.api.zaps import create_zap, publish_zap
from hub_client.models.run import Run
from hub_client.models.sign_up import SignUp
from hub_client.models.signed_in import SignedIn
from hub_client.models.zap import Zap
from hub_client.models.zap_input import ZapInput

T = TypeVar("T")


def given(answer: object, wanted: type[T]) -> T:
    """The answer, which has to be no refusal."""
    if not isinstance(answer, wanted):
        raise SystemExit(f"no {wanted.__name__}: {answer}")
    return answer


url = sys.argv[1]
account = SignUp(name="Ada", email=f"{uuid4()}@example.org", password="correct horse battery staple")
signed_in = given(sign_up.sync(client=Client(base_url=url), body=account), SignedIn)
client = AuthenticatedClient(base_url=url, token=signed_in.access_token)
draft = ZapInput.from_dict(
    {
        "name": "First zap",
        "trigger": {"type": "webhook.catch", "config": {}},
        "steps": [
            {"kind": "action", "id": "send", "type": "http.request", "config": {"url": "https://example.org/"}},
            {"kind": "delay", "id": "rest", "for_s": 1},
        ],
    }
)
zap = given(create_zap.sync(client=client, body=draft, idempotency_key=str(uuid4())), Zap)
published = given(publish_zap.sync(zap.id, client=client), Zap)
assert published.hook_url
caught = httpx.post(published.hook_url, json={"order": 17}).json()
run = given(get_run.sync(UUID(caught["run_id"]), client=client), Run)
print(run.status if run.zap_id == zap.id else "another zap's run")
