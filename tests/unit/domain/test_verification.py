"""Verification of webhooks: published vectors, the schemes without a vendor, and that nothing raises."""

import ast
import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import domain
from domain.hook import presets
from domain.hook.signed_request import SignedRequest
from domain.hook.verification import Refused, Verified, needs_secret, verify
from tests.support.webhooks import URL, request

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def check(
    preset: presets.Preset | presets.Unknown,
    body: bytes,
    headers: dict[str, str],
    secret: str = "s3cret",
    **options: Any,
) -> str:
    """The code of the refusal, or "ok"."""
    result = verify(preset, request(body, headers, **options), [secret], NOW)
    return result.code if isinstance(result, Refused) else "ok"


# --- published vectors


def test_github_vector() -> None:
    """docs.github.com, validating webhook deliveries."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    sent = request(b"Hello, World!", {"X-Hub-Signature-256": signature})
    assert verify(presets.GitHub(), sent, ["It's a Secret to Everybody"], NOW) == Verified()


STANDARD_ID, STANDARD_TIME = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY_PAIR = base64.b64decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
WHPK = "whpk_" + base64.b64encode(KEY_PAIR[32:]).decode()


def standard(signature: str, secret: str, *, family: str = "webhook", now: int = STANDARD_TIME) -> Verified | Refused:
    headers = {f"{family}-id": STANDARD_ID, f"{family}-timestamp": str(STANDARD_TIME), f"{family}-signature": signature}
    return verify(presets.StandardWebhooks(), request(b'{"test": 2432232314}', headers), [secret], at(now))


@pytest.mark.parametrize("family", ["webhook", "svix"])
@pytest.mark.parametrize(
    ("signature", "secret"),
    [
        (V1, WHSEC),
        (V1, WHSEC.removeprefix("whsec_")),
        (V1A, WHPK),
        (f"v1,{'A' * 43}= v2,x nonsense v1a {V1A} {V1}", WHSEC),
        (f"{V1} {V1A}", WHPK),
    ],
)
def test_standard_webhooks_vectors(signature: str, secret: str, family: str) -> None:
    """standard-webhooks/libraries and svix-webhooks/server."""
    assert standard(signature, secret, family=family) == Verified(STANDARD_ID)


@pytest.mark.parametrize(
    ("signature", "secret"),
    [
        (V1, WHPK),
        (V1A, WHSEC),
        ("v1," + V1A.removeprefix("v1a,"), WHPK),
        ("v1a," + V1.removeprefix("v1,"), WHSEC),
        (V1.replace("v1,", "v1,,"), WHSEC),
        (V1.rstrip("="), WHSEC),
        ("v1,", WHSEC),
        (V1, "whsec_not base64!"),
        (V1, "whsec_"),
        (V1A, "whpk_"),
        (V1A, "whpk_" + "A" * 40),
        (" ".join(["v1,x"] * 40 + [V1]), WHSEC),
    ],
)
def test_a_key_serves_its_own_version_only(signature: str, secret: str) -> None:
    assert isinstance(standard(signature, secret), Refused)


def test_nobody_makes_a_v1_of_the_public_key() -> None:
    message = f"{STANDARD_ID}.{STANDARD_TIME}.".encode() + b'{"test": 2432232314}'
    for key in (KEY_PAIR[32:], WHPK.encode(), WHPK.removeprefix("whpk_").encode()):
        forged = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
        assert isinstance(standard("v1," + forged, WHPK), Refused)


def test_a_dot_in_the_signed_id_is_refused() -> None:
    """Otherwise a body that begins with a number could be moved into the timestamp."""
    key = base64.b64decode(WHSEC.removeprefix("whsec_"))
    digest = hmac.new(key, f"a.1.{SECOND}.5".encode(), hashlib.sha256).digest()
    headers = {
        "webhook-id": "a.1",
        "webhook-timestamp": str(SECOND),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    assert check(presets.StandardWebhooks(), b"5", headers, WHSEC) == "malformed_header"


def test_a_replay_can_not_bring_another_id() -> None:
    """Signed under svix-*, replayed with an unsigned webhook-id: the signed one counts."""
    headers = {
        "svix-id": STANDARD_ID,
        "svix-timestamp": str(STANDARD_TIME),
        "svix-signature": V1,
        "webhook-id": "other",
    }
    result = verify(presets.StandardWebhooks(), request(b'{"test": 2432232314}', headers), [WHSEC], at(STANDARD_TIME))
    assert result == Verified(STANDARD_ID)


def test_slack_vector() -> None:
    """docs.slack.dev, verifying requests from Slack."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
        b".803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "X-Slack-Request-Timestamp": "1531420618",
    }
    secret = "8f742231b10e8888abcd99yyyzzz85a5"
    assert verify(presets.Slack(), request(body, headers), [secret], at(1531420618 + 300)) == Verified()
    late = verify(presets.Slack(), request(body, headers), [secret], at(1531420618 + 301))
    assert isinstance(late, Refused)
    assert late.code == "outside_window"
    assert verify(presets.Slack(tolerance_s=600), request(body, headers), [secret], at(1531420618 + 600)) == Verified()


