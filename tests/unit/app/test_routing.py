"""What stands around Litestar: HEAD is a GET without its body, for the client and for the server."""

import asyncio
from typing import Any, cast

import pytest

from app.http.routing import Edge


async def test_the_server_still_knows_that_a_request_is_a_head() -> None:
    """uvicorn looks at its scope once the answer is complete: for a GET it misses the body that the length promises."""
    seen: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "HEAD", "path": "/healthz"}
    await Edge(app, cast(Any, None))(scope, cast(Any, None), send)
    assert (seen, scope["method"]) == (["GET"], "HEAD")
    assert [message.get("body") for message in sent] == [None, b""]


@pytest.mark.parametrize("path", ["/api/v1/runs", "/hooks/catch/a/b"])
async def test_a_request_that_is_cut_off_when_the_server_stops_is_to_be_sent_again(path: str) -> None:
    """uvicorn's own answer is a 500, which senders take for a refusal for good."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise asyncio.CancelledError

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": path}
    with pytest.raises(asyncio.CancelledError):
        await Edge(app, cast(Any, None))(scope, cast(Any, None), send)
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]


@pytest.mark.parametrize(
    ("path", "rest"),
    [("/hooks/catch/a/b", "/a/b"), ("//hooks//catch/a//b/", "/a/b/"), ("/hooks/catch", ""), ("/hooks/catches/a", None)],
)
async def test_hooks_are_answered_without_the_layers_around_the_api(path: str, rest: str | None) -> None:
    seen: list[tuple[str, str]] = []

    def named(name: str) -> Any:
        async def app(scope: Any, _receive: Any, _send: Any) -> None:
            seen.append((name, scope["path"]))

        return app

    edge = Edge(named("api"), cast(Any, None), mounts={"/hooks/catch": named("hooks")})
    await edge(cast(Any, {"type": "http", "method": "POST", "path": path}), cast(Any, None), cast(Any, None))
    assert seen == [("api", path) if rest is None else ("hooks", rest)]
