"""Callbacks: requests to the own URL of a step that waits for one, /hooks/resume/{token}.

A 2xx means that the request is in the log of its run, also where the run has not come to the step yet.
"""

from collections.abc import Callable, Sequence

import msgspec
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send

from app.intake.reading.bodies import Bodies, SenderLeft
from app.intake.reading.checks import check_content
from app.intake.reading.headers import stored_headers, stored_query
from app.intake.refusals import RequestTooLarge, WrongMethod
from app.intake.replies import JSON, MAX_QUERY, SAFE, Refused, Reply, send_reply
from domain.aggregates import RUN
from domain.hook.request import Request, request_body
from domain.log.errors import NotFound
from domain.log.event import Metadata
from domain.log.ports import Clock, EventStore, NewId
from domain.log.stream import handle, load
from domain.run.answers import Run, receive
from domain.run.events import RunEvent
from domain.run.links import Callback, Links
from domain.run.state import LoadedRun
from domain.run.waits import CallbackReceived
from sql.process.crash_points import reached


class Callbacks(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The ASGI application behind these URLs."""

    store: EventStore
    new_id: NewId
    now: Clock
    links: Links
    bodies: Bodies
    refused: Callable[[Exception], Refused]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; scope["path"] is the part after /hooks/resume."""
        if scope["type"] != ScopeType.HTTP:
            return
        try:
            reply = await self._answer(scope, receive)
        except SenderLeft:
            return
        except Exception as error:  # noqa: BLE001 - what is not expected is logged where the answer is made
            reply = self.refused(error).reply
        await send_reply(send, reply)

    async def _answer(self, scope: HTTPScope, receive: Receive) -> Reply:
        callback = self.links.read_callback(scope["path"].strip("/"))
        run = await load(self.store, RUN, callback.run_id) if callback else None
        if callback is None or run is None:
            raise NotFound("no run waits for a request to this address")
        if scope["method"] == "OPTIONS":
            return Reply(204, [(b"allow", b"POST, OPTIONS"), *SAFE], b"")
        if scope["method"] != "POST":
            raise WrongMethod("a callback is a POST: looking at its address changes nothing", ["POST", "OPTIONS"])
        with self.bodies.share(run.state.requested.zap_id, run.tenant_id) as share:
            headers = stored_headers(scope["headers"])
            raw = await share.read(receive, headers.get("content-length"))
            await check_content(headers, raw, self.bodies.max_body, is_authentic=True)
            return await self._stored(run, callback, _request(scope, headers, raw))

    async def _stored(self, run: LoadedRun, callback: Callback, request: Request) -> Reply:
        received = CallbackReceived(step_id=callback.step_id, request=request, at=self.now())
        events: Sequence[RunEvent] = ()

        def decide(state: Run) -> list[RunEvent]:
            nonlocal events
            events = found = receive(state, received)
            return found

        reached("api.before_callback")
        metadata = Metadata(actor="hook", correlation_id=run.id)
        run = await handle(self.store, self.new_id, run, decide, metadata)
        reached("api.after_callback")
        body = {"status": "accepted" if events else "duplicate", "run_id": run.id, "step_id": callback.step_id}
        return Reply(200, JSON, msgspec.json.encode(body))


def _request(scope: HTTPScope, headers: dict[str, str], raw: bytes) -> Request:
    query = scope["query_string"]
    if len(query) > MAX_QUERY:
        raise RequestTooLarge(f"the query string is longer than {MAX_QUERY} bytes")
    text, encoding = request_body(raw)
    return Request(query=stored_query(query), headers=headers, body=text, encoding=encoding)
