"""Files beside the log: kept and read as streams, bounded, whole or not at all, and gone without a trace."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from consumers.files.run_files import AllFiles
from domain.connection.blot import Blot
from domain.files.file import File, FileError
from domain.hook.request import Request
from domain.log.event import Append, Metadata, NewEvent, StreamKind
from domain.run.children import Parent
from domain.run.events import RunCompleted, RunRequested
from domain.values.json import Json
from sql.files.store import LEFT_FOR_GOOD_S, LEFT_S, FileLimits, FileStore
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.clock import FixedClock
from tests.support.object_store import object_store

ADA, EVE = UUID(int=1), UUID(int=2)
RUN = UUID("01900000-0000-7000-8000-000000000001")


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def read(files: FileStore, file: File) -> bytes:
    kept = await files.find(ADA, file.id)
    assert kept is not None
    return b"".join([piece async for piece in files.read(ADA, kept)])


async def counts(store: PgEventStore) -> tuple[int, int, int, int]:
    row = await store.pool.fetchrow(
        "select (select count(*) from proj.files), (select count(*) from proj.file_chunks),"
        " (select coalesce(sum(bytes), 0) from proj.file_rooms), (select count(*) from proj.gone_objects)"
    )
    assert row is not None
    return row[0], row[1], int(row[2]), row[3]


@pytest.fixture(params=["database", "s3", "directory"])
async def place(
    request: pytest.FixtureRequest, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    if request.param != "s3":
        yield "" if request.param == "database" else str(tmp_path)
        return
    async with object_store() as (url, _objects):
        for name, value in {
            "AWS_ENDPOINT": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-1",
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield "s3://bucket/there"


async def test_what_was_kept_comes_back_and_what_is_forgotten_is_gone(store: PgEventStore, place: str) -> None:
    files = FileStore(store.pool, now, new_id, url=place, limits=FileLimits(6_000_000, 7_000_000))
    content = bytes(range(256)) * 4_000 * 5
    file = await files.keep(ADA, RUN, pieces(content[:7], content[7:]), filename="../a/b.bin", content_type="x/y")
    assert (file.filename, file.content_type, file.size) == ("b.bin", "x/y", len(content))
    assert file.sha256 == sha256(content).hexdigest()
    assert await read(files, file) == content
    assert await files.find(EVE, file.id) is None
    empty = await files.keep(ADA, RUN, pieces())
    assert await read(files, empty) == b""
    with pytest.raises(FileError, match="at most 6,000,000") as large:
        await files.keep(ADA, RUN, pieces(content, content))
    assert large.value.code == "file_too_large"
    with pytest.raises(FileError, match="7,000,000 bytes in all") as full:
        await files.keep(ADA, RUN, pieces(content[:3_000_000]))
    assert full.value.code == "files_full"

    async def broken() -> AsyncIterator[bytes]:
        yield content[:2_000_000]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await files.keep(ADA, RUN, broken())
    assert (await counts(store))[0] == 2
    assert await files.forget_of([RUN]) == 2
    assert await counts(store) == (0, 0, 0, 0)
    assert await files.find(ADA, file.id) is None
    assert await files.sweep() == 0


async def test_content_that_was_changed_is_never_given_whole(store: PgEventStore) -> None:
    files = FileStore(store.pool, now, new_id)
    content = b"x" * (2 * 2**20 + 1)
    file = await files.keep(ADA, RUN, pieces(content))
    await store.pool.execute("update proj.file_chunks set content = 'y' || substr(content, 2) where number = 0")
    kept = await files.find(ADA, file.id)
    assert kept is not None
    given = 0

    async def read_on() -> None:
        nonlocal given
        async for piece in files.read(ADA, kept):
            given += len(piece)

    with pytest.raises(FileError, match="not what was kept"):
        await read_on()
    assert given < len(content)


async def test_what_crashes_leave_behind_is_swept_and_what_the_log_names_stays(store: PgEventStore) -> None:
    clock = FixedClock(now())
    files = FileStore(store.pool, clock, new_id)
    run_id, ended_id = new_id(), new_id()
    named = await files.keep(ADA, run_id, pieces(b"named"))
    under_way = await files.keep(ADA, run_id, pieces(b"of a step under way"))
    left = await files.keep(ADA, ended_id, pieces(b"of a run that has ended"))
    await files.keep(ADA, new_id(), pieces(b"of a request that never was stored"))
    for run, more in ((run_id, ()), (ended_id, (RunCompleted(),))):
        request = Request(kept=named.value() if run == run_id else None)
        requested = RunRequested(zap_id=RUN, zap_version=1, source="webhook", request=request)
        events = tuple(NewEvent(new_id(), event) for event in (requested, *more))
        await store.append(
            Append(
                kind=StreamKind.RUN, stream_id=run, expected=0, tenant_id=ADA, ordering_key=run,
                events=events, metadata=Metadata(),
            )
        )  # fmt: skip
    assert await files.sweep() == 0  # too young
    clock.advance(LEFT_S + 1)
    assert await files.sweep() == 2
    assert await files.find(ADA, left.id) is None
    assert await files.find(ADA, under_way.id) is not None
    clock.advance(LEFT_FOR_GOOD_S)
    assert await files.sweep() == 1
    assert await read(files, named) == b"named"
    assert await counts(store) == (1, 1, 5, 0)


async def begin(store: PgEventStore, tenant_id: UUID, **about: Any) -> tuple[UUID, RunRequested]:
    run_id = new_id()
    given: dict[str, Any] = {"source": "webhook", "request": Request(), **about}
    requested = RunRequested(zap_id=RUN, zap_version=1, **given)
    events = (NewEvent(new_id(), requested),)
    await store.append(
        Append(
            kind=StreamKind.RUN, stream_id=run_id, expected=0, tenant_id=tenant_id, ordering_key=run_id,
            events=events, metadata=Metadata(),
        )
    )  # fmt: skip
    return run_id, requested


async def test_a_run_finds_the_files_of_its_family_and_no_others_whatever_a_reference_says(store: PgEventStore) -> None:
    all_files = AllFiles(FileStore(store.pool, now, new_id), store)
    top = await begin(store, ADA)
    item = await begin(store, ADA, source="item", parent=Parent(run_id=top[0], step_id="each", count=2))
    called = await begin(store, ADA, source="zap", parent=Parent(run_id=item[0], step_id="call", waits=True))
    replay = await begin(store, ADA, source="replay", replay_of=top[0])
    family = {"top": top, "item": item, "called": called, "replay": replay}
    for maker in family.values():
        file = await all_files.of(ADA, *maker).keep(pieces(b"x" * 10), filename="x")
        for user in family.values():
            assert await all_files.of(ADA, *user).find(file.value()) == file
    stranger = await begin(store, ADA)
    eve = await begin(store, EVE)
    forged = {**file.value(), "sha256": "0" * 64}
    wrong: list[tuple[UUID, Any, Json, str]] = [
        (ADA, stranger, file.value(), "file_refused"),
        (EVE, eve, file.value(), "file_missing"),
        (ADA, top, forged, "file_refused"),
        (ADA, top, {**file.value(), "size": 11}, "file_refused"),
        (ADA, top, {"$file": str(file.id)}, "file_refused"),
        (ADA, top, {**file.value(), "$file": str(new_id())}, "file_missing"),
        (ADA, top, {**file.value(), "$file": "../etc"}, "file_refused"),
    ]
    for tenant_id, run, value, code in wrong:
        with pytest.raises(FileError) as refused:
            await all_files.of(tenant_id, *run).find(value)
        assert refused.value.code == code, value
    # The files of a request that was held belong to that, and the run has them by what it was requested with.
    held = await all_files.store.keep(ADA, new_id(), pieces(b"held"))
    admitted = await begin(store, ADA, request=Request(kept={"photo": held.value()}))
    below = await begin(store, ADA, source="item", parent=Parent(run_id=admitted[0], step_id="each", count=1))
    assert await all_files.of(ADA, *below).find(held.value()) == held


async def test_what_a_run_may_not_keep_is_in_no_file(store: PgEventStore) -> None:
    run = await begin(store, ADA)
    all_files = AllFiles(FileStore(store.pool, now, new_id), store)
    files = all_files.of(ADA, *run, blot=Blot(["hunter2-hunter2"]))
    file = await files.keep(pieces(b"a hunter2-", b"hunter2 b"))
    assert b"".join([piece async for piece in files.read(file)]) == b"a [redacted] b"