def test_twilio_vector() -> None:
    """twilio.com/docs/usage/security, and twilio-python's own tests."""
    body = b"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309"
    headers = {
        "X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert check(presets.Twilio(), body, headers, "12345", url=url) == "ok"
    assert check(presets.Twilio(), body, headers, "12345", url=url + "3") == "bad_signature"


def test_twilio_does_not_take_a_body_that_nothing_covers() -> None:
    signature = base64.b64encode(hmac.new(b"12345", URL.encode(), hashlib.sha1).digest()).decode()
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    assert check(presets.Twilio(), b"", headers, "12345") == "ok"
    assert check(presets.Twilio(), b"{}", headers, "12345") == "bad_signature"
    url = f"{URL}?bodySHA256={hashlib.sha256(b'{}').hexdigest()}"
    headers["X-Twilio-Signature"] = base64.b64encode(hmac.new(b"12345", url.encode(), hashlib.sha1).digest()).decode()
    assert check(presets.Twilio(), b"{}", headers, "12345", url=url) == "ok"
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    assert check(presets.Twilio(), b"&&&", headers, "12345", url=url) == "bad_signature"


# --- schemes without a vendor

ENCODED: dict[str, Callable[[bytes], str]] = {
    "hex": lambda digest: digest.hex(),
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).decode(),
}


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
@pytest.mark.parametrize("prefix", ["", "sha=", "HMAC-SHA256 "])
@pytest.mark.parametrize("timed", [False, True])
def test_generic_hmac(algorithm: Any, encoding: Any, prefix: str, timed: bool) -> None:
    template, timestamp_header = ("v1|{timestamp}|{body}|end", "X-Time") if timed else ("{body}", None)
    preset = presets.Hmac(
        header="X-Sig",
        algorithm=algorithm,
        encoding=encoding,
        prefix=prefix,
        template=template,
        timestamp_header=timestamp_header,
    )
    body = b"\xff{body}{timestamp}"
    signed = b"v1|%d|%b|end" % (SECOND, body) if timed else body
    signature = prefix + ENCODED[encoding](hmac.new(b"s3cret", signed, algorithm).digest())
    headers = {"x-sig": signature, "x-time": str(SECOND)}
    assert check(preset, body, headers) == "ok"
    assert check(preset, body + b" ", headers) == "bad_signature"
    assert check(preset, body, headers, "other") == "bad_signature"
    assert check(preset, body, {**headers, "x-sig": "X" + signature}) == "bad_signature"
    if timed:
        assert check(preset, body, {**headers, "x-time": str(SECOND - 1)}) == "bad_signature"
        assert check(preset, body, {**headers, "x-time": str(SECOND - 301)}) == "outside_window"
        assert check(preset, body, {"x-sig": signature}) == "missing_header"


def test_generic_hmac_takes_capitals_and_unpadded_base64url() -> None:
    digest = hmac.new(b"s3cret", b"x", hashlib.sha256).digest()
    assert check(presets.Hmac(header="a"), b"x", {"a": digest.hex().upper()}) == "ok"
    assert check(presets.Hmac(header="a"), b"x", {"a": digest.hex().title()}) == "bad_signature"
    unpadded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert check(presets.Hmac(header="a", encoding="base64url"), b"x", {"a": unpadded}) == "ok"


def basic(credentials: str, scheme: str = "Basic") -> dict[str, str]:
    return {"Authorization": f"{scheme} {base64.b64encode(credentials.encode()).decode()}"}


