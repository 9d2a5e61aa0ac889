"""What the vendors' libraries for Node sign is accepted, and what these accept is signed as we take it."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from domain.hook.presets import GitHub, Preset, Razorpay, StandardWebhooks, Stripe, Twilio
from domain.hook.verification import Refused, Verified, verify
from tests.support.webhooks import URL, request

pytestmark = [pytest.mark.slow]

SIGNERS = Path(__file__).parent / "signers"
NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
BODY = json.dumps({"amount": 10.5, "text": "Grüße"}, ensure_ascii=False)
FORM = {"CallSid": "CA1234567890ABCDE", "Body": "Hello"}
SECRET = "a secret of the tests, long enough"
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()
PRESETS: dict[str, Preset] = {
    "stripe": Stripe(),
    "@octokit/webhooks-methods": GitHub(),
    "standardwebhooks": StandardWebhooks(),
    "svix": StandardWebhooks(),
    "twilio": Twilio(),
    "razorpay": Razorpay(),
}
SECRETS = {name: WHSEC if isinstance(preset, StandardWebhooks) else SECRET for name, preset in PRESETS.items()}
TWILIO_TEXT = URL + "".join(name + FORM[name] for name in sorted(FORM))
OURS = {
    "twilio": base64.b64encode(hmac.digest(SECRET.encode(), TWILIO_TEXT.encode(), "sha1")).decode(),
    "razorpay": hmac.digest(SECRET.encode(), BODY.encode(), "sha256").hex(),
}


class Result(msgspec.Struct, frozen=True):
    """What one library made of it: headers, or whether it took the true signature and the changed one."""

    signed: dict[str, str] | None = None
    verified: tuple[bool, bool] | None = None
    unusable: str = ""


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """All libraries, in one process of Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not on the PATH")
    asked: dict[str, Any] = {"body": BODY, "url": URL, "form": FORM, "at": int(NOW.timestamp())}
    done = subprocess.run(
        [node, str(installed(npm) / "sign.mjs")],
        input=json.dumps({**asked, "secrets": SECRETS, "ours": OURS}).encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=dict[str, Result])


def installed(npm: str) -> Path:
    """A folder with the libraries, kept from one session to the next for as long as `signers` stays the same."""
    sources = sorted(SIGNERS.iterdir())
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"triggerhub-signers-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    if cache.is_symlink() or cache.stat().st_uid != os.getuid():
        pytest.skip(f"{cache} belongs to somebody else")
    folder = cache / digest
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as building:
        made = Path(building) / digest
        shutil.copytree(SIGNERS, made)
        install(npm, made)
        try:
            made.rename(folder)  # whole or not at all, whoever else installs at the same time
        except OSError:
            assert folder.exists()
    return folder


def install(npm: str, folder: Path) -> None:
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    patient = ["--prefer-offline", "--fetch-retries=0", "--fetch-timeout=20000"]
    try:
        done = subprocess.run(
            [npm, "install", *quiet, *patient], cwd=folder, capture_output=True, timeout=45, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not get the libraries in time")
    if done.returncode:
        pytest.skip("npm can not get the libraries: its registry is out of reach, or lacks one of them")


def flips(body: bytes) -> Iterator[bytes]:
    """The body with each of its bits turned over in turn."""
    for bit in range(len(body) * 8):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_library_signs_or_takes_is_accepted_and_nothing_else(name: str, results: dict[str, Result]) -> None:
    result = results[name]
    if result.unusable:
        pytest.skip(f"{name} does not load in this Node: {result.unusable}")
    body, headers = BODY.encode(), {"Content-Type": "application/json"}
    if result.signed is not None:
        headers |= result.signed
    else:
        assert result.verified == (True, False)
        headers[f"X-{name}-Signature"] = OURS[name]
    if name == "twilio":
        body, headers["Content-Type"] = urlencode(FORM).encode(), "application/x-www-form-urlencoded"
    preset, secrets = PRESETS[name], [SECRETS[name]]
    assert isinstance(verify(preset, request(body, headers), secrets, NOW), Verified)
    for changed in flips(body):
        assert isinstance(verify(preset, request(changed, headers), secrets, NOW), Refused), changed


def test_every_library_is_asked(results: dict[str, Result]) -> None:
    pinned = json.loads((SIGNERS / "package.json").read_text())["dependencies"]
    assert results.keys() == PRESETS.keys() == pinned.keys()
