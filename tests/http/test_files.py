"""Large bodies become files as they arrive, and files can be downloaded by whom they belong to."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import pytest

from projections.engine.freshness import wait_until
from sql.files.store import FileLimits, FileStore
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support import postgres
from tests.support.api import Person, running_api, sign_up
from tests.support.projected import following
from tests.support.stores import patient_store

PHOTO = bytes(range(256)) * 2_000
LIMIT = 4_000_000
LARGE = 4 * len(PHOTO)


@pytest.fixture(scope="module")
async def own(postgres_server: str) -> AsyncIterator[tuple[httpx.AsyncClient, PgEventStore, str]]:
    """An application with small limits, and its database."""
    async with postgres.cloned_database(postgres_server) as dsn, patient_store(dsn) as store:
        files = FileStore(store.pool, now, new_id, limits=FileLimits(LIMIT, 3 * LIMIT))
        async with running_api(dsn, files=files) as client:
            yield client, store, dsn


async def body_of(person: Person, answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    run = await person("GET", f"/runs/{answer.json()['run_id']}")
    return run.json()["trigger"]["body"]


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


@pytest.fixture(scope="module")
async def large(own: tuple[httpx.AsyncClient, PgEventStore, str]) -> tuple[Person, Any, bytes]:
    """Whose a file of several chunks is, its reference, and its content."""
    ada, content = await sign_up(own[0]), PHOTO * 4
    hook = (await ada.live_zap())["hook_url"]
    binary = {"content-type": "application/octet-stream"}
    return ada, await body_of(ada, await own[0].post(hook, content=content, headers=binary)), content


async def test_large_bodies_become_files_and_small_ones_stay_as_they_are(
    own: tuple[httpx.AsyncClient, PgEventStore, str],
) -> None:
    api, store, _dsn = own
    ada, bob = await sign_up(api), await sign_up(api)
    hook = (await ada.live_zap())["hook_url"]
    photo_sent = ("ä b.png", PHOTO, "image/png")
    body = await body_of(ada, await api.post(hook, data={"title": "Ärger"}, files={"photo": photo_sent}))
    photo = body["photo"]
    assert body == {"title": "Ärger", "photo": photo}
    described = {"sha256": sha256(PHOTO).hexdigest(), "size": len(PHOTO), "content_type": "image/png"}
    assert photo == {"$file": photo["$file"], "filename": "ä b.png", **described}

    got = await ada("GET", f"/files/{photo['$file']}")
    assert got.content == PHOTO
    assert got.headers["content-disposition"] == "attachment; filename=\"_ b.png\"; filename*=UTF-8''%C3%A4%20b.png"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-type"] == "image/png"
    asked = await ada("HEAD", f"/files/{photo['$file']}")
    assert (asked.content, asked.headers["content-length"]) == (b"", str(len(PHOTO))), "nothing that would be audited"
    assert (await bob("GET", f"/files/{photo['$file']}")).status_code == 404
    assert (await ada("GET", f"/files/{uuid4()}")).status_code == 404
    async with following(_dsn, store):
        assert await wait_until(store.pool, "audit", await store.head(), 60)
        entries = (await ada("GET", "/audit?type=user.file_downloaded")).json()["items"]
        assert [entry["summary"].partition(" the file ")[2] for entry in entries] == [
            f"{photo['$file']}, of 512,000 bytes"
        ]

    binary = await body_of(ada, await api.post(hook, content=PHOTO, headers={"content-type": "application/pdf"}))
    assert binary["content_type"] == "application/pdf"
    streamed = await body_of(
        ada, await api.post(hook, content=chunks(PHOTO), headers={"content-type": "application/octet-stream"})
    )
    assert streamed["sha256"] == described["sha256"]
    told = ("payload", (None, b'{"event": "media.play"}', "application/json"))
    plex = await body_of(ada, await api.post(hook, files=[told, ("photo", photo_sent)]))
    assert plex["payload"] == {"event": "media.play"}
    small = await body_of(ada, await api.post(hook, files={"photo": ("a.png", b"\x89PNG", "image/png")}))
    assert small["photo"]["content"] == "iVBORw=="
    tiny = await api.post(hook, content=chunks(b"\x00\xff"), headers={"content-type": "application/octet-stream"})
    assert await body_of(ada, tiny) == "AP8="


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"range": "bytes=0-99"}, (0, 100)),
        ({"range": "bytes=1048570-1048580"}, (1_048_570, 1_048_581)),  # over the end of the first chunk
        ({"range": "bytes=1048576-"}, (1_048_576, LARGE)),
        ({"range": "BYTES=-7", "if-range": "ETAG"}, (LARGE - 7, LARGE)),
        ({"range": f"bytes=5-{10**17}"}, (5, LARGE)),
        ({"range": f"bytes=-{10**17}"}, (0, LARGE)),
        ({"range": f"bytes={LARGE}-"}, 416),
        ({"range": "bytes=-0"}, 416),
        ({"range": "bytes=0-1,5-6"}, 200),
        ({"range": "bytes=9-5"}, 200),
        ({"range": "bytes=-"}, 200),
        ({"range": "pages=1-2"}, 200),
        ({"range": "bytes=0-99", "if-range": '"of before"'}, 200),
        ({"range": "bytes=0-99", "if-range": "Thu, 26 Nov 2026 09:00:00 GMT"}, 200),
    ],
)
async def test_a_part_of_a_file_is_given_as_it_is_asked_for(
    large: tuple[Person, Any, bytes], asked: dict[str, str], given: tuple[int, int] | int
) -> None:
    ada, reference, content = large
    etag = f'"{reference["sha256"]}"'
    headers = {name: value.replace("ETAG", etag) for name, value in asked.items()}
    got = await ada("GET", f"/files/{reference['$file']}", headers=headers)
    if given == 416:
        assert (got.status_code, got.json()["code"]) == (416, "range_not_satisfiable")
        assert got.headers["content-range"] == f"bytes */{LARGE}"
        return
    start, end = (0, LARGE) if isinstance(given, int) else given
    assert got.status_code == (200 if isinstance(given, int) else 206)
    assert (got.headers["etag"], got.headers["accept-ranges"]) == (etag, "bytes")
    assert got.content == content[start:end]
    assert got.headers.get("content-range") == (None if given == 200 else f"bytes {start}-{end - 1}/{LARGE}")


async def test_what_is_refused_or_repeated_leaves_no_file(own: tuple[httpx.AsyncClient, PgEventStore, str]) -> None:
    api, store, _dsn = own
    ada = await sign_up(api)
    zap = await ada.live_zap()
    hook, binary = zap["hook_url"], {"content-type": "application/octet-stream"}
    once = {**binary, "idempotency-key": "once"}
    first = await api.post(hook, content=PHOTO, headers=once)
    again = await api.post(hook, content=PHOTO, headers=once)
    assert (again.json()["status"], again.json()["run_id"]) == ("duplicate", first.json()["run_id"])
    large = await api.post(hook, content=chunks(bytes(LIMIT + 1)), headers=binary)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    cut = b"--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n" + PHOTO
    broken = await api.post(hook, content=cut, headers={"content-type": "multipart/form-data; boundary=b"})
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed")
    for _ in range(3):
        await api.post(hook, content=bytes(LIMIT - 10), headers=binary)
    full = await api.post(hook, content=bytes(LIMIT - 10), headers=binary)
    assert (full.status_code, full.json()["code"]) == (507, "files_full")
    await ada("POST", f"/zaps/{zap['id']}/pause")
    kept = await store.pool.fetchval("select count(*) from proj.files where tenant_id = $1", ada.id)
    assert kept == 3  # one of the first delivery, and two that fit beside it
    bytes_kept = await store.pool.fetchval("select bytes from proj.file_rooms where tenant_id = $1", ada.id)
    assert bytes_kept == len(PHOTO) + 2 * (LIMIT - 10)


async def test_a_hook_takes_files_of_its_sender_only(own: tuple[httpx.AsyncClient, PgEventStore, str]) -> None:
    api, store, _dsn = own
    ada = await sign_up(api)
    trigger = {"verification": {"preset": "header_token", "header": "x-key"}}
    hook = (await ada.live_zap(trigger=trigger, secrets=["open sesame"]))["hook_url"]
    binary = {"content-type": "application/octet-stream"}
    assert (await api.post(hook, content=PHOTO, headers=binary)).status_code == 401
    assert await store.pool.fetchval("select count(*) from proj.files where tenant_id = $1", ada.id) == 0
    found = await body_of(ada, await api.post(hook, content=PHOTO, headers={**binary, "x-key": "open sesame"}))
    assert found["size"] == len(PHOTO)


async def test_an_erased_run_has_no_files_left(own: tuple[httpx.AsyncClient, PgEventStore, str]) -> None:
    api, store, dsn = own
    ada = await sign_up(api)
    hook = (await ada.live_zap())["hook_url"]
    answer = await api.post(hook, content=PHOTO, headers={"content-type": "image/png"})
    file_id = (await body_of(ada, answer))["$file"]
    run_id = answer.json()["run_id"]
    async with following(dsn, store):
        await ada("POST", f"/runs/{run_id}/cancel")
        erased = await ada("POST", f"/runs/{run_id}/erase")
    assert erased.json()["runs"] == 1
    assert (await ada("GET", f"/files/{file_id}")).status_code == 404
    chunks_left = await store.pool.fetchval("select count(*) from proj.file_chunks where file_id = $1", file_id)
    assert chunks_left == 0
    assert file_id not in (await ada("GET", f"/runs/{run_id}")).text


async def test_the_files_of_a_request_that_is_admitted_go_to_its_run(
    own: tuple[httpx.AsyncClient, PgEventStore, str],
) -> None:
    api, store, dsn = own
    ada = await sign_up(api)
    zap = await ada.live_zap(trigger={"filter": {"field": "trigger.headers.x-let-in", "operator": "exists"}})
    refused = await api.post(zap["hook_url"], content=PHOTO, headers={"content-type": "image/png"})
    assert refused.json()["status"] == "filtered", refused.text
    owner = await store.pool.fetchval("select owner_id from proj.files where tenant_id = $1", ada.id)
    async with following(dsn, store):
        position = (await ada("GET", f"/zaps/{zap['id']}")).json()["position"]
        requests = await ada("GET", f"/zaps/{zap['id']}/requests?min_position={position}")
        (listed,) = requests.json()["items"]
        assert listed["id"] == str(owner)
        admitted = await ada("POST", f"/zaps/{zap['id']}/requests/{owner}/admit")
    assert admitted.status_code in {200, 201, 202}, admitted.text
    run_id = admitted.json()["run_id"]
    moved = await store.pool.fetchval("select owner_id from proj.files where tenant_id = $1", ada.id)
    assert str(moved) == run_id