def test_basic() -> None:
    preset = presets.Basic(username="ada")
    assert check(preset, b"", basic("ada:s3cret")) == "ok"
    assert check(preset, b"", basic("ada:s3cret", "bAsIc")) == "ok"
    assert check(preset, b"", basic("ada:a:b"), "a:b") == "ok"
    for wrong in ("ada:s3cre", "ada:s3crets", "ada:", "Ada:s3cret", "s3cret", ":"):
        assert check(preset, b"", basic(wrong)) == "bad_credentials"
    assert check(preset, b"", basic("ada:s3cret", "Bearer")) == "bad_credentials"
    assert check(preset, b"", {"Authorization": "Basic ???"}) == "bad_credentials"
    assert check(preset, b"", {}) == "missing_header"


def test_bearer() -> None:
    """RFC 6750, with access_token in the query as CloudEvents senders may have it."""
    header = {"Authorization": "Bearer s3cret"}
    assert check(presets.Bearer(), b"", header) == "ok"
    assert check(presets.Bearer(), b"", {}, url=URL + "?a=1&access_token=s3cret") == "ok"
    assert check(presets.Bearer(), b"", header, url=URL + "?access_token=s3cret") == "bad_credentials"
    assert check(presets.Bearer(), b"", {}, url=URL + "?access_token=s3cret&access_token=s3cret") == "bad_credentials"
    assert check(presets.Bearer(), b"", {}, url=URL + "?access_token=wrong") == "bad_credentials"
    assert check(presets.Bearer(), b"", {"Authorization": "Bearer"}) == "bad_credentials"
    assert check(presets.Bearer(), b"", basic("s3cret")) == "bad_credentials"


def test_header_token() -> None:
    preset = presets.HeaderToken(header="X-Api-Key")
    assert check(preset, b"", {"x-api-key": "s3cret"}) == "ok"
    assert check(preset, b"", {"x-api-key": "s3cret2"}) == "bad_credentials"
    assert check(preset, b"", {"x-api-keys": "s3cret"}) == "missing_header"


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.7", True),
        ("192.0.3.7", False),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("203.0.113.9", True),
        ("203.0.113.10", False),
        ("192.0.2.7, 10.0.0.1", False),
        ("0300.0.2.7", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_addresses(address: str, allowed: bool) -> None:
    preset = presets.IpAllow(cidrs=("192.0.2.0/24", "2001:db8::/32", "203.0.113.9"))
    assert check(preset, b"", {}, client_ip=address) == ("ok" if allowed else "address_not_allowed")


# --- configurations


def test_every_preset_has_its_check_and_says_whether_it_needs_a_secret() -> None:
    given = [presets.load_preset(config) for config in PRESETS]
    assert {type(preset) for preset in given} == set(get_args(presets.Preset))
    for preset in given:
        assert not isinstance(preset, presets.Unknown)
        assert needs_secret(preset) is not isinstance(preset, presets.Unverified | presets.IpAllow)
        assert check(preset, b"", {}) not in {"unknown_preset", "unverifiable"}


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        [],
        "github",
        {"preset": "githb"},
        {"preset": None},
        {"preset": "github", "secret": "s"},
        {"preset": "stripe", "tolerance_s": 0},
        {"preset": "stripe", "tolerance_s": 1e9},
        {"preset": "hmac"},
        {"preset": "hmac", "header": "a b"},
        {"preset": "hmac", "header": "a\n"},
        {"preset": "hmac", "header": "a", "algorithm": "md5"},
        {"preset": "hmac", "header": "a", "template": "{timestamp}.{body}"},
        {"preset": "hmac", "header": "a", "timestamp_header": "t"},
        {"preset": "hmac", "header": "a", "template": "constant"},
        {"preset": "hmac", "header": "a", "template": "{body}{body}"},
        {"preset": "ip_allow", "cidrs": []},
        {"preset": "ip_allow", "cidrs": ["10.0.0.1/8"]},
        {"preset": "ip_allow", "cidrs": ["everyone"]},
        {"preset": "hmac", "header": "a", "prefix": "ü"},
        {"preset": "hmac", "header": "a", "prefix": "a\n"},
        {"preset": "basic", "username": "a:b"},
        {"preset": "none", "dedupe": {"from": "body", "path": "a..b"}},
        {"preset": "none", "dedupe": {"from": "cookie"}},
        {"preset": "none", "dedupe": {"from": "header", "name": ""}},
    ],
)
def test_what_is_not_a_configuration_refuses_every_request(config: Any) -> None:
    preset = presets.load_preset(config)
    assert isinstance(preset, presets.Unknown)
    assert preset.reason
    assert check(preset, b"", {}) == "unknown_preset"


