"""What the vendors' own libraries sign is accepted, and nothing else: senders × everything that can be wrong."""

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import razorpay
import stripe
import svix.webhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gidgethub.sansio import validate_event
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from consumers.connectors.shipped import shipped
from domain.hook.presets import (
    GitHub,
    GitLab,
    Preset,
    Razorpay,
    Shopify,
    Slack,
    StandardWebhooks,
    Stripe,
    Twilio,
    Unknown,
    Unverified,
    load_preset,
)
from domain.hook.signed_request import SignedRequest
from domain.hook.verification import Refused, Verified, verify
from domain.values.inflate import inflate
from tests.support.webhooks import URL, github_examples, request

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
JSON_BODY = json.dumps(
    {"id": "evt_1", "event_id": "Ev1", "amount": 10.50, "text": "Grüße"}, ensure_ascii=False
).encode()
FORM_FIELDS = {"CallSid": "CA1234567890ABCDE", "From": "+14158675309", "Body": "Grüße & more", "Empty": ""}
FORM_BODY = urlencode(FORM_FIELDS).encode()
Sign = Callable[[str, bytes, datetime], dict[str, str]]


@dataclass(frozen=True)
class Sender:
    """One vendor's way to send. `header` carries the proof, `covers_body` says whether the proof is over the body."""

    name: str
    preset: Preset
    sign: Sign
    header: str
    body: bytes = JSON_BODY
    content_type: str = "application/json"
    secrets: tuple[str, str] = ("first secret, long enough", "another secret, as long")
    timestamp_header: str = ""
    ids: dict[str, str] = dataclass_field(default_factory=dict)
    delivery_id: str | None = None
    url: str = URL
    covers_body: bool = True

    def send(self, secret: str | None = None, *, at: datetime = NOW, body: bytes | None = None) -> SignedRequest:
        """A request, signed by the vendor's own code where there is some."""
        content = self.body if body is None else body
        signed = self.sign(secret or self.secrets[0], content, at)
        return request(content, {"Content-Type": self.content_type, **self.ids, **signed}, url=self.url)


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


