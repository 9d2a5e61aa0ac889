"""Files on their way out and in: streamed with a known length, read anew for each attempt, and freed of secrets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from consumers.connectors import catalog
from consumers.connectors.http import request
from consumers.outbound.client import Outbound
from domain.connection.blot import Blot
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpReply, HttpRequest, Upload
from domain.connector.mail import with_files
from domain.connector.outcome import Failed, Retry, Succeeded
from domain.files.file import File, FileError
from domain.values.json import Json
from tests.support.clock import FixedClock

PHOTO = bytes(range(256)) * 4_096


class HeldFiles:
    """domain.files.file.Files in memory. `broken`: how the next reading ends."""

    def __init__(self) -> None:
        self.contents: dict[UUID, tuple[File, bytes]] = {}
        self.broken: FileError | None = None

    async def find(self, value: Json) -> File:
        assert isinstance(value, dict)
        found = self.contents.get(UUID(str(value["$file"])))
        if found is None:
            raise FileError("file_missing", "there is no such file")
        return found[0]

    async def read(self, file: File) -> AsyncIterator[bytes]:
        content = self.contents[file.id][1]
        for start in range(0, len(content), 100_000):
            if self.broken and start:
                raise self.broken
            yield content[start : start + 100_000]

    async def keep(
        self, content: AsyncIterator[bytes], *, filename: str = "", content_type: str = "", most: int | None = None
    ) -> File:
        whole = b""
        async for piece in content:
            whole += piece
            if most is not None and len(whole) > most:
                raise FileError("file_too_large", "too large")
        return self.add(whole, filename, content_type)

    def add(self, content: bytes, filename: str = "a.png", content_type: str = "image/png") -> File:
        file = File(
            id=UUID(int=len(self.contents) + 1), sha256=sha256(content).hexdigest(), size=len(content),
            content_type=content_type, filename=filename,
        )  # fmt: skip
        self.contents[file.id] = file, content
        return file


class Target:
    """What it got, and what it says."""

    def __init__(self) -> None:
        self.address = ""
        self.bodies: list[tuple[Mapping[str, str], bytes]] = []

    async def take(self, request_: web.Request) -> web.Response:
        self.bodies.append((request_.headers.copy(), await request_.read()))
        return web.json_response({"n": len(self.bodies)})

    async def early(self, _request: web.Request) -> web.Response:
        return web.Response(status=413, text="no", headers={"connection": "close"})

    async def file(self, request_: web.Request) -> web.Response:
        headers = {"content-type": request_.query["type"], "content-disposition": "attachment; filename=x.bin"}
        return web.Response(body=PHOTO[: int(request_.query["size"])], headers=headers)


@pytest.fixture(scope="module")
async def target() -> AsyncIterator[Target]:
    found = Target()
    app = web.Application(client_max_size=2**30)
    app.add_routes([web.post("/take", found.take), web.post("/early", found.early), web.get("/file", found.file)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def do(http: Outbound, files: HeldFiles, **config: Any) -> Any:
    context = ActionContext(http, "run.step", UUID(int=1), FixedClock(), files=files)
    return await request(config, context)


async def test_a_form_with_a_file_goes_out_with_its_length_and_is_the_same_again(
    http: Outbound, target: Target
) -> None:
    files = HeldFiles()
    file = files.add(PHOTO, "ä.png").value()
    body = [{"name": "a", "value": 1}, {"name": "f", "file": file}, {"name": "g", "file": file, "filename": "g"}]
    for _ in range(2):
        outcome = await do(http, files, url=f"{target.address}/take", body_type="multipart", body=body)
        assert isinstance(outcome, Succeeded), outcome
    (headers, first), (_, second) = target.bodies[-2:]
    assert first == second
    assert int(headers["content-length"]) == len(first)
    assert first.count(PHOTO) == 2
    assert 'filename="ä.png"\r\nContent-Type: image/png'.encode() in first
    as_object = await do(http, files, url=f"{target.address}/take", body_type="multipart", body={"f": file})
    assert isinstance(as_object, Succeeded)
    assert PHOTO in target.bodies[-1][1]
    binary = await do(http, files, url=f"{target.address}/take", body_type="binary", body=file)
    assert isinstance(binary, Succeeded)
    assert (target.bodies[-1][0]["content-type"], target.bodies[-1][1]) == ("image/png", PHOTO)


async def test_what_is_wrong_with_a_file_fails_the_step_or_is_tried_again(http: Outbound, target: Target) -> None:
    files = HeldFiles()
    file = files.add(PHOTO * 4).value()
    url, seen = f"{target.address}/take", len(target.bodies)
    missing = {**file, "$file": str(UUID(int=99))}
    gone = await do(http, files, url=url, body_type="binary", body=missing)
    assert isinstance(gone, Failed)
    assert gone.code == "file_missing"
    for error, kind in ((FileError("file_damaged", "x"), Failed), (FileError("away", "x", retry=True), Retry)):
        files.broken = error
        outcome = await do(http, files, url=url, body_type="binary", body=file)
        assert isinstance(outcome, kind)
        assert outcome.code == error.code
    assert len(target.bodies) == seen  # half a body is no request
    files.broken = None
    refused = await asyncio.wait_for(
        do(http, files, url=f"{target.address}/early", body_type="binary", body=files.add(PHOTO * 20).value()), 20
    )
    assert isinstance(refused, Failed), refused
    assert refused.code == "http_413"


@pytest.mark.parametrize(
    ("answer", "config", "kept"),
    [
        ((300_000, "image/png"), {}, True),
        ((100_000, "image/png"), {}, False),
        ((100, "text/plain"), {"response": "binary"}, True),
        ((300_000, "application/json"), {"response": "binary"}, True),
        ((300_000, "text/plain"), {}, False),
    ],
)
async def test_answers_become_files_where_they_are_binary_and_large_or_asked_for(
    answer: tuple[int, str], config: dict[str, Any], kept: bool, http: Outbound, target: Target
) -> None:
    files, (size, type_) = HeldFiles(), answer
    url = f"{target.address}/file?size={size}&type={type_}"
    outcome = await do(http, files, method="GET", url=url, **config)
    assert isinstance(outcome, Succeeded), outcome
    assert isinstance(outcome.output, dict)
    assert outcome.output["size"] == size
    assert bool(files.contents) == kept
    if kept:
        ((file, content),) = files.contents.values()
        assert content == PHOTO[:size]
        assert outcome.output["body"] == file.value()
        assert (file.filename, file.content_type) == ("x.bin", type_)


async def test_a_file_has_the_limit_that_the_step_sets(http: Outbound, target: Target) -> None:
    url = f"{target.address}/file?size=300000&type=image/png"
    outcome = await do(http, HeldFiles(), method="GET", url=url, response="binary", max_bytes=200_000)
    assert isinstance(outcome, Failed)
    assert outcome.code == "answer_too_large"
    assert "200,000" in outcome.message


async def test_a_repeatable_request_reads_its_file_anew_on_another_connection(http: Outbound, target: Target) -> None:
    reads = 0

    async def read() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        yield b"abc"

    upload = Upload(size=3, read=read)
    wanted = HttpRequest(method="POST", url=f"{target.address}/take", body=upload, timeout_s=10)
    for _ in range(2):
        assert (await http.request(wanted)).status == 200
    assert reads == 2


async def test_secrets_are_taken_out_of_content_wherever_its_pieces_end() -> None:
    secret = "hunter2-hunter2"
    content = f"a{secret}b{secret}{secret}c".encode()
    for width in range(1, len(content)):

        async def pieces(width: int = width) -> AsyncIterator[bytes]:
            for start in range(0, len(content), width):
                yield content[start : start + width]

        found = b"".join([piece async for piece in Blot([secret]).stream(pieces())])
        assert secret.encode() not in found
        assert found.count(b"[redacted]") == 3


def test_secrets_are_taken_out_of_what_is_kept_exactly_however_they_are_spelt_inside() -> None:
    raw = b'{"a": "hunter%2Ftwo%2Fhunter", "b": 1}'
    value: Json = {"content": base64.b64encode(raw).decode(), "content_type": "application/json", "size": len(raw)}
    found = Blot(["hunter/two/hunter"]).json({"body": value, "other": {"content": "no base64!", "content_type": "x"}})
    assert isinstance(found, dict)
    body = found["body"]
    assert isinstance(body, dict)
    assert base64.b64decode(str(body["content"])) == b'{"a": "[redacted]", "b": 1}'
    assert body["size"] == len(b'{"a": "[redacted]", "b": 1}')
    assert found["other"] == {"content": "no base64!", "content_type": "x"}


async def test_mails_take_files_of_the_run_up_to_what_a_mail_may_have() -> None:
    files = HeldFiles()
    file = files.add(b"hello", "a.txt", "text/plain").value()
    plain: Json = {"filename": "b.txt", "text": "x"}
    given: list[Json] = [file, {"file": file, "filename": "c.txt"}, plain]
    config = await with_files({"to": "a@b.c", "attachments": given}, files)
    content = {"content": "aGVsbG8=", "content_type": "text/plain"}
    assert config["attachments"] == [{"filename": "a.txt", **content}, {"filename": "c.txt", **content}, plain]


class Says:
    """The way out, where Slack and Drive say where a file goes; what was asked of them is in `requests`."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.requests: list[HttpRequest] = []

    async def request(self, request: HttpRequest) -> HttpReply:
        self.requests.append(request)
        body = json.dumps({"ok": True, "upload_url": self._place, "file_id": "F1", "files": [{"id": "F1"}]})
        return HttpReply(status=200, headers={"location": self._place}, body=body.encode())