def test_configurations_survive_the_log() -> None:
    given: list[presets.Preset] = [
        presets.Unverified(),
        presets.Hmac(header="a", template="{timestamp}{body}", timestamp_header="t", tolerance_s=5),
        presets.Basic(username="ada"),
        presets.IpAllow(cidrs=("10.0.0.0/8",)),
    ]
    for preset in given:
        assert presets.load_preset(msgspec.json.decode(msgspec.json.encode(preset))) == preset


# --- delivery ids


def delivery(config: dict[str, Any], body: bytes = b"", headers: dict[str, str] | None = None) -> str | None:
    preset = presets.load_preset(config)
    result = verify(preset, request(body, headers or {}), ["s3cret"], NOW)
    return result.delivery_id if isinstance(result, Verified) else result.code


def test_a_configured_delivery_id() -> None:
    header = {"preset": "none", "dedupe": {"from": "header", "name": "X-Event"}}
    assert delivery(header, headers={"x-event": "7", "idempotency-key": "8"}) == "7"
    assert delivery(header, headers={"idempotency-key": "8"}) is None
    body = {"preset": "none", "dedupe": {"from": "body", "path": "events[0].id"}}
    assert delivery(body, b'{"events":[{"id":"e1"}]}') == "e1"
    assert delivery(body, b'{"events":[{"id":12}]}') == "12"
    for other in (
        b'{"events":[]}',
        b'{"events":[{"id":null}]}',
        b'{"events":[{"id":true}]}',
        b'{"events":[{"id":""}]}',
        b"x",
    ):
        assert delivery(body, other) is None
    form = {"preset": "none", "dedupe": {"from": "body", "path": "id"}}
    assert delivery(form, b"a=1&id=f7", {"content-type": "application/x-www-form-urlencoded"}) == "f7"
    assert delivery({"preset": "none", "dedupe": {"from": "none"}}, headers={"idempotency-key": "8"}) is None
    assert delivery({"preset": "none"}, headers={"idempotency-key": "8"}) == "8"


def test_an_id_that_is_long_or_odd_stands_as_its_hash() -> None:
    body = {"preset": "none", "dedupe": {"from": "body", "path": "id"}}
    for odd in ("ü", "x" * 256, "\n"):
        found = delivery(body, msgspec.json.encode({"id": odd}))
        assert found == "sha256:" + hashlib.sha256(odd.encode()).hexdigest()


def test_a_content_type_does_not_hide_the_id_from_a_replay() -> None:
    config = {"preset": "none", "dedupe": {"from": "body", "path": "id"}}
    for content_type in ("application/json", "text/plain", "application/xml", "image/png", "nonsense"):
        assert delivery(config, b'{"id":"evt_1"}', {"content-type": content_type}) == "evt_1"


@pytest.mark.parametrize(
    ("key", "code"), [("x" * 256, "malformed_delivery_id"), ("ü", "malformed_header"), ("", "malformed_header")]
)
def test_hostile_delivery_ids(key: str, code: str) -> None:
    assert delivery({"preset": "none"}, headers={"idempotency-key": key}) == code


def test_cloudevents_are_known_by_source_and_id() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "A%201", "ce-source": "/s", "ce-type": "t"}
    assert delivery({"preset": "none"}, b"{}", headers) == "/s A 1"
    structured = b'{"specversion":"1.0","id":"A 1","source":"/s","type":"t"}'
    assert delivery({"preset": "none"}, structured, {"content-type": "application/cloudevents+json"}) == "/s A 1"
    assert delivery({"preset": "none"}, b"{}", {**headers, "ce-id": "%C0%A0"}) == "malformed_event"
    assert delivery({"preset": "none"}, b"{}", {**headers, "idempotency-key": "k"}) == "k"


# --- whatever comes

