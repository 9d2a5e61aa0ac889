"""Whoever has an account can have the log verified, and take proofs of their events elsewhere."""

import asyncio
import base64
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import cryptography
import httpx
import pytest

from app.http.docs import verify_proof
from consumers.scheduler.checkpoints import Checkpoints, Delivery, Undelivered
from domain.connector.http_client import HttpReply, HttpRequest
from domain.proof.notes import Verifier, notes_in, signer
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from sql.proof import sparing
from sql.proof.sparing import Busy, SparingVerifier
from tests.support.api import Person
from tests.support.builders import an_append
from tests.support.projected import tamper
from tests.support.stores import patient_store


async def test_the_log_is_verified_as_a_whole_and_in_ranges(ada: Person, dsn: str) -> None:
    for number in range(5):
        await ada.create_zap(f"Zap {number}")
    found = (await ada("GET", "/audit/verify")).json()
    assert found["holds"]
    assert found["first_problem"] is None
    head = found["head"]["position"]
    assert found["events"] == head >= 6
    assert len(bytes.fromhex(found["head"]["hash"])) == 32
    part = (await ada("GET", "/audit/verify?from=3&to=4")).json()
    assert (part["holds"], part["events"], part["head"]["position"]) == (True, 2, 4)

    await tamper(dsn, "update es.events set data = data || ' ' where position = 4")
    broken = (await ada("GET", "/audit/verify")).json()
    assert not broken["holds"]
    assert broken["first_problem"] == {"position": 4, "reason": "the event was changed"}
    assert broken["head"]["position"] == 3
    assert (await ada("GET", "/audit/verify?from=5")).json()["holds"]