@pytest.mark.parametrize(
    ("type_", "given", "place", "elsewhere"),
    [
        (
            "slack.upload_file",
            {"channel": "C1"},
            "https://files.slack.com/upload/1",
            "https://slack.com.evil.example/1",
        ),
        ("google_drive.upload_file", {}, "https://www.googleapis.com/upload/1", "http://www.googleapis.com/upload/1"),
    ],
)
async def test_files_of_the_run_go_where_the_service_says_without_its_credential(
    type_: str, given: dict[str, Any], place: str, elsewhere: str
) -> None:
    files, action = HeldFiles(), catalog().actions[type_]
    config = {"file": files.add(PHOTO).value(), **given}
    for answered, is_taken in ((place, True), (elsewhere, False)):
        there = Says(answered)
        context = ActionContext(there, "run.step", UUID(int=1), FixedClock(), files=files)
        outcome = await action.run(config, context)
        if not is_taken:
            assert isinstance(outcome, Failed)
            assert outcome.code == "bad_answer"
            assert all(not isinstance(one.body, Upload) for one in there.requests)
            continue
        assert isinstance(outcome, Succeeded)
        (sent,) = [one for one in there.requests if isinstance(one.body, Upload)]
        assert (sent.url, sent.bare) == (place, True)
        assert isinstance(sent.body, Upload)
        assert b"".join([piece async for piece in sent.body.read()]) == PHOTO
        assert not any(one.bare for one in there.requests if one is not sent)