SIGNATURE_HEADERS = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "stripe-signature",
    "x-hub-signature-256",
    "x-shopify-hmac-sha256",
    "x-slack-signature",
    "x-slack-request-timestamp",
    "x-razorpay-signature",
    "x-gitlab-token",
    "x-twilio-signature",
    "x-twilio-webhooks-signature-settings",
    "authorization",
    "content-type",
    "x-sig",
    "x-time",
    "idempotency-key",
    "ce-specversion",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-x",
    "x-github-delivery",
]
PRESETS: list[dict[str, Any]] = [
    *({"preset": name} for name in ("none", "standard_webhooks", "stripe", "github", "shopify", "slack", "razorpay")),
    *({"preset": name} for name in ("gitlab", "twilio", "bearer")),
    {"preset": "gitlab", "mode": "signing"},
    {"preset": "hmac", "header": "x-sig", "timestamp_header": "x-time", "template": "{timestamp}.{body}"},
    {"preset": "basic", "username": "ada"},
    {"preset": "header_token", "header": "x-sig"},
    {"preset": "ip_allow", "cidrs": ["10.0.0.0/8"]},
    {"preset": "none", "dedupe": {"from": "body", "path": "a.b[0]"}},
]
values = (
    st.binary(max_size=40)
    | st.sampled_from(
        [str(SECOND).encode(), b"t=%d,v1=" % SECOND, b"v1,", b"v1a,AA==", b"v0=", b"Bearer ", b"Basic a", b","]
    )
    | st.sampled_from(
        [b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"1.0"]
    )
)
headers = st.lists(
    st.tuples(st.sampled_from([name.encode() for name in SIGNATURE_HEADERS]) | st.binary(max_size=9), values),
    max_size=9,
)
urls = st.text() | st.sampled_from(
    [URL + "?bodySHA256=x", "http://[", "http://a:b/", "http://a:99999/", URL + "?access_token=\ud800"]
)
secrets = st.lists(
    st.binary(max_size=9) | st.text() | st.sampled_from([WHSEC, WHPK, "\ud800", "whpk_AAAA"]), max_size=2
)
requests = st.builds(
    SignedRequest, method=st.just("POST"), url=urls, headers=headers, body=st.binary(), client_ip=st.text()
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(PRESETS), requests, secrets)
def test_nothing_raises(config: dict[str, Any], sent: SignedRequest, keys: list[bytes | str]) -> None:
    preset = presets.load_preset(config)
    assert not isinstance(preset, presets.Unknown)
    result = verify(preset, sent, keys, NOW)
    assert isinstance(result, Refused) or not needs_secret(preset)


@given(st.binary(), st.binary(min_size=1), st.sampled_from(["hex", "base64", "base64url"]), st.data())
def test_signed_is_verified_and_any_flipped_bit_is_refused(
    body: bytes, secret: bytes, encoding: Any, data: st.DataObject
) -> None:
    preset = presets.Hmac(header="x-sig", encoding=encoding)
    signature = ENCODED[encoding](hmac.new(secret, body, hashlib.sha256).digest()).encode()
    sent = SignedRequest(method="POST", url=URL, headers=[(b"X-Sig", signature)], body=body)
    assert verify(preset, sent, [secret], NOW) == Verified()
    changed = bytearray(body + signature)
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    flipped = SignedRequest(
        method="POST", url=URL, headers=[(b"X-Sig", bytes(changed[len(body) :]))], body=bytes(changed[: len(body)])
    )
    assert isinstance(verify(preset, flipped, [secret], NOW), Refused)


# --- constant time

GUARDED = re.compile(r"sig(nature)?s?$|hmac|digest|secret|token|password|credential", re.IGNORECASE)


def compared_names(tree: ast.AST) -> list[str]:
    """Names on either side of == and !=."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = pairwise([node.left, *node.comparators])
            for (left, right), operator in zip(sides, node.ops, strict=True):
                if isinstance(operator, ast.Eq | ast.NotEq):
                    found += [getattr(side, "id", getattr(side, "attr", "")) for side in (left, right)]
    return found


def test_secrets_are_compared_in_constant_time_only() -> None:
    folder = Path(str(domain.__file__)).parent
    files = list(folder.glob("hook/*.py"))
    assert len(files) > 5
    for file in files:
        names = compared_names(ast.parse(file.read_text()))
        assert not [name for name in names if GUARDED.search(name)], file
    assert compared_names(ast.parse("a == b.token != c")) == ["a", "token", "token", "c"]