def sign_stripe(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    signer: Any = stripe.WebhookSignature
    header: str = signer.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    return {"Stripe-Signature": header}


def sign_github(secret: str, body: bytes, _at: datetime) -> dict[str, str]:
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    validate_event(body, signature=signature, secret=secret)
    return {"X-Hub-Signature-256": signature}


def sign_shopify(secret: str, body: bytes, _at: datetime) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-Shopify-Hmac-SHA256": base64.b64encode(digest).decode()}


def sign_slack(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    signature = SignatureVerifier(secret).generate_signature(timestamp=seconds(at), body=body)
    assert signature is not None
    return {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": seconds(at)}


def sign_razorpay(secret: str, body: bytes, _at: datetime) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    client: Any = razorpay.Client(auth=("key", "secret"))
    client.utility.verify_webhook_signature(body.decode(), signature, secret)
    return {"X-Razorpay-Signature": signature}


def sign_twilio_form(secret: str, _body: bytes, _at: datetime) -> dict[str, str]:
    signer: Any = RequestValidator(secret)
    return {"X-Twilio-Signature": signer.compute_signature(URL, FORM_FIELDS)}


def sign_trello(secret: str, body: bytes, _at: datetime) -> dict[str, str]:
    """https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/#webhook-signatures"""
    digest = hmac.new(secret.encode(), body + URL.encode(), hashlib.sha1).digest()
    return {"X-Trello-Webhook": base64.b64encode(digest).decode()}


def sign_hubspot(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests"""
    sent = str(int(at.timestamp() * 1_000))
    digest = hmac.new(secret.encode(), f"POST{URL}".encode() + body + sent.encode(), hashlib.sha256).digest()
    return {"X-HubSpot-Signature-v3": base64.b64encode(digest).decode(), "X-HubSpot-Request-Timestamp": sent}


TWILIO_JSON_URL = f"{URL}?foo=1&bodySHA256={hashlib.sha256(JSON_BODY).hexdigest()}"


def sign_twilio_json(secret: str, _body: bytes, _at: datetime) -> dict[str, str]:
    signer: Any = RequestValidator(secret)
    return {"X-Twilio-Signature": signer.compute_signature(TWILIO_JSON_URL, {})}


def standard_headers(signature: str, at: datetime, family: str = "webhook") -> dict[str, str]:
    return {f"{family}-id": "msg_1", f"{family}-timestamp": seconds(at), f"{family}-signature": signature}


def sign_standard(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    return standard_headers(Webhook(secret).sign("msg_1", at, body.decode()), at)


def sign_svix(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    return standard_headers(svix.webhooks.Webhook(secret).sign("msg_1", at, body.decode()), at, "svix")


PRIVATE_KEYS = {
    "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode(): key
    for key in (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
}


def sign_standard_asymmetric(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    signature = PRIVATE_KEYS[secret].sign(f"msg_1.{seconds(at)}.".encode() + body)
    return standard_headers("v1a," + base64.b64encode(signature).decode(), at)


ROTATED_OUT = "whsec_" + base64.b64encode(b"rotated out long ago at sender").decode()


def sign_standard_twice(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """While a sender rotates its secret it signs with both; the receiver may know one of them only."""
    both = (Webhook(key).sign("msg_1", at, body.decode()) for key in (ROTATED_OUT, secret))
    return standard_headers(" ".join(both), at)


WHSEC = tuple("whsec_" + base64.b64encode(text).decode() for text in (b"f" * 24, b"g" * 32))
STANDARD: dict[str, Any] = {
    "header": "webhook-signature",
    "timestamp_header": "webhook-timestamp",
    "secrets": WHSEC,
    "delivery_id": "msg_1",
}
GITHUB: dict[str, Any] = {
    "preset": GitHub(),
    "sign": sign_github,
    "header": "X-Hub-Signature-256",
    "ids": {"X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
    "delivery_id": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
}
SLACK: dict[str, Any] = {
    "preset": Slack(),
    "sign": sign_slack,
    "header": "X-Slack-Signature",
    "timestamp_header": "X-Slack-Request-Timestamp",
}
TWILIO: dict[str, Any] = {
    "preset": Twilio(),
    "header": "X-Twilio-Signature",
    "ids": {"I-Twilio-Idempotency-Token": "token-1"},
    "delivery_id": "token-1",
}
FORM = "application/x-www-form-urlencoded"
CHALLENGE = (
    b'{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}'
)


def preset_in(connector: str) -> Preset:
    """The verification that the connector's file has for its hook."""
    found = load_preset(shipped(connector).triggers["event"].config["verification"])
    assert not isinstance(found, Unknown)
    return found


SENDERS = [
    Sender(
        "stripe", Stripe(), sign_stripe, "Stripe-Signature", timestamp_header="Stripe-Signature", delivery_id="evt_1"
    ),
    Sender("github json", **GITHUB),
    Sender("github form", body=urlencode({"payload": JSON_BODY}).encode(), content_type=FORM, **GITHUB),
    Sender(
        "shopify",
        Shopify(),
        sign_shopify,
        "X-Shopify-Hmac-SHA256",
        ids={"X-Shopify-Webhook-Id": "b54557e4"},
        delivery_id="b54557e4",
    ),
    Sender("slack event", delivery_id="Ev1", **SLACK),
    Sender("slack url_verification", body=CHALLENGE, **SLACK),
    Sender(
        "razorpay",
        Razorpay(),
        sign_razorpay,
        "X-Razorpay-Signature",
        ids={"x-razorpay-event-id": "Ev2"},
        delivery_id="Ev2",
    ),
    Sender("twilio form", sign=sign_twilio_form, body=FORM_BODY, content_type=FORM, **TWILIO),
    Sender("twilio json", sign=sign_twilio_json, url=TWILIO_JSON_URL, **TWILIO),
    Sender(
        "gitlab token",
        GitLab(),
        lambda secret, _body, _at: {"X-Gitlab-Token": secret},
        "X-Gitlab-Token",
        ids={"Idempotency-Key": "f5e5f430"},
        delivery_id="f5e5f430",
        covers_body=False,
    ),
    Sender("gitlab signed", GitLab(mode="signing"), sign_standard, **STANDARD),
    Sender("standard webhooks v1", StandardWebhooks(), sign_standard, **STANDARD),
    Sender(
        "svix",
        StandardWebhooks(),
        sign_svix,
        **{**STANDARD, "header": "svix-signature", "timestamp_header": "svix-timestamp"},
    ),
    Sender(
        "standard webhooks v1a",
        StandardWebhooks(),
        sign_standard_asymmetric,
        **{**STANDARD, "secrets": tuple(PRIVATE_KEYS)},
    ),
    Sender("trello", preset_in("trello"), sign_trello, "X-Trello-Webhook"),
    Sender(
        "hubspot",
        preset_in("hubspot"),
        sign_hubspot,
        "X-HubSpot-Signature-v3",
        timestamp_header="X-HubSpot-Request-Timestamp",
    ),
    Sender("two keys", StandardWebhooks(), sign_standard_twice, **STANDARD),
]
CURL = Sender("curl unsigned", Unverified(), lambda *_: {}, "", covers_body=False)


def answer(sender: Sender, sent: SignedRequest, *secrets: str) -> Verified | Refused:
    return verify(sender.preset, sent, secrets or sender.secrets[:1], NOW)


def with_header(sent: SignedRequest, name: str, *values: bytes) -> SignedRequest:
    """The request with this header replaced by as many as there are values."""
    others = [(key, value) for key, value in sent.headers if key != name.lower().encode()]
    headers = others + [(name.lower().encode(), value) for value in values]
    return SignedRequest(method=sent.method, url=sent.url, headers=headers, body=sent.body, client_ip=sent.client_ip)


def with_body(sent: SignedRequest, body: bytes) -> SignedRequest:
    return SignedRequest(method=sent.method, url=sent.url, headers=sent.headers, body=body, client_ip=sent.client_ip)


def value_of(sent: SignedRequest, name: str) -> bytes:
    return next(value for key, value in sent.headers if key == name.lower().encode())


def flips(data: bytes) -> Iterator[bytes]:
    """The data with each of its bits turned over in turn."""
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


every_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
every_timed_sender = pytest.mark.parametrize(
    "sender", [sender for sender in SENDERS if sender.timestamp_header], ids=lambda sender: sender.name
)
every_covering_sender = pytest.mark.parametrize(
    "sender", [sender for sender in SENDERS if sender.covers_body], ids=lambda sender: sender.name
)


@every_sender
def test_valid(sender: Sender) -> None:
    result = answer(sender, sender.send())
    assert isinstance(result, Verified)
    assert result.delivery_id == sender.delivery_id


@every_covering_sender
def test_any_bit_of_the_body_flipped(sender: Sender) -> None:
    sent = sender.send()
    for body in flips(sender.body):
        result = answer(sender, with_body(sent, body))
        # Twilio signs the fields, not their bytes: %3a and %3A say the same.
        if isinstance(result, Verified) and sender.name == "twilio form":
            assert body.lower() == sender.body.lower()
        else:
            assert isinstance(result, Refused), body


@every_sender
def test_any_bit_of_the_signature_flipped(sender: Sender) -> None:
    sent = sender.send()
    for value in flips(value_of(sent, sender.header)):
        result = answer(sender, with_header(sent, sender.header, value))
        if sender.name == "two keys":  # the signature that nobody here can check may be anything
            assert isinstance(result, Refused) or value.split(b" ")[1:] == value_of(sent, sender.header).split(b" ")[1:]
        else:
            assert isinstance(result, Refused), value


@every_sender
@pytest.mark.parametrize("values", [(), (b"",), (b" \t ",), (b"\xff\xfe",), ("ü".encode(),), (b"\0",), (b"x" * 9_000,)])
def test_missing_empty_and_hostile_headers(sender: Sender, values: tuple[bytes, ...]) -> None:
    assert isinstance(answer(sender, with_header(sender.send(), sender.header, *values)), Refused)


@every_sender
def test_two_copies_of_the_header(sender: Sender) -> None:
    sent = sender.send()
    value = value_of(sent, sender.header)
    for values in ((value, value), (value, b"x"), (b"", value)):
        result = answer(sender, with_header(sent, sender.header, *values))
        assert isinstance(result, Refused)
        assert result.code == "repeated_header"


@every_sender
def test_non_ascii_beside_a_true_signature(sender: Sender) -> None:
    sent = sender.send()
    assert isinstance(
        answer(sender, with_header(sent, sender.header, value_of(sent, sender.header) + b"\xc3")), Refused
    )


@every_sender
def test_wrong_secret(sender: Sender) -> None:
    result = answer(sender, sender.send(), sender.secrets[1])
    assert isinstance(result, Refused)
    assert result.code in {"bad_signature", "bad_credentials"}


@every_sender
def test_old_secret_in_and_after_the_overlap(sender: Sender) -> None:
    old, new = sender.secrets
    assert isinstance(answer(sender, sender.send(old), new, old), Verified)
    assert isinstance(answer(sender, sender.send(old), new), Refused)


@every_sender
@pytest.mark.parametrize("secrets", [[], [""], [b""]])
def test_no_secret_closes_the_door(sender: Sender, secrets: list[str | bytes]) -> None:
    result = verify(sender.preset, sender.send(), secrets, NOW)
    assert isinstance(result, Refused)
    assert result.code == "no_secret"


@every_timed_sender
@pytest.mark.parametrize(
    ("offset", "accepted"), [(-301, False), (-300, True), (300, True), (301, False), (86400, False)]
)
def test_time_of_sending(sender: Sender, offset: int, accepted: bool) -> None:
    result = answer(sender, sender.send(at=NOW + timedelta(seconds=offset)))
    assert isinstance(result, Verified) is accepted
    if isinstance(result, Refused):
        assert result.code == "outside_window"


@every_timed_sender
@pytest.mark.parametrize("text", ["abc", "1e9", "-1", "+1", "1_0", "٣", "", "9" * 5_000, "nan", "0x10", "{}.9"])
def test_timestamps_that_are_no_number(sender: Sender, text: str) -> None:
    sent = sender.send()
    value = text.format(seconds(NOW)).encode()
    if isinstance(sender.preset, Stripe):
        value = b"t=%b,%b" % (value, value_of(sent, sender.header).partition(b",")[2])
    result = answer(sender, with_header(sent, sender.timestamp_header, value))
    assert isinstance(result, Refused)
    assert result.code == "malformed_header"


@every_covering_sender
def test_reserialised(sender: Sender) -> None:
    if sender.content_type == FORM:
        changed = b"&".join(sorted(sender.body.replace(b"+", b"%20").split(b"&"), reverse=True))
    else:
        changed = json.dumps(json.loads(sender.body), indent=1).encode()
    if changed != sender.body:
        # A form that says the same in another spelling is the same to Twilio, which signs its fields.
        same = isinstance(sender.preset, Twilio) and sender.content_type == FORM
        assert isinstance(answer(sender, with_body(sender.send(), changed)), Verified if same else Refused)


@every_covering_sender
def test_trailing_newline(sender: Sender) -> None:
    assert isinstance(answer(sender, with_body(sender.send(), sender.body + b"\n")), Refused)


@every_covering_sender
def test_gzip(sender: Sender) -> None:
    """Signed as written, compressed on the way: not authentic as it came, authentic once inflated."""
    sent = with_body(sender.send(), gzip.compress(sender.body))
    assert isinstance(answer(sender, sent), Refused)
    plain = inflate("gzip", sent.body, 10_000)
    assert isinstance(plain, bytes)
    assert isinstance(answer(sender, with_body(sent, plain)), Verified)


@every_sender
def test_duplicate_delivery(sender: Sender) -> None:
    """A repeat has the same id, also when it was signed anew and later."""
    repeats = (answer(sender, sender.send(at=at)) for at in (NOW, NOW, NOW + timedelta(seconds=60)))
    assert {result.delivery_id for result in repeats if isinstance(result, Verified)} == {sender.delivery_id}


@every_sender
def test_duplicate_to_another_hook(sender: Sender) -> None:
    """Another zap has its own secret; with the same one the ids are equal: the zap makes the difference."""
    sent = sender.send()
    assert isinstance(answer(sender, sent, sender.secrets[1]), Refused)
    assert isinstance(answer(sender, sent), Verified)


@pytest.mark.parametrize("body", [b"", JSON_BODY, b"\xff\0", gzip.compress(JSON_BODY, mtime=0)])
def test_curl_unsigned(body: bytes) -> None:
    for headers in ({}, {"Idempotency-Key": "key 1"}):
        result = verify(CURL.preset, request(body, headers), [], NOW)
        assert result == Verified(headers.get("Idempotency-Key"))


def test_a_token_says_nothing_about_the_body() -> None:
    sender = next(sender for sender in SENDERS if sender.name == "gitlab token")
    for body in flips(sender.body):
        assert isinstance(answer(sender, with_body(sender.send(), body)), Verified)


def test_the_slack_challenge_is_given_only_to_slack() -> None:
    sender = next(sender for sender in SENDERS if sender.name == "slack url_verification")
    result = answer(sender, sender.send())
    assert isinstance(result, Verified)
    assert result.challenge == json.loads(CHALLENGE)["challenge"]
    assert isinstance(answer(sender, sender.send("not the secret")), Refused)
    elsewhere = verify(GitHub(), request(CHALLENGE, sign_github("s", CHALLENGE, NOW)), ["s"], NOW)
    assert elsewhere == Verified()


def test_the_octokit_examples_are_all_there() -> None:
    examples = github_examples()
    assert len(examples) == 329
    assert len({name for name, _ in examples}) == 58


def test_every_github_example_is_accepted() -> None:
    for _event, body in github_examples():
        sent = request(body, {"X-GitHub-Delivery": "d", **sign_github("It's a secret", body, NOW)})
        assert verify(GitHub(), sent, ["It's a secret"], NOW) == Verified("d")
        assert isinstance(verify(GitHub(), with_body(sent, body[:-1]), ["It's a secret"], NOW), Refused)


def test_twilio_with_an_explicit_port_and_the_newer_algorithm() -> None:
    signer: Any = RequestValidator("token")
    for signed, seen in ((URL.replace(".com", ".com:443"), URL), (URL, URL.replace(".com", ".com:443")), (URL, URL)):
        headers = {"X-Twilio-Signature": signer.compute_signature(signed, FORM_FIELDS), "Content-Type": FORM}
        assert verify(Twilio(), request(FORM_BODY, headers, url=seen), ["token"], NOW) == Verified()
    headers["X-Twilio-Signature"] = signer.compute_signature(URL, FORM_FIELDS, "HMAC_SHA256")
    assert isinstance(verify(Twilio(), request(FORM_BODY, headers), ["token"], NOW), Refused)
    headers["X-Twilio-Webhooks-Signature-Settings"] = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    assert verify(Twilio(), request(FORM_BODY, headers), ["token"], NOW) == Verified()