async def test_a_range_that_is_empty_or_too_long_is_refused(
    ada: Person, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in ("from=3&to=2", "from=100000"):
        assert (await ada("GET", f"/audit/verify?{query}")).status_code == 422
    assert (await ada("GET", "/audit/verify?from=0")).status_code == 400
    await ada.create_zap()
    monkeypatch.setattr(sparing, "MOST_EVENTS", 1)
    assert (await ada("GET", "/audit/verify?from=1")).status_code == 422
    newest = (await ada("GET", "/audit/verify")).json()
    assert (newest["holds"], newest["events"]) == (True, 1)


async def test_verifications_take_turns_and_rest_between(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = SparingVerifier(dsn)
    monkeypatch.setattr(sparing, "PATIENCE_S", 60.0)  # however slow the machine is
    done = await asyncio.gather(*(verifier.verify(None, None, 0) for _ in range(3)))
    assert all(one.report.broken_at is None for one in done)
    monkeypatch.setattr(sparing, "PATIENCE_S", 0.0)
    monkeypatch.setattr(sparing, "REST", 10_000)
    with pytest.raises(Busy):  # the rest after the last one
        await verifier.verify(None, None, 0)


KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
A_NAME = signer(KEY, "https://hub.example.org/").verifier.name


class Sink:
    """A webhook that takes checkpoints."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.status = 200

    async def request(self, request: HttpRequest) -> HttpReply:
        assert isinstance(request.body, bytes)
        if self.status == 200:
            self.taken.append(request.body.decode())
        return HttpReply(status=self.status, headers={}, body=b"")


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as opened:
        yield opened


def checkpoints(store: PgEventStore, sink: Sink, file: str = "") -> Checkpoints:
    delivery = Delivery(http=sink, url="https://elsewhere.example.org", file=file)
    return Checkpoints(store, signer(KEY, "https://hub.example.org/"), delivery, clock=now, every_s=1)


async def test_an_event_is_proven_without_the_database_and_no_byte_of_the_proof_may_differ(
    ada: Person, bob: Person, store: PgEventStore
) -> None:
    assert (await ada("GET", "/audit/checkpoints/latest")).status_code == 404
    zap = await ada.create_zap("Zapf für Äpfel")
    for number in range(260):  # more than a tile
        await store.append(an_append(stream_id=new_id()))
        assert number < 260
    maker = checkpoints(store, Sink())
    await maker.make()
    position = zap["position"]
    answer = await ada("GET", f"/audit/proof?position={position}")
    assert answer.status_code == 200, answer.text
    proof, key = answer.text, answer.json()["key"]
    said = verify_proof.verify(proof, key)
    assert "zap.created" in said
    assert "Zapf für Äpfel" in said
    same = await ada("GET", f"/audit/proof?event_id={_id_in(said)}")
    assert same.json() == answer.json()
    assert (await bob("GET", f"/audit/proof?position={position}")).status_code == 404
    assert (await bob("GET", f"/audit/proof?event_id={_id_in(said)}")).status_code == 404
    assert proof.count(bob.id) == 0

    raw = proof.encode()
    for at in range(len(raw)):
        for flip in (1, 2, 32, 128):
            changed = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
            with pytest.raises((verify_proof.NotProven, UnicodeDecodeError)):
                verify_proof.verify(changed.decode(), key)


def _id_in(said: str) -> str:
    return said.partition(" id ")[2].partition(",")[0]


async def test_checkpoints_follow_each_other_and_each_is_proven_to_continue_the_last(
    ada: Person, store: PgEventStore, tmp_path: Path
) -> None:
    sink, file = Sink(), tmp_path / "checkpoints"
    maker = checkpoints(store, sink, str(file))
    sizes = []
    for more in (1, 255, 256, 300):
        await asyncio.gather(*(store.append(an_append(stream_id=new_id())) for _ in range(more)))
        await maker.make()
        await maker.make()  # the log has not grown
        sizes.append(await store.head())
    sink.status = 500
    with pytest.raises(Undelivered):
        await maker.deliver()
    sink.status = 200
    await maker.deliver()
    await maker.deliver()
    listed = (await ada("GET", "/audit/checkpoints?limit=3")).json()
    assert [one["size"] for one in listed["items"]] == sizes[:0:-1]
    rest = (await ada("GET", f"/audit/checkpoints?limit=3&cursor={listed['next_cursor']}")).json()
    assert [one["size"] for one in rest["items"]] == sizes[:1]
    latest = await ada("GET", "/audit/checkpoints/latest")
    assert latest.headers["content-type"].startswith("text/plain")
    assert latest.text == listed["items"][0]["note"] == sink.taken[-1]
    assert set(notes_in(file.read_text("utf-8"))) == set(sink.taken)
    opened = Verifier.parse(listed["items"][0]["key"]).open(latest.text)
    assert (opened.origin, opened.size) == (A_NAME, sizes[-1])
    for old, new in itertools.combinations_with_replacement(sizes, 2):
        found = await ada("GET", f"/audit/consistency?from={old}&to={new}")
        assert found.status_code == 200, found.text
        verify_proof.verify(found.text, listed["items"][0]["key"])
    assert (await ada("GET", f"/audit/consistency?from={sizes[0]}&to={sizes[-1] + 1}")).status_code == 404
    early = await ada("GET", f"/audit/proof?position={(await ada.create_zap())['position']}")
    assert early.status_code == 409
    assert "later" in early.json()["detail"]


async def test_the_program_that_checks_proofs_is_there_to_take_along(ada: Person, api: httpx.AsyncClient) -> None:
    program = await api.get("/docs/assets/verify_proof.py")
    assert program.text == Path(verify_proof.__file__).read_text("utf-8")


async def test_the_program_needs_only_cryptography_and_tells_people_what_is_proven(
    ada: Person, store: PgEventStore, tmp_path: Path
) -> None:
    await checkpoints(store, Sink()).make()
    answer = await ada("GET", "/audit/proof?position=1")
    (tmp_path / "proof.json").write_text(answer.text, "utf-8")
    (tmp_path / "other.json").write_text(answer.text.replace('"version":1', '"version":2'), "utf-8")
    packages = tmp_path / "packages"
    packages.mkdir()
    installed = Path(cryptography.__file__).parents[1]
    for name in ("cryptography", "cffi", "pycparser", *(path.name for path in installed.glob("_cffi_backend*"))):
        if (installed / name).exists():
            (packages / name).symlink_to(installed / name)

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-S", verify_proof.__file__, *arguments],
            env={"PYTHONPATH": str(packages), "PYTHONIOENCODING": "utf-8"},
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    proven = await asyncio.to_thread(run, "proof.json", "--key", answer.json()["key"])
    assert (proven.returncode, proven.stderr) == (0, "")
    assert "user.signed_up" in proven.stdout
    assert "give --key" in (await asyncio.to_thread(run, "proof.json")).stderr
    refused = await asyncio.to_thread(run, "other.json")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "NOT PROVEN" in refused.stderr
