"""The intake over a store that only remembers: what a sender can do, and what each answer costs."""

import asyncio
import signal
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from app.http.background import stop_if_failed
from app.http.problems import refused_by_hook
from app.intake.admission import Admission
from app.intake.held_room import HeldRoom
from app.intake.intake import Intake
from app.intake.live_zaps import LiveZaps
from app.intake.reading.bodies import Bodies
from app.intake.reading.reader import Reader
from app.intake.replies import Replies
from app.intake.request_log import RequestLog
from app.intake.run_watch import RunWatch
from domain.hook.compiled import PLAIN, Hook
from domain.hook.config import ReplyConfig
from domain.intake.arrival import LiveZap, dedupe_key
from domain.log.event import Append, Appended, AppendResult, Conflict, Duplicate, StoredEvent, StreamKind
from domain.log.ports import EventStore, StoreUnavailable
from domain.run.events import RunRequested
from sql.process.clock import new_id, now
from sql.tables.rate_limits import RateLimits

USER, ZAP, FIRST_RUN = UUID(int=1), UUID(int=2), UUID(int=3)
PATH = f"/{USER}/{ZAP}/"


class RememberingStore:
    """Takes every append and gives the answer it was told to."""

    def __init__(self, answer: AppendResult | Exception) -> None:
        self.answer = answer
        self.appended: list[Append] = []

    async def append(self, command: Append) -> AppendResult:
        self.appended.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class OneZap:
    """Knows a single zap."""

    def __init__(self, hook: Hook = PLAIN) -> None:
        self.hook = hook

    async def get(self, zap_id: UUID) -> LiveZap | None:
        return LiveZap(USER, "enabled", 4, self.hook) if zap_id == ZAP else None


def request(*messages: dict[str, Any], headers: dict[str, str] | None = None, path: str = PATH) -> tuple[Any, Any]:
    """A scope and a receive for it."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": raw}, receive


def make_intake(
    store: RememberingStore, bodies: Bodies | None = None, hook: Hook = PLAIN, watch: RunWatch | None = None
) -> Intake:
    """An intake of which only the store is looked at, and what is given."""
    log = cast(EventStore, store)
    bodies, requests = bodies or Bodies(10), RequestLog(log, now, new_id)
    return Intake(
        live_zaps=cast(LiveZaps, OneZap(hook)),
        bodies=bodies,
        reader=Reader(bodies=bodies, requests=requests, now=now, new_id=new_id, public_url="http://testserver.local"),
        admission=Admission(
            store=log,
            limits=cast(RateLimits, None),
            requests=requests,
            held_room=cast(HeldRoom, None),
            new_id=new_id,
            refused=refused_by_hook,
        ),
        requests=requests,
        replies=Replies(cast(RunWatch, watch), "http://testserver.local"),
        refused=refused_by_hook,
    )


async def call(store: RememberingStore, scope: Any, receive: Any) -> list[dict[str, Any]]:
    """What the application sent."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await make_intake(store)(scope, receive, send)
    return sent


@pytest.mark.parametrize("before", [0, 1, 2])
async def test_a_sender_that_leaves_before_the_end_starts_nothing_and_is_not_answered(before: int) -> None:
    store = RememberingStore(Appended(1, 1))
    pieces: list[dict[str, Any]] = [{"type": "http.request", "body": b"x", "more_body": True}] * before
    assert await call(store, *request(*pieces, {"type": "http.disconnect"})) == []
    assert store.appended == []


async def test_a_body_in_pieces_is_put_together() -> None:
    store = RememberingStore(Appended(1, 7))
    pieces: list[dict[str, Any]] = [{"type": "http.request", "body": b"ab", "more_body": True}] * 2
    start, body = await call(store, *request(*pieces, {"type": "http.request"}))
    (event,) = (new.event for new in store.appended[0].events)
    assert isinstance(event, RunRequested)
    assert (event.request.body, event.zap_version) == ("abab", 4)
    run_id = store.appended[0].stream_id
    assert msgspec.json.decode(body["body"]) == {"status": "accepted", "run_id": str(run_id), "position": 7}
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


