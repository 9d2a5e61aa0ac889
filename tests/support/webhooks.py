"""Senders of webhooks for tests: their example bodies, and requests as a server would see them."""

import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from domain.hook.signed_request import SignedRequest

_EXAMPLES = Path(__file__).parents[1] / "data" / "github" / "webhook-examples.json.gz"
URL = "https://hub.example.com/hooks/catch/u/z"


@cache
def github_examples() -> tuple[tuple[str, bytes], ...]:
    """(event name, body) of the 329 examples of @octokit/webhooks-examples 7.6.1, MIT: see LICENSE beside them."""
    events: list[dict[str, Any]] = json.loads(gzip.decompress(_EXAMPLES.read_bytes()))
    return tuple(
        (event["name"], json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())
        for event in events
        for body in event["examples"]
    )


def request(
    body: bytes, headers: Mapping[str, str], *, url: str = URL, method: str = "POST", client_ip: str = "192.0.2.7"
) -> SignedRequest:
    """What a server makes of it."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return SignedRequest(method=method, url=url, headers=raw, body=body, client_ip=client_ip)