async def test_the_run_is_appended_as_a_new_stream_of_the_owner() -> None:
    store = RememberingStore(Appended(1, 7))
    await call(store, *request({"type": "http.request"}, headers={"idempotency-key": "d1"}))
    (append,) = store.appended
    assert (append.expected, append.tenant_id, append.ordering_key) == (0, USER, append.stream_id)
    assert append.dedupe_key == dedupe_key(ZAP, "d1")
    assert append.metadata.correlation_id == append.stream_id


async def test_a_duplicate_gets_the_first_run() -> None:
    store = RememberingStore(Duplicate(FIRST_RUN, 5))
    _, body = await call(store, *request({"type": "http.request"}, headers={"idempotency-key": "d1"}))
    assert msgspec.json.decode(body["body"]) == {"status": "duplicate", "run_id": str(FIRST_RUN), "position": 5}


@pytest.mark.parametrize(
    ("answer", "status"),
    [(StoreUnavailable("x"), 503), (Conflict(1), 503), (ConnectionResetError(), 503), (RuntimeError("secret"), 500)],
)
async def test_without_a_commit_there_is_no_2xx(answer: AppendResult | Exception, status: int) -> None:
    start, body = await call(RememberingStore(answer), *request({"type": "http.request"}))
    assert start["status"] == status
    assert b"secret" not in body["body"]


async def test_a_sender_that_left_before_the_answer_is_no_error() -> None:
    store = RememberingStore(Appended(1, 7))
    scope, receive = request({"type": "http.request"})

    async def send(_message: Any) -> None:
        raise RuntimeError("the handler is closed")

    await make_intake(store)(scope, receive, send)
    assert len(store.appended) == 1


async def test_the_dedupe_key_depends_on_zap_and_delivery() -> None:
    keys = {dedupe_key(zap, delivery) for zap in (USER, ZAP) for delivery in ("a", "b")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


class NeverEnding:
    """A watch of runs that do not end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def outcome(self, _run_id: UUID, _timeout_s: float) -> None:
        self.asked.set()
        await asyncio.get_running_loop().create_future()


async def test_the_room_for_a_body_is_free_while_its_sender_waits_for_the_run() -> None:
    bodies = Bodies(200_000, room=200_000)
    watch = NeverEnding()
    hook = Hook(plain=False, reply=ReplyConfig(mode="wait"))
    intake = make_intake(RememberingStore(Appended(1, 7)), bodies, hook, cast(RunWatch, watch))
    scope, receive = request({"type": "http.request", "body": b"x" * 200_000})
    waiting = asyncio.create_task(intake(scope, receive, cast(Any, None)))
    await asyncio.wait_for(watch.asked.wait(), 60)
    assert bodies.free == 200_000
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(("type_", "version", "data"), [("zap.created", 99, b"{}"), ("zap.created", 1, b'{"name":7}')])
async def test_a_zap_that_this_release_can_not_read_is_unavailable(type_: str, version: int, data: bytes) -> None:
    class Newer:
        async def read_stream(self, kind: StreamKind, stream_id: UUID, *_: Any, **__: Any) -> list[StoredEvent]:
            return [StoredEvent(1, kind, stream_id, 1, USER, ZAP, ZAP, type_, version, now(), b"{}", data)]

    with pytest.raises(StoreUnavailable):
        await LiveZaps(cast(EventStore, Newer()), "").get(ZAP)


async def test_a_background_task_that_ends_stops_the_process() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)

    async def fail() -> None:
        raise KeyError("x")

    task = asyncio.create_task(fail())
    task.add_done_callback(stop_if_failed)
    await asyncio.wait_for(stopped.wait(), 60)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def test_a_background_task_that_is_cancelled_does_not() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, pytest.fail)
    task: asyncio.Task[None] = asyncio.create_task(NeverEnding().outcome(ZAP, 1))
    task.add_done_callback(stop_if_failed)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
